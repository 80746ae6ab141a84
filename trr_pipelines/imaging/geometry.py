"""Sizes, frames and crops as small immutable values, and their arithmetic.

Coordinates are in pixels of the oriented source; positions of a crop are in percent. No image and no codec belongs
here: everything can be tested with numbers alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from trr_pipelines.errors import InputError

CropMode = Literal["auto", "manual"]

CROP_WIDTH_TO_HEIGHT = 4 / 5
CROP_HEIGHT_TO_WIDTH = 5 / 4
MAX_ZOOM = 4.0

# WebP stores a side in 14 bits; longer pictures are scaled down, so that every key exists in every format.
MAX_OUTPUT_SIDE = 16_383


@dataclass(frozen=True)
class Size:
    """Width and height in whole pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True)
class Frame:
    """A rectangle on the source, in pixels; its edges may be fractional."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Crop:
    """The 4:5 part of a photo around a point: `x` and `y` in percent of its sides (0 to 100), `zoom` from 1 to 4.

    Numbers are rounded to 3 decimals on construction, as `format(value, ".3f")` does, so that a signature has exactly
    one frame.

    Raises:
        InputError: an unknown mode, or a value that is not a number in its range.
    """

    mode: CropMode
    x: float
    y: float
    zoom: float

    def __post_init__(self) -> None:
        if self.mode not in ("auto", "manual"):
            raise InputError(f"crop mode must be 'auto' or 'manual', not {self.mode!r}")
        object.__setattr__(self, "x", _checked("x", self.x, 0.0, 100.0))
        object.__setattr__(self, "y", _checked("y", self.y, 0.0, 100.0))
        object.__setattr__(self, "zoom", _checked("zoom", self.zoom, 1.0, MAX_ZOOM))


def crop_frame(source: Size, crop: Crop) -> Frame:
    """The 4:5 part of `source` that `crop` shows.

    It is the largest 4:5 frame divided by `zoom`, with (`x` %, `y` %) of the photo in its middle, and pushed inside
    where it would leave the photo. The crop editor draws the same.
    """
    width = min(float(source.width), source.height * CROP_WIDTH_TO_HEIGHT) / crop.zoom
    height = width * CROP_HEIGHT_TO_WIDTH
    return Frame(
        left=_pushed_inside(source.width * crop.x / 100 - width / 2, source.width - width),
        top=_pushed_inside(source.height * crop.y / 100 - height / 2, source.height - height),
        width=width,
        height=height,
    )


def crop_output(frame: Frame, target: Size) -> Size:
    """The size of a rendered crop: `target`, or the frame's own size if that is smaller (never upscaled).

    A smaller size keeps 4:5 in whole pixels: its height is rounded half-up and may exceed the frame by less than one.
    """
    if frame.width >= target.width:
        return target
    # The tolerance is for 719.9999999: a whole width with a floating-point error.
    width = max(1, math.floor(frame.width + 1e-9))
    return Size(width, _round_half_up(width * CROP_HEIGHT_TO_WIDTH))


def fit_width(source: Size, width: int) -> Size:
    """The size of `source` scaled to `width`: same aspect, never upscaled, no side above the maximum of WebP."""
    scale = min(1.0, width / source.width, MAX_OUTPUT_SIDE / source.height)
    return Size(max(1, _round_half_up(source.width * scale)), max(1, _round_half_up(source.height * scale)))


def _pushed_inside(start: float, free: float) -> float:
    return min(max(start, 0.0), max(free, 0.0))


def _round_half_up(value: float) -> int:
    return math.floor(value + 0.5)


def _checked(field: str, value: float, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"crop {field} must be a number from {low:g} to {high:g}, not {value!r}")
    if not low <= value <= high:
        raise InputError(f"crop {field} must be from {low:g} to {high:g}, not {value!r}")
    # Adding zero turns -0.0 into 0.0, which would otherwise be signed as "-0.000".
    return float(format(value, ".3f")) + 0.0
