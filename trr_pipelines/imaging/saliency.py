"""Where the eye goes in a picture without faces: a small map of what stands out.

What a crop makes of it is `autocrop`'s.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

Map = npt.NDArray[np.float64]

_PIXELS = 96 * 96


def salience(picture: Image.Image) -> Map:
    """How much each place of a picture as shown (L, RGB or RGBA) stands out: rows by columns, 0 or more.

    A place stands out by how far its colour is from the average of the picture, by how much the colour changes there,
    and by being there at all where other places are transparent. The map has about 9,216 places at most (a picture of
    one pixel by 30,000 has twice that), in the shape of the picture.
    """
    scale = min(1.0, math.sqrt(_PIXELS / (picture.width * picture.height)))
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    pixels = np.asarray(picture.convert("RGBA").resize(size, Image.Resampling.BOX), dtype=np.float64) / 255
    alpha = pixels[..., 3]
    visible = alpha.sum()
    if visible == 0:
        return np.zeros_like(alpha)
    average = (pixels[..., :3] * alpha[..., None]).sum(axis=(0, 1)) / visible
    colour = (pixels[..., :3] - average) * alpha[..., None]
    rarity = (colour**2).sum(axis=2)
    change = sum((np.diff(colour, axis=axis, append=_last(colour, axis)) ** 2).sum(axis=2) for axis in (0, 1))
    presence = alpha if visible < alpha.size else np.zeros_like(alpha)
    result: Map = _share(rarity) + _share(change) + _share(presence)
    return result


def _last(values: Map, axis: int) -> Map:
    return np.take(values, [-1], axis=axis)


def _share(values: Map) -> Map:
    """`values` as parts of their sum; nothing where they are all next to nothing (0.02 of 255 levels, squared)."""
    total = values.sum()
    return values / total if total > values.size * 1e-8 else np.zeros_like(values)
