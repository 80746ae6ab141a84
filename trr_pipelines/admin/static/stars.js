// The face-bank star: changes at once, and back with the reason if the backend refuses. Without scripts it is a submit
// button; here its `formaction` identifies the link.

import { send } from "./http.js";
import { failure } from "./toasts.js";

const busy = new Set();

export function start() {
  document.addEventListener("click", (event) => {
    const star = event.target.closest(".star");
    if (!star) return;
    event.preventDefault();
    toggle(star);
  });
}

export const isPressed = (star) => star.getAttribute("aria-pressed") === "true";

const pathOf = (star) => star.getAttribute("formaction");
const all = (path) => document.querySelectorAll(`.star[formaction="${CSS.escape(path)}"]`);

function show(path, pressed) {
  for (const star of all(path)) star.setAttribute("aria-pressed", String(pressed));
}

export async function toggle(star, wanted = !isPressed(star)) {
  const path = pathOf(star);
  const before = isPressed(star);
  show(path, wanted);
  if (busy.has(path)) return; // the pending request reads the star again when it ends
  busy.add(path);
  star.setAttribute("aria-busy", "true");
  let saved = before;
  try {
    for (;;) {
      const now = isPressed(all(path)[0] ?? star);
      if (now === saved) break;
      await send("PATCH", path, { facebank_seed: now });
      saved = now;
    }
    if (saved !== before) announce(path, saved);
  } catch (problem) {
    show(path, saved);
    failure(problem, () => toggle(star, !saved));
  } finally {
    busy.delete(path);
    for (const copy of [star, ...all(path)]) copy.removeAttribute("aria-busy");
  }
}

function announce(path, pressed) {
  const who = document.querySelector(".who")?.textContent ?? "you";
  const day = new Date().toISOString().slice(0, 10);
  for (const star of all(path)) {
    const line = star.closest(".tile")?.querySelector(".seed-note");
    if (line) line.textContent = `${pressed ? "Seed" : "No seed"} by ${who} · ${day}`;
  }
  document.dispatchEvent(new CustomEvent("trr:seed"));
}
