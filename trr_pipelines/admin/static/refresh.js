// Replaces parts of this page with their current content.

const PARTS = ["figures", "facts", "history", "why", "alerts", "retries"];
const EVERY_MS = 1500;
const MAX_TIMES = 40;

// Resolves to whether the page still has open work. If the request fails, the page stays as it is.
export async function refresh() {
  let text;
  try {
    const response = await fetch(location.pathname + location.search, { headers: { "HX-Request": "true" } });
    if (!response.ok) return true;
    text = await response.text();
  } catch {
    return true;
  }
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const isOpen = fresh.querySelector('[data-open="true"]') !== null;
  for (const id of PARTS) {
    const [now, then] = [fresh.getElementById(id), document.getElementById(id)];
    if (!now || !then || now.outerHTML === then.outerHTML) continue;
    const hadFocus = then.contains(document.activeElement);
    then.replaceWith(now);
    if (hadFocus) {
      now.tabIndex = -1;
      now.focus({ preventScroll: true });
    }
  }
  return isOpen;
}

export async function refreshUntilDone(isDone = () => false, every = EVERY_MS, times = MAX_TIMES) {
  for (let time = 0; time < times; time++) {
    const isOpen = await refresh();
    if (!isOpen || isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}
