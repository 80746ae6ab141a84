// The crop editor: a 4:5 frame on the whole photo, and a preview of the part that the renderer will cut out. Both are placed
// in percent by the arithmetic of `imaging/geometry.py`: (x %, y %) is the middle of the frame, pushed inside.

import { send } from "./http.js";
import { failure, note } from "./toasts.js";
import { refresh, refreshUntilDone } from "./refresh.js";

const RATIO = 4 / 5;
const MAX_ZOOM = 4;
const STILL = 1e-6; // pixels of the photo

export function start() {
  const root = document.querySelector(".cropper");
  if (root) new Cropper(root);
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, Number.isFinite(value) ? value : low));
const rounded = (value) => Number(value.toFixed(3));
const percent = (part, whole) => `${(100 * part) / whole}%`;

class Cropper {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector(".crop-stage");
    this.frame = root.querySelector(".crop-frame");
    this.preview = root.querySelector(".crop-preview img");
    this.width = Number(root.dataset.width);
    this.height = Number(root.dataset.height);
    this.signature = root.dataset.signature;
    // The own crop of a link, or the photo's active crop.
    this.path = root.dataset.link ? `crop?link_id=${root.dataset.link}` : "crop";
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
    this.on("[data-auto]", () => this.edit("DELETE", this.path));
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
    return {
      width,
      height,
      left: clamp((this.width * x) / 100 - width / 2, 0, this.width - width),
      top: clamp((this.height * y) / 100 - height / 2, 0, this.height - height),
    };
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

  // Move the frame by pixels of the photo from `box`. On an axis where it does not move, the number stays.
  move(across, down, { width, height, left, top } = this.box()) {
    const now = this.box();
    const toLeft = clamp(left + across, 0, this.width - width);
    const toTop = clamp(top + down, 0, this.height - height);
    this.set({
      ...(Math.abs(toLeft - now.left) > STILL && { x: (100 * (toLeft + width / 2)) / this.width }),
      ...(Math.abs(toTop - now.top) > STILL && { y: (100 * (toTop + height / 2)) / this.height }),
    });
  }

  drag(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.frame.focus({ preventScroll: true });
    this.stage.setPointerCapture(event.pointerId);
    const scale = this.width / this.stage.clientWidth;
    const from = this.box();
    const move = (moved) =>
      this.move((moved.clientX - event.clientX) * scale, (moved.clientY - event.clientY) * scale, from);
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
    this.set({ zoom: this.crop.zoom * Math.exp(-event.deltaY / 600) });
  }

  onKey(event) {
    const { width, height } = this.box();
    const part = event.shiftKey ? 0.1 : 0.01;
    const moves = {
      ArrowLeft: [-width * part, 0],
      ArrowRight: [width * part, 0],
      ArrowUp: [0, -height * part],
      ArrowDown: [0, height * part],
    };
    if (event.key in moves) this.move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") this.set({ zoom: this.crop.zoom * 1.1 });
    else if (event.key === "-") this.set({ zoom: this.crop.zoom / 1.1 });
    else if (event.key === "Enter") this.save();
    else return;
    event.preventDefault();
  }

  show() {
    const { left, top, width, height } = this.box();
    Object.assign(this.frame.style, {
      left: percent(left, this.width),
      top: percent(top, this.height),
      width: percent(width, this.width),
      height: percent(height, this.height),
    });
    Object.assign(this.preview.style, {
      left: percent(-left, width),
      top: percent(-top, height),
      width: percent(this.width, width),
      height: percent(this.height, height),
    });
    const { x, y, zoom } = this.crop;
    this.inputs.x.value = x;
    this.inputs.y.value = y;
    this.inputs.zoom.value = zoom;
    this.inputs["zoom-range"].value = zoom;
  }

  save() {
    const { x, y, zoom } = this.crop;
    return this.edit("PUT", this.path, { mode: "manual", x, y, zoom });
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
    const none = served ? "No crop" : "Proposing a crop …";
    line.textContent = !crop ? none : crop.mode === "manual" ? "Manual crop" : "Proposed crop";
    if (!changed) note("The photo already has this crop.");
    else if (!crop && served) note("The crop is removed.");
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
