"""Proposing a crop for a photo without one: around its faces, else around salient parts, else the upper third.

Faces are found in `faces`, salient parts in `saliency`. A proposal never zooms, so its frame is as wide or as high as
the photo and moves along the other side only: everything here is arithmetic on that side. Positions and lengths are
fractions of a side of the photo, from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from trr_pipelines.imaging.faces import Face, find_faces
from trr_pipelines.imaging.geometry import Crop, Frame, Size, crop_frame
from trr_pipelines.imaging.saliency import Map, saliency_map

# Change it whenever proposals change: it is the code version of the asset `auto_crops`.
PROPOSAL_VERSION = "faces-saliency-1"

# A fixed zoom lets the decoder reduce a JPEG before the proposal is known.
AUTO_ZOOM = 1.0

# Faces are searched in this many pixels: enough for a face of 1/14 of the height of a 3:2 photo. In a test, 640 × 480
# found no more faces and took a third more time.
_PROPOSAL_PIXELS = 512 * 384

# How far a head extends beyond its face box, in sides of the box: hair above, chin below, ears.
_ABOVE, _BELOW, _BESIDE = 0.4, 0.15, 0.1

# Target positions in the frame of faces and of salient parts: viewers look above the middle of upright pictures. A
# uniform picture loses twice as much below as above.
_MIDDLE = 0.5
_FACES_DOWN = 0.42
_UPPER_THIRD = 1 / 3

# Saliency counts this much less at the far end of the photo than at its middle (or upper third), and must exceed that
# of the usual position by this factor to move the frame.
_FAR_DISCOUNT = 0.25
_WORTH_MOVING = 1.05

# A part of a side that floating-point numbers may be off by.
_ROUNDING = 1e-9


def proposal_size(source: Size) -> Size:
    """The size of the picture that `propose_crop` needs of a photo of size `source`."""
    scale = min(1.0, math.sqrt(_PROPOSAL_PIXELS / source.pixels))
    return Size(max(1, round(source.width * scale)), max(1, round(source.height * scale)))


def propose_crop(source: Size, picture: Image.Image) -> tuple[Crop, str]:
    """The crop to use for a photo of size `source` and why.

    Args:
        source: the size of the photo as shown.
        picture: the whole photo as shown, of `proposal_size`, sRGB in mode L, RGB or RGBA.

    Returns:
        The crop, and its reason: `1 face`, `2 faces`, `2 of 5 faces` if not all fit, `saliency`, `upper third`.
    """
    faces = find_faces(_grey(picture))
    if faces:
        return crop_around_faces(source, faces, Size(*picture.size))
    return crop_by_saliency(source, saliency_map(picture))


def crop_around_faces(source: Size, faces: Sequence[Face], picture: Size) -> tuple[Crop, str]:
    """The crop that shows as many of `faces` as fit, largest first and at least one, and its reason.

    Heads are kept whole, with their hair; of a head that is higher than the frame, the top is kept. Faces are weighted
    by their area.

    Args:
        source: the size of the photo as shown.
        faces: at least one, largest first, in pixels of `picture`.
        picture: the size of the picture in which they were found.
    """
    frame = _frame(source)
    heads = [_Head.of(face, picture) for face in faces]
    kept = heads[:1]
    for head in heads[1:]:
        across, down = _union([*kept, head])
        if across.length <= frame.width and down.length <= frame.height:
            kept.append(head)
    across, down = _union(kept)
    x, y = (float(part) for part in np.average([head.middle for head in kept], axis=0, weights=[h.area for h in kept]))
    crop = Crop(
        "auto",
        _middle(frame.width, x - _MIDDLE * frame.width, _starts_that_hold(across, frame.width), focus=x),
        _middle(frame.height, y - _FACES_DOWN * frame.height, _starts_that_hold(down, frame.height, top=True), focus=y),
        AUTO_ZOOM,
    )
    if len(kept) < len(faces):
        return crop, f"{len(kept)} of {len(faces)} faces"
    return crop, "1 face" if len(faces) == 1 else f"{len(faces)} faces"


def crop_by_saliency(source: Size, saliency: Map) -> tuple[Crop, str]:
    """The crop with the most saliency, and its reason: `saliency`, or `upper third` if the photo is uniform."""
    frame = _frame(source)
    x = _most_salient(saliency.sum(axis=0), frame.width, _MIDDLE)
    y = _most_salient(saliency.sum(axis=1), frame.height, _UPPER_THIRD)
    crop = Crop(
        "auto",
        _middle(frame.width, x * (1 - frame.width), _ANYWHERE, focus=x),
        _middle(frame.height, y * (1 - frame.height), _ANYWHERE, focus=y),
        AUTO_ZOOM,
    )
    return crop, "upper third" if (x, y) == (_MIDDLE, _UPPER_THIRD) else "saliency"


@dataclass(frozen=True)
class _Span:
    """An interval on one side of the photo."""

    start: float
    end: float

    @property
    def length(self) -> float:
        return self.end - self.start


_ANYWHERE = _Span(-math.inf, math.inf)


@dataclass(frozen=True)
class _Head:
    """The extent of a head, and the middle and area of its face."""

    across: _Span
    down: _Span
    middle: tuple[float, float]
    area: float

    @classmethod
    def of(cls, face: Face, picture: Size) -> _Head:
        left, right = face.left - _BESIDE * face.side, face.left + (1 + _BESIDE) * face.side
        top, bottom = face.top - _ABOVE * face.side, face.top + (1 + _BELOW) * face.side
        return cls(
            across=_Span(max(0.0, left / picture.width), min(1.0, right / picture.width)),
            down=_Span(max(0.0, top / picture.height), min(1.0, bottom / picture.height)),
            middle=((face.left + face.side / 2) / picture.width, (face.top + face.side / 2) / picture.height),
            area=face.side**2,
        )


def _union(heads: Sequence[_Head]) -> tuple[_Span, _Span]:
    """The horizontal and vertical extent of all `heads` together."""
    return (
        _Span(min(head.across.start for head in heads), max(head.across.end for head in heads)),
        _Span(min(head.down.start for head in heads), max(head.down.end for head in heads)),
    )


def _frame(source: Size) -> Frame:
    """The size of an auto crop's frame in fractions of the photo's sides; at least one of them is 1."""
    frame = crop_frame(source, Crop("auto", 0, 0, AUTO_ZOOM))
    return Frame(0, 0, frame.width / source.width, frame.height / source.height)


def _starts_that_hold(heads: _Span, length: float, *, top: bool = False) -> _Span:
    """The starts at which a frame of `length` contains all `heads`; if none does, any that shows their `top`."""
    if heads.length <= length:
        return _Span(heads.end - length, heads.start)
    return _Span(-math.inf, heads.start) if top else _ANYWHERE


def _middle(length: float, start: float, allowed: _Span, *, focus: float) -> float:
    """The middle in percent of a frame of `length` that begins at `start`, or as near as `allowed`.

    The crop's numbers have 3 decimals, so the middle is rounded to the side that keeps the frame in `allowed`. If the
    frame takes the whole side, its middle only matters once the crop is zoomed: then it is `focus`.
    """
    free = 1 - length
    if free <= _ROUNDING:
        return 100 * min(max(focus, 0.0), 1.0)
    nearest = 1000 * 100 * (min(max(start, allowed.start, 0.0), allowed.end, free) + length / 2)
    for thousandths in (round(nearest), math.floor(nearest), math.ceil(nearest)):
        begins = min(max(thousandths / 100_000 - length / 2, 0.0), free)
        if allowed.start - _ROUNDING <= begins <= allowed.end + _ROUNDING:
            return thousandths / 1000
    return round(nearest) / 1000


def _most_salient(values: Map, length: float, usual: float) -> float:
    """The share of the free space (0 to 1) before the frame of `length` with most of `values`.

    It is `usual` if the gain is small.
    """
    window = min(len(values), max(1, round(length * len(values))))
    if window == len(values):
        return usual
    # The middle of the frame counts most, so that the salient part is centred.
    weights = np.sin(np.pi * (np.arange(window) + 0.5) / window)
    shown = np.convolve(values, weights, mode="valid")
    positions = np.arange(len(shown)) / (len(shown) - 1)
    scores = shown * (1 - _FAR_DISCOUNT * np.abs(positions - usual) / max(usual, 1 - usual))
    best = int(scores.argmax())
    return float(positions[best]) if scores[best] > _WORTH_MOVING * np.interp(usual, positions, shown) else usual


def _grey(picture: Image.Image) -> Image.Image:
    """The picture in mode L, on middle grey."""
    if picture.mode != "RGBA":
        return picture.convert("L")
    ground = Image.new("RGBA", picture.size, (128, 128, 128, 255))
    return Image.alpha_composite(ground, picture).convert("L")
