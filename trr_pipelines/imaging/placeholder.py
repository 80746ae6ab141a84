"""Placeholders of photos: a ThumbHash of about 25 bytes, and the dominant colour.

The format follows the public description of ThumbHash; this implementation uses matrices.
"""

from __future__ import annotations

import base64
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

_Array = npt.NDArray[np.float64]

_HASH_SIDE = 100
_COLOUR_BITS = 4
_VISIBLE_ALPHA = 128


class _Channel(NamedTuple):
    constant: float
    waves: list[float]
    scale: float


def thumb_hash(picture: Image.Image) -> str:
    """The ThumbHash of a picture as shown (L, RGB or RGBA), in base64."""
    small = picture.convert("RGBA")
    small.thumbnail((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, dtype=np.float64) / 255
    height, width = pixels.shape[:2]
    colour, alpha = pixels[..., :3], pixels[..., 3]
    total = alpha.sum()
    average = (colour * alpha[..., None]).sum(axis=(0, 1)) / total if total else np.zeros(3)
    over = colour * alpha[..., None] + average * (1 - alpha[..., None])
    red, green, blue = over[..., 0], over[..., 1], over[..., 2]
    has_alpha = bool(total < width * height)
    most = 5 if has_alpha else 7
    columns = max(1, _round(most * width / max(width, height)))
    rows = max(1, _round(most * height / max(width, height)))

    light = _cosines((red + green + blue) / 3, max(3, columns), max(3, rows))
    yellow = _cosines((red + green) / 2 - blue, 3, 3)
    magenta = _cosines(red - green, 3, 3)
    is_landscape = width > height
    head = (
        _round(63 * light.constant)
        | _round(31.5 + 31.5 * yellow.constant) << 6
        | _round(31.5 + 31.5 * magenta.constant) << 12
        | _round(31 * light.scale) << 18
        | has_alpha << 23
    )
    shape = (
        (rows if is_landscape else columns)
        | _round(63 * yellow.scale) << 3
        | _round(63 * magenta.scale) << 9
        | is_landscape << 15
    )
    encoded = bytearray(head.to_bytes(3, "little") + shape.to_bytes(2, "little"))
    waves = light.waves + yellow.waves + magenta.waves
    if has_alpha:
        opacity = _cosines(alpha, 5, 5)
        encoded.append(_round(15 * opacity.constant) | _round(15 * opacity.scale) << 4)
        waves += opacity.waves
    encoded += _nibbles([_round(15 * wave) for wave in waves])
    return base64.b64encode(bytes(encoded)).decode("ascii")


def dominant_colour(picture: Image.Image) -> str:
    """The colour (`#rrggbb`) of the largest cluster of visible pixels of a picture (L, RGB or RGBA)."""
    small = picture.convert("RGBA")
    small.thumbnail((_HASH_SIDE, _HASH_SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small).reshape(-1, 4)
    visible = pixels[pixels[:, 3] >= _VISIBLE_ALPHA, :3].astype(np.int64)
    if not len(visible):
        return "#000000"
    buckets = visible >> (8 - _COLOUR_BITS)
    codes = buckets[:, 0] << 2 * _COLOUR_BITS | buckets[:, 1] << _COLOUR_BITS | buckets[:, 2]
    red, green, blue = visible[codes == np.bincount(codes).argmax()].mean(axis=0)
    return f"#{_round(red):02x}{_round(green):02x}{_round(blue):02x}"


def _cosines(channel: _Array, columns: int, rows: int) -> _Channel:
    """The lowest cosine waves of `channel`, in the triangle below the diagonal, each scaled to 0..1."""
    height, width = channel.shape
    across = np.cos(np.pi / width * np.outer(np.arange(columns), np.arange(width) + 0.5))
    down = np.cos(np.pi / height * np.outer(np.arange(rows), np.arange(height) + 0.5))
    factors = down @ channel @ across.T / (width * height)
    waves = [
        float(factors[row, column])
        for row in range(rows)
        for column in range(columns)
        if (row or column) and column * rows < columns * (rows - row)
    ]
    scale = max((abs(wave) for wave in waves), default=0.0)
    return _Channel(float(factors[0, 0]), [0.5 + 0.5 / scale * wave if scale else wave for wave in waves], scale)


def _nibbles(values: list[int]) -> bytes:
    even = [*values, 0] if len(values) % 2 else values
    return bytes(low | high << 4 for low, high in zip(even[::2], even[1::2], strict=True))


def _round(value: float) -> int:
    return math.floor(value + 0.5)
