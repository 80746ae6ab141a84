// The face-bank star: answers at once, goes back with the reason when the backend refuses.

import { send } from "./http.js";
import { failure } from "./toasts.js";

const busy = new Set();

export function start() {
  document.addEventListener("click", (event) => {
    const star = event.target.closest(".star");
    if (star) toggle(star);
  });
}

export const isPressed = (star) => star.getAttribute("aria-pressed") === "true";

const all = (link) => document.querySelectorAll(`.star[data-link="${CSS.escape(link)}"]`);

function show(link, pressed) {
  for (const star of all(link)) star.setAttribute("aria-pressed", String(pressed));
}

export async function toggle(star, wanted = !isPressed(star)) {
  const { link, person } = star.dataset;
  const before = isPressed(star);
  show(link, wanted);
  if (busy.has(link)) return; // the request under way looks at the star again when it is back
  busy.add(link);
  let saved = before;
  try {
    for (;;) {
      const now = isPressed(all(link)[0] ?? star);
      if (now === saved) break;
      await send("PATCH", `/admin/api/person/${person}/gallery/${link}/facebank-seed`, { facebank_seed: now });
      saved = now;
    }
    if (saved !== before) tell(link, saved);
  } catch (problem) {
    show(link, saved);
    failure(problem, () => toggle(star, !saved));
  } finally {
    busy.delete(link);
  }
}

function tell(link, pressed) {
  const who = document.querySelector(".who")?.textContent ?? "you";
  const day = new Date().toISOString().slice(0, 10);
  for (const star of all(link)) {
    const line = star.closest(".tile")?.querySelector(".seed-note");
    if (line) line.textContent = `${pressed ? "Seed" : "No seed"} by ${who} · ${day}`;
  }
  document.dispatchEvent(new CustomEvent("trr:seed", { detail: { link } }));
}
