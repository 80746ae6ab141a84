"""Samples of 16 bits: their curve is applied before they become 8 bits, or dark tones end in a few bands.

Pillow reduces 16-bit RGB while it decodes, so these samples come from OpenCV's decoder.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from trr_pipelines.imaging.headers import png
from trr_pipelines.imaging.icc import Curve, MatrixProfile, srgb_encoded

# A second decoded copy of larger pictures would not fit beside the first.
MAX_PIXELS: Final = 40_000_000
_STRIP_ROWS: Final = 256
_PHOTOMETRIC, _BITS_PER_SAMPLE, _EXTRA_SAMPLES, _RGB = 262, 258, 338, 2
_PREMULTIPLIED: Final = 1
_PLANES, _ONE_PLANE = 284, 1


def encoded_as_srgb(curve: Curve) -> Any:
    """A table of 65,536 entries: the 8-bit value with the curve of sRGB for each 16-bit value with `curve`."""
    return np.round(srgb_encoded(curve(np.linspace(0, 1, 65_536))) * 255).astype(np.uint8)


def deep_picture(
    image_format: str, data: bytes, file: ImageFile.ImageFile, profile: MatrixProfile
) -> Image.Image | None:
    """The picture in 8 bits with the primaries of `profile` and the curve of sRGB, from its 16-bit samples.

    Returns: RGB or RGBA; None if the file has no 16-bit RGB samples, or too many pixels.
    """
    if not _is_deep(image_format, data, file) or file.width * file.height > MAX_PIXELS:
        return None
    import cv2  # takes 0.1 s, and few files need it

    samples: Any = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    shape = (file.height, file.width, len(file.getbands()))
    if samples is None or samples.dtype != np.uint16 or samples.shape != shape:
        return None
    tables = [encoded_as_srgb(curve) for curve in profile.curves]
    picture = Image.new(file.mode, file.size)
    for top in range(0, file.height, _STRIP_ROWS):
        strip = samples[top : top + _STRIP_ROWS]
        blue, green, red, *alpha = (strip[:, :, channel] for channel in range(strip.shape[2]))
        channels = [table[channel] for table, channel in zip(tables, (red, green, blue), strict=True)]
        channels += [(channel >> 8).astype(np.uint8) for channel in alpha]
        picture.paste(Image.fromarray(np.stack(channels, axis=-1)), (0, top))
    return picture


def _is_deep(image_format: str, data: bytes, file: ImageFile.ImageFile) -> bool:
    if file.mode not in ("RGB", "RGBA") or "transparency" in file.info:
        return False
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        is_straight = _PREMULTIPLIED not in file.tag_v2.get(_EXTRA_SAMPLES, ())
        is_one_plane = file.tag_v2.get(_PLANES, _ONE_PLANE) == _ONE_PLANE  # OpenCV misreads separate ones
        is_rgb = file.tag_v2.get(_PHOTOMETRIC) == _RGB
        return set(file.tag_v2.get(_BITS_PER_SAMPLE, ())) == {16} and is_rgb and is_straight and is_one_plane
    return image_format == "png" and png.bit_depth(data) == 16
