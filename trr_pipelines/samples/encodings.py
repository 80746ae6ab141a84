"""Encoders of the sample photos: one function per kind of file that sources deliver.

Scenes are drawn in `scenes`; the list of files is in `archive`.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

from PIL import Image, ImageDraw

Encoding = Callable[[Image.Image], bytes]

EXIF_ORIENTATION = 0x0112

# The transposition of an upright picture that its orientation reverses: the inverse of those in the Exif 2.32 table (6
# and 8 are each other's inverse, the others their own).
_STORED_AS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def jpeg(picture: Image.Image) -> bytes:
    """A baseline JPEG as cameras and agencies write it."""
    return _saved(picture, "JPEG", quality=88)


def progressive_jpeg(picture: Image.Image) -> bytes:
    """A progressive JPEG without chroma subsampling, as web editors write it."""
    return _saved(picture, "JPEG", quality=85, progressive=True, subsampling=0)


def grey_jpeg(picture: Image.Image) -> bytes:
    """A JPEG with one channel."""
    return _saved(picture.convert("L"), "JPEG", quality=88)


def cmyk_jpeg(picture: Image.Image) -> bytes:
    """A JPEG for print, without a profile; Pillow writes it inverted with Adobe's marker, as Photoshop does."""
    return _saved(picture.convert("CMYK"), "JPEG", quality=88)


def wide_gamut_jpeg(picture: Image.Image) -> bytes:
    """A JPEG with a Display P3 profile, as phones write it."""
    return _saved(picture, "JPEG", quality=88, icc_profile=display_p3_profile())


def turned_jpeg(orientation: int) -> Encoding:
    """A JPEG stored turned or mirrored, with the Exif orientation (1 to 8) that corrects it."""

    def encode(picture: Image.Image) -> bytes:
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        stored = picture.transpose(_STORED_AS[orientation]) if orientation in _STORED_AS else picture
        return _saved(stored, "JPEG", quality=88, exif=exif)

    return encode


def png(picture: Image.Image) -> bytes:
    """An RGB PNG."""
    return _saved(picture, "PNG", compress_level=4)


def opaque_rgba_png(picture: Image.Image) -> bytes:
    """A PNG with a fully opaque alpha channel."""
    return _saved(picture.convert("RGBA"), "PNG", compress_level=4)


def transparent_png(picture: Image.Image) -> bytes:
    """A PNG masked by a soft ellipse: transparent around it, partly transparent along its edge."""
    cover = Image.new("L", (max(1, picture.width // 4), max(1, picture.height // 4)))
    ImageDraw.Draw(cover).ellipse(
        (cover.width * 0.08, cover.height * 0.08, cover.width * 0.92, cover.height * 0.92), 255
    )
    cut = picture.copy()
    cut.putalpha(cover.resize(picture.size, Image.Resampling.BICUBIC))
    return _saved(cut, "PNG", compress_level=4)


def webp(picture: Image.Image) -> bytes:
    """A lossy WebP, as content systems deliver it."""
    return _saved(picture, "WEBP", quality=85, method=2)


def tiff(picture: Image.Image) -> bytes:
    """A deflated TIFF, as archives keep it."""
    return _saved(picture, "TIFF", compression="tiff_adobe_deflate")


def truncated_jpeg(picture: Image.Image) -> bytes:
    """A JPEG whose download stopped at 55 % of its bytes."""
    whole = jpeg(picture)
    return whole[: len(whole) * 55 // 100]


def error_page(_picture: Image.Image) -> bytes:
    """Not an image: an HTML page that a source sent instead."""
    return b"<!doctype html>\n<title>Not found</title>\n<p>The picture that you asked for has moved.</p>\n"


def display_p3_profile() -> bytes:
    """A small ICC v2 matrix profile with Display P3's primaries (SMPTE EG 432-1, adapted to D50) and gamma 2.2."""
    columns = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
        b"wtpt": (0.95045, 1.0, 1.08905),
    }
    gamma = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(2.2 * 256))
    name = b"Display P3\0"
    blocks = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text" + bytes(4) + b"Public domain\0",
        **{tag: b"XYZ " + bytes(4) + b"".join(_fixed(value) for value in xyz) for tag, xyz in columns.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma),
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(blocks)
    for tag, block in blocks.items():
        table += tag + struct.pack(">II", start + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02100000, b"mntr", b"RGB ", b"XYZ ", bytes(12), b"acsp")
    illuminant = _fixed(0.9642) + _fixed(1.0) + _fixed(0.82491)
    return header.ljust(68, b"\0") + illuminant.ljust(60, b"\0") + struct.pack(">I", len(blocks)) + table + body


def _fixed(value: float) -> bytes:
    """ICC's s15Fixed16Number."""
    return struct.pack(">i", round(value * 65536))


def _saved(picture: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()
