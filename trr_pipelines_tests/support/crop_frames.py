"""Crops of the application beside a browser's picture of the same frame, by its editor's documented arithmetic.

Nothing of this product decides where a frame lies here: numbers are read and frames are computed from the application's
documentation, and Chromium decodes, turns, scales and cuts the original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import Page

from trr_pipelines.imaging.encode import encode
from trr_pipelines.imaging.recipes import CROP

MOST_DIFFERENCE = 2.0
"""Mean difference of 255 levels over a picture, beyond what lossy encoding alone changes in the browser's picture."""
MOST_DISPLACEMENT = 0.25
"""Pixels of the file by which its content may lie elsewhere than in the browser's picture."""

Layout = Literal["exact", "editor"]
Pixels = npt.NDArray[np.float64]

QUALITY = {target.key: target.quality for target in CROP.targets}["crop_detail"]
_BLOCK = 4
# Below this mean square of its steps between neighbours, in the direction where they are smallest, a picture has too
# little structure to be located: encoding alone moves a smooth gradient by up to a pixel.
_LEAST_STRUCTURE = 0.5


@dataclass(frozen=True)
class Box:
    """A frame in pixels of the turned original; edges may be fractional."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Difference:
    """Mean absolute differences of 255 levels: of single pixels, of means of 4 × 4, of the outermost pixels."""

    pixels: float
    blocks: float
    rim: float


@dataclass(frozen=True)
class Comparison:
    """A file beside the browser's picture of its frame.

    `file` is the file's difference, `encoding` that of the browser's picture saved as the file is: a file of the same
    frame cannot be much closer. `displacement` is between the file and that saved picture, in pixels of the file; None
    for a picture with too little structure.
    """

    file: Difference
    encoding: Difference
    displacement: float | None

    @property
    def is_same_frame(self) -> bool:
        """Whether difference and displacement are within their limits.

        Differences are those of 4 × 4 pixels: in single pixels the scaling filters of Chromium and of the product
        differ too, where a tiny photo has detail of a pixel.
        """
        beyond = self.file.blocks - self.encoding.blocks
        return beyond <= MOST_DIFFERENCE and (self.displacement or 0) <= MOST_DISPLACEMENT


def wanted_frame(width: int, height: int, intent: Mapping[str, Any]) -> Box:
    """The frame that a stored intent means on a turned original: 4:5, (x %, y %) in its middle, pushed inside."""
    x, y = (min(max(float(intent[name]), 0), 100) for name in ("x", "y"))
    zoom = min(max(float(intent.get("zoom", 1)), 1), 4)
    frame_width = min(width, height * 4 / 5) / zoom
    frame_height = frame_width * 5 / 4
    left = min(max(width * x / 100 - frame_width / 2, 0), width - frame_width)
    top = min(max(height * y / 100 - frame_height / 2, 0), height - frame_height)
    return Box(left, top, frame_width, frame_height)


def shown_by_browser(
    page: Page, original: Path, intent: Mapping[str, Any], size: tuple[int, int], layout: Layout = "exact"
) -> Image.Image:
    """A screenshot of an element of `size` pixels that shows the frame of `intent`, on white.

    The layout `editor` places the original in percent of the element; Chromium then moves its edges to whole pixels of
    the screen. `exact` does the same with a matrix, where edges stay fractional.
    """
    html = original.with_name("frame.html")
    html.write_text(
        f"""<!doctype html><meta charset="utf-8"><style>
        body {{ margin: 0; background: white }}
        #frame {{ position: relative; width: {size[0]}px; height: {size[1]}px; overflow: hidden }}
        img {{ position: absolute; left: 0; top: 0; max-width: none; transform-origin: 0 0 }}
        </style><div id="frame"><img></div>"""
    )
    page.set_viewport_size({"width": max(size[0], 100), "height": max(size[1], 100)})
    page.goto(html.as_uri())
    width, height = page.evaluate(
        """async url => {
            const image = document.querySelector("img");
            image.src = url;
            await image.decode();
            return [image.naturalWidth, image.naturalHeight];
        }""",
        original.as_uri(),
    )
    style = _style(Box(0, 0, width, height), wanted_frame(width, height, intent), size, layout)
    page.evaluate(
        """async style => {
            const image = document.querySelector("img");
            image.style.cssText = style;
            await image.decode();
        }""",
        style,
    )
    data = page.screenshot(clip={"x": 0, "y": 0, "width": size[0], "height": size[1]})
    return Image.open(BytesIO(data)).convert("RGB")


def _style(original: Box, frame: Box, size: tuple[int, int], layout: Layout) -> str:
    if layout == "editor":
        return (
            f"left: {-100 * frame.left / frame.width}%; top: {-100 * frame.top / frame.height}%;"
            f" width: {100 * original.width / frame.width}%; height: {100 * original.height / frame.height}%"
        )
    across, down = size[0] / frame.width, size[1] / frame.height
    return f"transform: matrix({across}, 0, 0, {down}, {-frame.left * across}, {-frame.top * down})"


def on_white(data: bytes) -> Image.Image:
    """The picture of a file as a page with a white background shows it."""
    image = Image.open(BytesIO(data))
    if image.mode != "RGBA":
        return image.convert("RGB")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def compare(data: bytes, shown: Image.Image) -> Comparison:
    """Compare a WebP or JPEG file with the browser's picture of its size. All pixels count, the outermost too."""
    image_format = {"WEBP": "webp", "JPEG": "jpeg"}[str(Image.open(BytesIO(data)).format)]
    file, encoded = on_white(data), on_white(encode(shown, image_format, QUALITY, CROP.encoder))
    got, alike, expected = (np.asarray(image, np.float64) for image in (file, encoded, shown))
    moved = _displacement(got.mean(axis=2), alike.mean(axis=2), expected.mean(axis=2))
    return Comparison(_difference(got, expected), _difference(alike, expected), moved)


def _difference(got: Pixels, expected: Pixels) -> Difference:
    difference = np.abs(got - expected)
    rim = np.ones(difference.shape[:2], dtype=bool)
    rim[1:-1, 1:-1] = False
    in_blocks = np.abs(_blocks(got) - _blocks(expected))
    return Difference(float(difference.mean()), float(in_blocks.mean()), float(difference[rim].mean()))


def _blocks(pixels: Pixels) -> Pixels:
    """Means of blocks of 4 × 4 pixels; a part of a block at the right and the lower edge is a block too."""
    for axis in (0, 1):
        length = pixels.shape[axis]
        starts = np.arange(0, length, _BLOCK)
        lengths = np.diff(np.append(starts, length))
        sums = np.add.reduceat(pixels, starts, axis=axis)
        pixels = sums / np.expand_dims(lengths, tuple(other for other in range(3) if other != axis))
    return pixels


def _displacement(got: Pixels, alike: Pixels, expected: Pixels) -> float | None:
    """How far `got` lies from `alike`, in pixels: the shift that explains most of their difference.

    By least squares on the slopes of `expected`, so it is accurate up to about a pixel and too small beyond.
    """
    down, across = np.gradient(expected)
    slopes = np.stack([across.ravel(), down.ravel()])
    structure = slopes @ slopes.T
    if np.linalg.eigvalsh(structure)[0] < _LEAST_STRUCTURE * expected.size:
        return None
    return float(np.hypot(*np.linalg.solve(structure, slopes @ (alike - got).ravel())))
