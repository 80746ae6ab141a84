"""Encoding pixels only, so that no file has metadata: no EXIF, GPS, XMP, ICC or comments."""

from __future__ import annotations

import math
import zlib
from functools import cache
from io import BytesIO
from typing import Any

from PIL import Image

from trr_pipelines.imaging.graphics import has_saturated_colours, is_graphic
from trr_pipelines.imaging.recipes import EncoderOptions, QuantCurve

_BLOCK = 8


def encode(image: Image.Image, image_format: str, quality: int, options: EncoderOptions) -> bytes:
    """`image` (L, RGB or RGBA, without info) as a file of `image_format`; `quality` from 1 to 100, not for PNG."""
    arguments = _ARGUMENTS[image_format](quality, options)
    if image_format == "jpeg" and has_saturated_colours(image, options.graphic_colours):
        arguments["subsampling"] = options.graphic_jpeg_subsampling
    data = _saved(image, image_format, arguments)
    if image_format == "webp" and is_graphic(image, options.graphic_colours):
        exact = _saved(image, image_format, {"lossless": True, "method": options.webp_method})
        if len(exact) <= options.graphic_lossless_share * len(data):
            return exact
    return data


def _saved(image: Image.Image, image_format: str, arguments: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **arguments)
    return buffer.getvalue()


@cache
def quantisation_table(curve: QuantCurve, quality: int) -> tuple[int, ...]:
    """The 64 steps of `curve`, row by row, at `quality` (1 to 100), scaled as libjpeg scales the standard tables."""
    scale = 50 / quality if quality < 50 else 2 - quality / 50
    steps = []
    for row in range(_BLOCK):
        for column in range(_BLOCK):
            length = min(1.0, math.hypot(row, column) / (_BLOCK - 1))
            step = curve.finest + (curve.coarsest - curve.finest) * length**curve.bend
            steps.append(min(255, max(1, round(step * scale))))
    return tuple(steps)


def _webp(quality: int, options: EncoderOptions) -> dict[str, Any]:
    return {"quality": quality, "method": options.webp_method, "alpha_quality": options.webp_alpha_quality}


def _jpeg(quality: int, options: EncoderOptions) -> dict[str, Any]:
    return {
        "qtables": [quantisation_table(curve, quality) for curve in (options.jpeg_luma, options.jpeg_chroma)],
        "subsampling": options.jpeg_subsampling,
        "progressive": options.jpeg_progressive,
        "optimize": True,
    }


def _png(_: int, options: EncoderOptions) -> dict[str, Any]:
    return {"compress_level": options.png_compress_level, "compress_type": _STRATEGIES[options.png_strategy]}


def _avif(quality: int, options: EncoderOptions) -> dict[str, Any]:
    # One thread: the render processes already use all cores, and the bytes must not depend on the number of threads.
    return {"quality": max(1, quality + options.avif_quality_offset), "speed": options.avif_speed, "max_threads": 1}


_STRATEGIES = {"default": zlib.Z_DEFAULT_STRATEGY, "rle": zlib.Z_RLE}

_ARGUMENTS = {"webp": _webp, "jpeg": _jpeg, "png": _png, "avif": _avif}
