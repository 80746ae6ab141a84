// htmx requests: no empty parameters in addresses, and failures keep the page as it is.

import { restore } from "./offscreen-tiles.js";
import { messageOf } from "./http.js";
import { failure } from "./toasts.js";

export function start() {
  document.addEventListener("htmx:configRequest", (event) => {
    const { parameters } = event.detail;
    for (const [name, value] of [...Object.entries(parameters)]) if (value === "") delete parameters[name];
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => onFailure(event.detail));
  }
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest("input, select, textarea, dialog");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
      const search = document.getElementById("q");
      if (search) {
        search.focus();
        event.preventDefault();
      }
    }
    if (event.key.startsWith("Arrow") && event.target.matches?.(".photo")) moveFocus(event);
  });
}

function onFailure({ xhr, elt }) {
  let data = null;
  try {
    data = JSON.parse(xhr.responseText);
  } catch {
    // Truncated or missing.
  }
  const message = xhr.status ? messageOf(xhr.status, data) : "The app is not reachable.";
  const trigger = elt.matches("form") ? "submit" : "retry";
  failure({ status: xhr.status, message }, () => window.htmx.trigger(elt, trigger));
}

function moveFocus(event) {
  const tiles = [...document.querySelectorAll("#gallery .tile")];
  const columns = getComputedStyle(tiles[0].parentElement).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const tile = tiles[tiles.indexOf(event.target.closest(".tile")) + step];
  if (!tile) return;
  restore(tile);
  tile.querySelector(".photo").focus();
  event.preventDefault();
}
