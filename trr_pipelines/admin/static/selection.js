// Choosing photos of a grid, and doing them again: one, the chosen ones, or all of a kind of failure.

import { send } from "./http.js";
import { refreshUntilDone } from "./refresh.js";
import { failure, note } from "./toasts.js";

const AT_ONCE = 4;
// The page of operations reads the whole archive: it is asked for less often than a photo's, for a quarter of an hour.
const RETRIES_EVERY_MS = 4000;
const RETRIES_TIMES = 225;

export function start() {
  document.addEventListener("click", (event) => {
    const again = event.target.closest("[data-reprocess]");
    if (again) reprocess([again.closest("[data-photo]")]);
    if (event.target.closest("[data-reprocess-selected]")) reprocess(chosen());
    if (event.target.closest("[data-clear]")) choose(() => false);
    if (event.target.closest("[data-select-all]")) choose(() => true);
    const many = event.target.closest("[data-reprocess-matching]");
    if (many) reprocessMatching(many);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".pick input")) onChange(event.target);
  });
  document.addEventListener("htmx:afterSettle", count);
  if (document.querySelector('#retries[data-open="true"]')) followRetries();
}

let isFollowing = false;

async function followRetries() {
  if (isFollowing) return;
  isFollowing = true;
  await refreshUntilDone(() => false, RETRIES_EVERY_MS, RETRIES_TIMES);
  isFollowing = false;
}

const boxes = () => [...document.querySelectorAll(".pick input")];
const chosen = () => boxes().filter((box) => box.checked).map((box) => box.closest(".tile"));

let last = null;
let isShift = false;
document.addEventListener("click", (event) => (isShift = event.shiftKey), true);

function onChange(box) {
  const all = boxes();
  if (isShift && last && all.includes(last)) {
    const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
    for (const between of all.slice(from, to)) between.checked = box.checked;
  }
  last = box;
  count();
}

function choose(isChosen) {
  for (const box of boxes()) box.checked = isChosen(box);
  count();
}

function count() {
  const bar = document.querySelector(".selection");
  if (!bar) return;
  const number = chosen().length;
  bar.hidden = number === 0;
  bar.querySelector("[data-count]").textContent = number;
  document.getElementById("gallery")?.classList.toggle("picking", number > 0);
}

async function reprocess(holders) {
  const waiting = [...holders];
  const failed = [];
  let first = null;
  const work = async () => {
    for (let holder = waiting.shift(); holder; holder = waiting.shift()) {
      try {
        await send("POST", `/admin/api/media-assets/${holder.dataset.photo}/reprocess`, {});
        markPending(holder);
      } catch (problem) {
        first ??= problem;
        failed.push(holder);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  const done = holders.length - failed.length;
  if (done) note(done === 1 ? "The photo will be done again." : `${done} photos will be done again.`);
  if (failed.length) failure(first, () => reprocess(failed));
  else choose(() => false);
}

function markPending(holder) {
  holder.classList.remove("failed");
  const badge = holder.querySelector(".badge");
  if (badge) {
    badge.className = "badge pending";
    badge.textContent = "Pending";
  }
  const says = holder.querySelector(".says");
  if (says) says.textContent = "will be done again";
  holder.querySelector("[data-reprocess]")?.remove();
}

async function reprocessMatching(button) {
  const wanted = JSON.parse(button.dataset.reprocessMatching);
  const isSure = button.dataset.price !== undefined;
  button.disabled = true;
  try {
    const { data } = await send("POST", "/admin/api/reprocess", { ...wanted, dry_run: !isSure });
    if (isSure) {
      note(`${data.photos} photos will be done again.`);
      button.textContent = "Done";
      followRetries();
      return;
    }
    const minutes = data.minutes === null ? "" : `, about ${Math.max(1, Math.round(data.minutes))} min`;
    button.dataset.price = data.photos;
    button.textContent = `Retry ${data.photos} photos${minutes}`;
  } catch (problem) {
    failure(problem);
  }
  button.disabled = false;
}
