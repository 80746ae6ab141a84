// Selecting photos of a grid, and reprocessing: one photo, the selected ones, or all with the same failure.

import { restore } from "./offscreen-tiles.js";
import { send } from "./http.js";
import { refreshUntilDone } from "./refresh.js";
import { failure, note } from "./toasts.js";

const AT_ONCE = 4;
// The operations page reads the whole archive, so it is refreshed less often than a photo page, for 15 minutes.
const RETRIES_EVERY_MS = 4000;
const RETRIES_TIMES = 225;

export function start() {
  document.addEventListener("click", (event) => {
    const again = event.target.closest("[data-reprocess]");
    if (again) reprocess([again.closest("[data-photo]")]);
    if (event.target.closest("[data-reprocess-selected]")) reprocess(chosen());
    if (event.target.closest("[data-clear]")) choose(false);
    if (event.target.closest("[data-select-all]")) choose(true);
    const many = event.target.closest("[data-reprocess-matching]");
    if (many) reprocessMatching(many);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches(".pick")) onChange(event.target);
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

// The class of a tile says whether it is selected: far out of view it has no checkbox.
const tiles = () => [...document.querySelectorAll("#gallery .tile")];
const chosen = () => [...document.querySelectorAll("#gallery .tile.chosen")];

let last = null;
let isShift = false;
document.addEventListener("click", (event) => (isShift = event.shiftKey), true);

function onChange(box) {
  const tile = box.closest(".tile");
  const all = tiles();
  const [from, to] = [isShift && all.includes(last) ? all.indexOf(last) : all.indexOf(tile), all.indexOf(tile)];
  for (const between of all.slice(Math.min(from, to), Math.max(from, to) + 1)) mark(between, box.checked);
  last = tile;
  count();
}

function mark(tile, isChosen) {
  tile.classList.toggle("chosen", isChosen);
  const box = tile.querySelector(".pick");
  if (box) box.checked = isChosen;
}

function choose(isChosen) {
  for (const tile of tiles()) mark(tile, isChosen);
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
  if (done) note(done === 1 ? "The photo is queued for reprocessing." : `${done} photos are queued for reprocessing.`);
  if (failed.length) failure(first, () => reprocess(failed));
  else choose(false);
}

function markPending(holder) {
  restore(holder);
  holder.classList.remove("failed");
  const badge = holder.querySelector(".badge");
  if (badge) {
    badge.className = "badge pending";
    badge.textContent = "Pending";
  }
  const message = holder.querySelector(".message");
  if (message) message.textContent = "queued for reprocessing";
  holder.querySelector("[data-reprocess]")?.remove();
}

async function reprocessMatching(button) {
  const filter = JSON.parse(button.dataset.reprocessMatching);
  const isConfirmed = button.dataset.price !== undefined;
  button.disabled = true;
  try {
    const { data } = await send("POST", "/admin/api/reprocess", { ...filter, dry_run: !isConfirmed });
    if (isConfirmed) {
      note(`${data.photos} photos are queued for reprocessing.`);
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
