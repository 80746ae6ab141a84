// Empties tiles that are far out of view and restores them before they come near, so that a page of thousands of photos
// has the nodes of a few screens only. The tile element keeps its size and its data attributes.

const MANY = 300; // tiles; with fewer, none is emptied, and the browser's search finds every caption
const NEAR = "300% 0px"; // three screens above and below

const held = new WeakMap(); // tile: its HTML
let observer = null;

export function start() {
  document.addEventListener("htmx:afterSettle", watch);
}

function watch() {
  const tiles = document.querySelectorAll("#gallery .tile");
  if (tiles.length <= MANY) return;
  observer ??= new IntersectionObserver(onMove, { rootMargin: NEAR });
  for (const tile of tiles) observer.observe(tile); // observing a tile twice has no effect
}

function onMove(entries) {
  for (const { target, isIntersecting, boundingClientRect } of entries) {
    if (isIntersecting) restore(target);
    else empty(target, boundingClientRect.height);
  }
}

function empty(tile, height) {
  if (held.has(tile) || tile.matches(":focus-within, :has([aria-busy])")) return;
  held.set(tile, tile.innerHTML);
  tile.style.minHeight = `${height}px`; // scrolling may show it before it is restored; its row must keep its height
  tile.replaceChildren();
}

// Put the content of an emptied tile back.
export function restore(tile) {
  if (!held.has(tile)) return;
  tile.innerHTML = held.get(tile);
  held.delete(tile);
  tile.style.minHeight = "";
  tile.querySelector(".pick").checked = tile.classList.contains("chosen");
}
