// One large photo. Arrow keys move on, loading more photos at the end; the address of the page does not change.

import { restore } from "./offscreen-tiles.js";
import { toggle } from "./stars.js";

let dialog;
let current = null;
const field = (name) => dialog.querySelector(`[data-field="${name}"]`);

export function start() {
  dialog = document.getElementById("lightbox");
  if (!dialog) return;
  document.addEventListener("click", (event) => {
    const photo = event.target.closest("#gallery .photo");
    if (!photo || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    open(photo.closest(".tile"));
  });
  dialog.addEventListener("click", (event) => {
    const step = event.target.closest("[data-step]");
    if (step) move(Number(step.dataset.step));
    else if (event.target.closest("[data-close]") || event.target.classList.contains("stage")) dialog.close();
  });
  dialog.addEventListener("keydown", onKey);
  dialog.addEventListener("close", () => {
    current?.querySelector(".photo")?.focus();
    document.body.append(document.getElementById("toasts"));
  });
  document.addEventListener("trr:seed", () => current && dialog.open && describe());
  const image = field("image");
  image.addEventListener("load", () => (field("wait").textContent = ""));
  image.addEventListener("error", () => {
    if (image.hasAttribute("src")) field("wait").textContent = "Photo failed to load.";
  });
}

function onKey(event) {
  const steps = { ArrowLeft: -1, ArrowRight: 1 };
  if (event.key in steps) move(steps[event.key]);
  else if (event.key === "Home") show(tiles()[0]);
  else if (event.key === "End") show(tiles().at(-1));
  else if (event.key === "s" && field("star").firstElementChild) toggle(field("star").firstElementChild);
  else if (event.key === "o" && !field("original").hidden) field("original").click();
  else return;
  event.preventDefault();
}

const tiles = () => [...document.querySelectorAll("#gallery .tile")];

function open(tile) {
  show(tile);
  if (!dialog.open) dialog.showModal();
}

function move(by) {
  const all = tiles();
  const next = all[all.indexOf(current) + by];
  if (next) show(next);
  else if (by > 0) loadMore();
}

function loadMore() {
  const more = document.querySelector("#gallery .more[hx-get]");
  if (!more) return;
  field("wait").textContent = "Loading more photos …";
  const last = current;
  document.addEventListener(
    "htmx:afterSettle",
    () => {
      if (dialog.open && current === last) {
        field("wait").textContent = "";
        move(1);
      }
    },
    { once: true },
  );
  window.htmx.trigger(more, "retry");
}

function show(tile) {
  if (!tile) return;
  restore(tile);
  current = tile;
  const { detail, caption } = tile.dataset;
  const image = field("image");
  image.removeAttribute("src");
  image.alt = caption;
  const cropped = tile.dataset.cropped === "true";
  image.width = cropped ? 1440 : Number(tile.dataset.width);
  image.height = cropped ? 1800 : Number(tile.dataset.height);
  field("wait").textContent = detail ? "Loading …" : "No image yet.";
  if (detail) image.src = detail;
  image.hidden = !detail;
  describe();
  tile.querySelector(".photo").scrollIntoView({ block: "nearest" });
  const all = tiles();
  const next = all[all.indexOf(tile) + 1];
  if (next?.dataset.detail) new Image().src = next.dataset.detail;
}

function describe() {
  const { caption, saved, size, source, original } = current.dataset;
  const seed = current.querySelector(".seed-note")?.textContent ?? "";
  const message = current.querySelector(".message")?.textContent ?? "";
  field("caption").textContent = caption;
  field("meta").textContent = [message, source, size, saved, seed].filter(Boolean).join(" · ");
  field("original").hidden = !original;
  if (original) field("original").href = original;
  field("page").href = current.querySelector(".photo").href;
  const star = current.querySelector(".star");
  field("star").replaceChildren(...(star ? [star.cloneNode(true)] : []));
}
