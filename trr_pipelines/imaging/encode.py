"""Pictures to bytes. Nothing but pixels goes in, so nothing but pixels comes out: no EXIF, GPS, XMP, ICC, comments."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image

from trr_pipelines.imaging.recipes import EncoderOptions


def encode(image: Image.Image, image_format: str, quality: int, options: EncoderOptions) -> bytes:
    """`image` (L, RGB or RGBA, without info) as a file of `image_format`; `quality` from 0 to 100, not for PNG."""
    buffer = BytesIO()
    image.save(buffer, image_format, **_ARGUMENTS[image_format](quality, options))
    return buffer.getvalue()


def _webp(quality: int, options: EncoderOptions) -> dict[str, Any]:
    return {"quality": quality, "method": options.webp_method}


def _jpeg(quality: int, options: EncoderOptions) -> dict[str, Any]:
    return {
        "quality": quality,
        "subsampling": options.jpeg_subsampling,
        "progressive": options.jpeg_progressive,
        "optimize": True,
    }


def _png(_: int, options: EncoderOptions) -> dict[str, Any]:
    return {"compress_level": options.png_compress_level}


def _avif(quality: int, options: EncoderOptions) -> dict[str, Any]:
    # One thread: the worker processes already fill the cores, and the bytes must not depend on their number.
    return {"quality": quality, "speed": options.avif_speed, "max_threads": 1}


_ARGUMENTS = {"webp": _webp, "jpeg": _jpeg, "png": _png, "avif": _avif}
