"""Saliency: a small map of what attracts the eye in a picture without faces. Crops are made of it in `autocrop`."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

Map = npt.NDArray[np.float64]

_PIXELS = 96 * 96


def saliency_map(picture: Image.Image) -> Map:
    """The saliency of a picture as shown (L, RGB or RGBA), of shape (rows, columns), 0 or more.

    It is the sum of three parts: the distance of a place's colour from the average of the picture, the change of colour
    there, and its opacity if other places are transparent. The map has the shape of the picture and at most about 9,216
    places (twice that for one pixel by 30,000).
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
    """`values` as fractions of their sum; zeros if they are all negligible (0.02 of 255 levels, squared)."""
    total = values.sum()
    return values / total if total > values.size * 1e-8 else np.zeros_like(values)
