// Replacing the original with an uploaded file.

import { send } from "./http.js";
import { failure, note } from "./toasts.js";
import { refreshUntilDone } from "./refresh.js";

const MAX_BYTES = 50_000_000;

export function start() {
  document.addEventListener("submit", (event) => {
    const form = event.target.closest("form[data-original]");
    if (!form) return;
    event.preventDefault();
    replace(form);
  });
}

async function replace(form) {
  const [file] = form.elements.file.files;
  const button = form.querySelector("button");
  if (file.size > MAX_BYTES) {
    failure(new Error(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB, the limit is 50 MB.`));
    return;
  }
  button.disabled = true;
  button.textContent = "Sending …";
  try {
    const { data } = await send("PUT", `/admin/api/media-assets/${form.dataset.original}/original`, file);
    note(data.changed ? "The new original is in place; its files are being rendered." : "This is already the original.");
    form.reset();
    await refreshUntilDone();
    location.reload(); // the crop editor must show the new photo
  } catch (problem) {
    failure(problem, () => replace(form));
  }
  button.disabled = false;
  button.textContent = "Replace";
}
