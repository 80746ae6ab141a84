// Tiles far out of view give up what they hold, and have it again before they come near: of thousands of photos a page
// keeps the nodes of some screens only. The tile itself stays, at its size and with what it says of its photo.

const MANY = 300; // tiles; below that all stay as they are, and the browser finds every caption
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
  for (const tile of tiles) observer.observe(tile); // a tile that is watched already stays watched once
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
  tile.style.minHeight = `${height}px`; // a jump may show it before it is restored: its row must not fall flat
  tile.replaceChildren();
}

// Make sure that a tile holds what it shows.
export function restore(tile) {
  if (!held.has(tile)) return;
  tile.innerHTML = held.get(tile);
  held.delete(tile);
  tile.style.minHeight = "";
  tile.querySelector(".pick").checked = tile.classList.contains("chosen");
}
