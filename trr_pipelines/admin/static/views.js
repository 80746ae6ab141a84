// What people saw and how long pictures took: a sample of both goes back to the backend.
// A picture's time runs from its request to its paint. Nothing of it is tied to a person.

import { send } from "./http.js";

const SAMPLED = 0.25; // of page views are timed; all are counted
const MOST_TIMINGS = 60;
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
      timings: timings.splice(0, MOST_TIMINGS),
    }).catch(() => {}); // a figure that is lost harms nobody
  };
  setTimeout(report, AFTER_MS);
}

function watch(gallery, timings) {
  gallery.addEventListener(
    "load",
    (event) => {
      const image = event.target;
      if (!(image instanceof HTMLImageElement) || image.matches(".placeholder") || timings.length >= MOST_TIMINGS) return;
      requestAnimationFrame(() => add(image, timings, performance.now()));
    },
    true,
  );
  // Those that were there before this script.
  for (const image of gallery.querySelectorAll("picture img")) {
    if (image.complete && image.naturalWidth) add(image, timings, 0);
  }
}

// `paintedAt` is 0 for a picture whose paint nobody saw: then its last byte has to do.
function add(image, timings, paintedAt) {
  if (timed.has(image.currentSrc)) return; // a tile that came back: its picture was there already
  const [entry] = performance.getEntriesByName(image.currentSrc, "resource");
  if (!entry) return;
  timed.add(image.currentSrc);
  timings.push({ key: keyOf(image.currentSrc), ms: Math.round((paintedAt || entry.responseEnd) - entry.startTime) });
}

// Keys of objects end in the rendition: …/card.webp; anything else is an original.
function keyOf(url) {
  const name = new URL(url).pathname.split("/").at(-1).split(".")[0];
  return ["thumb", "card", "detail", "crop_card", "crop_detail"].includes(name) ? name : "original";
}
