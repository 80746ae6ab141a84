"""The placeholder of a tile until its photo has loaded: a ThumbHash as an image of a few pixels, in a data: URL.

Drawn on the server, so that it comes with the page and needs no script.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

SIDE = 10  # pixels; a ThumbHash has at most seven waves a side, and the browser smooths when it enlarges

_Array = npt.NDArray[np.float64]


@lru_cache(maxsize=4096)
def placeholder_url(thumb_hash: str | None) -> str:
    """The ThumbHash (base64) as a PNG in a data: URL; empty for None and for an invalid ThumbHash."""
    try:
        pixels = _pixels(base64.b64decode(thumb_hash or "", validate=True))
    except (binascii.Error, ValueError, IndexError):
        return ""
    return "data:image/png;base64," + base64.b64encode(_png(pixels)).decode()


def _pixels(code: bytes) -> npt.NDArray[np.uint8]:
    """8-bit RGB of shape (rows, columns, 3). Raises IndexError for a code that is too short."""
    head, shape = int.from_bytes(code[:3], "little"), code[3] | code[4] << 8
    has_alpha, is_landscape = head >> 23 & 1, shape >> 15 & 1
    most, least = 5 if has_alpha else 7, max(1, shape & 7)
    columns, rows = (most, least) if is_landscape else (least, most)
    width = SIDE if is_landscape else max(1, round(SIDE * columns / rows))
    height = max(1, round(SIDE * rows / columns)) if is_landscape else SIDE
    nibbles = iter([half for byte in code[6 if has_alpha else 5 :] for half in (byte & 15, byte >> 4)])

    def channel(constant: float, scale: float, columns: int, rows: int) -> _Array:
        values = np.full((height, width), constant)
        for row in range(rows):
            for column in range(columns):
                if (row or column) and column * rows < columns * (rows - row):
                    wave = (next(nibbles, 7.5) / 7.5 - 1) * scale * 2
                    values += wave * np.outer(_cosine(row, height), _cosine(column, width))
        return values

    light = channel((head & 63) / 63, (head >> 18 & 31) / 31, max(3, columns), max(3, rows))
    yellow = channel((head >> 6 & 63) / 31.5 - 1, (shape >> 3 & 63) / 63, 3, 3)
    magenta = channel((head >> 12 & 63) / 31.5 - 1, (shape >> 9 & 63) / 63, 3, 3)
    blue = light - 2 / 3 * yellow
    red = (3 * light - blue + magenta) / 2
    stacked = np.stack([red, red - magenta, blue], axis=2)
    return (stacked.clip(0, 1) * 255).round().astype(np.uint8)


def _cosine(wave: int, pixels: int) -> _Array:
    wave_at: _Array = np.cos(np.pi / pixels * wave * (np.arange(pixels) + 0.5))
    return wave_at


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
