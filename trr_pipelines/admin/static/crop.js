// The crop editor: a 4:5 frame on the whole photo, and a preview of the part that the renderer will cut out. The preview
// uses a transform, because object-position is rounded to whole pixels before the zoom enlarges the rounding.

import { send } from "./http.js";
import { failure, note } from "./toasts.js";
import { refresh, refreshUntilDone } from "./refresh.js";

const RATIO = 4 / 5;
const MAX_ZOOM = 8;

export function start() {
  const root = document.querySelector(".cropper");
  if (root) new Cropper(root);
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, Number.isFinite(value) ? value : low));
const rounded = (value) => Math.round(value * 10000) / 10000;

class Cropper {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector(".crop-stage");
    this.frame = root.querySelector(".crop-frame");
    this.preview = root.querySelector(".crop-preview img");
    this.width = Number(root.dataset.width);
    this.height = Number(root.dataset.height);
    this.signature = root.dataset.signature;
    this.saved = root.dataset.crop ? JSON.parse(root.dataset.crop) : { mode: "auto", x: 50, y: 50, zoom: 1 };
    this.crop = { ...this.saved };
    this.inputs = Object.fromEntries([...root.querySelectorAll("input")].map((input) => [input.name, input]));
    this.listen();
    this.show();
  }

  listen() {
    this.stage.addEventListener("pointerdown", (event) => this.drag(event));
    this.stage.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    this.frame.addEventListener("keydown", (event) => this.onKey(event));
    for (const name of ["x", "y", "zoom"]) {
      this.inputs[name].addEventListener("change", () => this.set({ [name]: Number(this.inputs[name].value) }));
    }
    this.inputs["zoom-range"].addEventListener("input", () => this.set({ zoom: Number(this.inputs["zoom-range"].value) }));
    this.on("[data-save]", () => this.save());
    this.on("[data-auto]", () => this.edit("DELETE", "crop"));
    this.on("[data-undo]", () => this.set({ ...this.saved }));
    document.addEventListener("click", (event) => {
      const restore = event.target.closest("[data-activate]");
      if (restore) this.edit("POST", `crops/${restore.dataset.activate}/activate`, {});
    });
  }

  on(selector, act) {
    this.root.querySelector(selector).addEventListener("click", act);
  }

  // The frame in pixels of the photo.
  box({ x, y, zoom } = this.crop) {
    const width = Math.min(this.width, this.height * RATIO) / zoom;
    const height = width / RATIO;
    return { width, height, left: ((this.width - width) * x) / 100, top: ((this.height - height) * y) / 100 };
  }

  set(changes) {
    const { x, y, zoom } = { ...this.crop, ...changes };
    this.crop = {
      mode: "manual",
      x: rounded(clamp(x, 0, 100)),
      y: rounded(clamp(y, 0, 100)),
      zoom: rounded(clamp(zoom, 1, MAX_ZOOM)),
    };
    this.show();
  }

  // Move the frame's corner to `left` and `top`; an axis that the frame fills stays.
  place(left, top) {
    const { width, height } = this.box();
    const percent = (at, free, now) => (free > 1e-6 ? (100 * at) / free : now);
    this.set({
      x: percent(left, this.width - width, this.crop.x),
      y: percent(top, this.height - height, this.crop.y),
    });
  }

  // Zoom around the centre of the frame.
  zoomTo(zoom) {
    const before = this.box();
    this.set({ zoom });
    const after = this.box();
    this.place(before.left + (before.width - after.width) / 2, before.top + (before.height - after.height) / 2);
  }

  drag(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.frame.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const scale = this.width / this.stage.clientWidth;
    const from = this.box();
    const move = (moved) =>
      this.place(from.left + (moved.clientX - event.clientX) * scale, from.top + (moved.clientY - event.clientY) * scale);
    const end = () => {
      this.stage.removeEventListener("pointermove", move);
      this.stage.removeEventListener("pointerup", end);
      this.stage.removeEventListener("pointercancel", end);
    };
    this.stage.addEventListener("pointermove", move);
    this.stage.addEventListener("pointerup", end);
    this.stage.addEventListener("pointercancel", end);
  }

  onWheel(event) {
    event.preventDefault();
    this.zoomTo(this.crop.zoom * Math.exp(-event.deltaY / 600));
  }

  onKey(event) {
    const { left, top, width, height } = this.box();
    const part = event.shiftKey ? 0.1 : 0.01;
    const moves = {
      ArrowLeft: [-width * part, 0],
      ArrowRight: [width * part, 0],
      ArrowUp: [0, -height * part],
      ArrowDown: [0, height * part],
    };
    if (event.key in moves) this.place(left + moves[event.key][0], top + moves[event.key][1]);
    else if (event.key === "+" || event.key === "=") this.zoomTo(this.crop.zoom * 1.1);
    else if (event.key === "-") this.zoomTo(this.crop.zoom / 1.1);
    else if (event.key === "Enter") this.save();
    else return;
    event.preventDefault();
  }

  show() {
    const { left, top, width, height } = this.box();
    const percent = (part, whole) => `${(100 * part) / whole}%`;
    Object.assign(this.frame.style, {
      left: percent(left, this.width),
      top: percent(top, this.height),
      width: percent(width, this.width),
      height: percent(height, this.height),
    });
    const scale = this.preview.parentElement.clientWidth / width; // preview pixels per photo pixel
    Object.assign(this.preview.style, {
      width: `${this.width}px`,
      height: `${this.height}px`,
      transform: `matrix(${scale}, 0, 0, ${scale}, ${-left * scale}, ${-top * scale})`,
    });
    const { x, y, zoom } = this.crop;
    this.inputs.x.value = x;
    this.inputs.y.value = y;
    this.inputs.zoom.value = zoom;
    this.inputs["zoom-range"].value = zoom;
  }

  save() {
    const { x, y, zoom } = this.crop;
    return this.edit("PUT", "crop", { mode: "manual", x, y, zoom });
  }

  async edit(method, path, body) {
    const expected = this.signature ? { "If-Match": `"${this.signature}"` } : { "If-None-Match": "*" };
    try {
      const { data } = await send(method, `/admin/api/media-assets/${this.root.dataset.photo}/${path}`, body, expected);
      this.signature = data.signature ?? "";
      if (data.crop) {
        this.saved = data.crop;
        this.crop = { ...data.crop };
        this.show();
      }
      this.state(data);
      await refreshUntilDone(() => data.served);
    } catch (problem) {
      if (problem.status === 412) this.conflict(problem, method, path, body);
      else failure(problem, () => this.edit(method, path, body));
    }
  }

  state({ crop, changed, served }) {
    const line = this.root.querySelector("[data-crop-state]");
    line.textContent = !crop ? "Proposing a crop …" : crop.mode === "manual" ? "Manual crop" : "Proposed crop";
    if (!changed) note("The photo already has this crop.");
    else if (served) note("Saved and served.");
    else note("Saved. It is served once it is rendered; until then the previous crop is served.");
  }

  conflict(problem, method, path, body) {
    const theirs = (problem.response?.headers.get("etag") ?? "").replaceAll('"', "");
    note("The crop was changed by someone else in the meantime.", {
      bad: true,
      label: "Use mine",
      action: () => {
        this.signature = theirs;
        this.edit(method, path, body);
      },
    });
    refresh();
  }
}
