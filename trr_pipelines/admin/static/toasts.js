// Short notes at the bottom of the page. A failure stays until it is dismissed; other notes disappear after 5 seconds.

import { signInAddress } from "./http.js";

const SECONDS = 5;

export function note(text, { bad = false, action = null, label = "" } = {}) {
  const toast = document.createElement("div");
  toast.className = bad ? "toast bad" : "toast";
  if (bad) toast.setAttribute("role", "alert");
  const paragraph = document.createElement("p");
  paragraph.textContent = text;
  toast.append(paragraph);
  if (action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    button.addEventListener("click", () => {
      toast.remove();
      action();
    });
    toast.append(button);
  }
  if (bad) {
    const close = document.createElement("button");
    close.type = "button";
    close.className = "quiet";
    close.textContent = "Dismiss";
    close.addEventListener("click", () => toast.remove());
    toast.append(close);
  } else {
    setTimeout(() => toast.remove(), SECONDS * 1000);
  }
  const holder = document.querySelector("dialog[open]") ?? document.body;
  let place = document.getElementById("toasts");
  if (place.parentElement !== holder) holder.append(place);
  while (place.children.length > 3) place.firstElementChild.remove();
  place.append(toast);
  return toast;
}

export function failure(problem, retry = null) {
  if (problem.status === 401) {
    return note(problem.message, { bad: true, label: "Sign in", action: () => location.assign(signInAddress()) });
  }
  return note(problem.message, { bad: true, label: "Try again", action: retry });
}
