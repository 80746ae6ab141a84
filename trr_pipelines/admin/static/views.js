// Reports gallery views, and image load times of a sample of them, to the backend. A load time runs from the request of
// an image to its paint. No report names a person.

import { send } from "./http.js";

const SAMPLED = 0.25; // of page views are timed; all are counted
const MAX_TIMINGS = 60;
const AFTER_MS = 4000;

const timed = new Set();

export function start() {
  const gallery = document.getElementById("gallery");
  if (!gallery) return;
  const timings = [];
  if (Math.random() < SAMPLED) watch(gallery, timings);
  const report = () => {
    if (!gallery.dataset.entity) return;
    const { entity, entityKind, season } = gallery.dataset;
    send("POST", "/admin/api/views", {
      entity_kind: entityKind,
      entity_id: entity,
      season: season === undefined ? null : Number(season),
      photos: gallery.querySelectorAll(".tile").length,
      timings: timings.splice(0, MAX_TIMINGS),
    }).catch(() => {}); // losing a report does no harm
  };
  setTimeout(report, AFTER_MS);
}

function watch(gallery, timings) {
  gallery.addEventListener(
    "load",
    (event) => {
      const image = event.target;
      if (!(image instanceof HTMLImageElement) || image.matches(".placeholder") || timings.length >= MAX_TIMINGS) return;
      requestAnimationFrame(() => add(image, timings, performance.now()));
    },
    true,
  );
  // Images that loaded before this script.
  for (const image of gallery.querySelectorAll("picture img")) {
    if (image.complete && image.naturalWidth) add(image, timings, 0);
  }
}

// `paintedAt` is 0 for an image whose paint was missed: its last byte counts instead.
function add(image, timings, paintedAt) {
  if (timed.has(image.currentSrc)) return; // a restored tile: its image was loaded before
  const [entry] = performance.getEntriesByName(image.currentSrc, "resource");
  if (!entry) return;
  timed.add(image.currentSrc);
  timings.push({ key: keyOf(image.currentSrc), ms: Math.round((paintedAt || entry.responseEnd) - entry.startTime) });
}

// Object keys end in the rendition key: …/card.webp; any other name is an original.
function keyOf(url) {
  const name = new URL(url).pathname.split("/").at(-1).split(".")[0];
  return ["thumb", "card", "detail", "crop_card", "crop_detail"].includes(name) ? name : "original";
}
