"""JPEG pixels together with the warnings of libjpeg, which decodes damaged data without an error.

Pillow drops these warnings; simplejpeg, which uses the same libjpeg-turbo, reports the last one of a file. Pixels are
equal to Pillow's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types
from PIL import Image, ImageFile

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.headers import jpeg
from trr_pipelines.imaging.pillow_fixes import NO_END_MARKER

# Above this share of missing rows a photo is refused.
MAX_MISSING: Final = 0.05

# Warnings after which pixels are missing or wrong; source: libjpeg's jerror.h. All others concern headers, or bytes
# that the decoder skipped.
_DAMAGE: Final = (
    "premature end of data segment",
    "bad Huffman code",
    "bad arithmetic code",
    "instead of RST",
    "Premature end of JPEG file",
)
_END_OF_IMAGE: Final = b"\xff\xd9"
# libjpeg fills missing blocks of a sequential file with the middle of the range.
_MISSING: Final = 128
_BLOCK_ROWS: Final = 16


@dataclass(frozen=True)
class JpegPixels:
    """The picture in mode L, RGB or CMYK, and warnings."""

    image: Image.Image
    warnings: tuple[str, ...] = ()


def load_pixels(file: ImageFile.ImageFile, data: bytes) -> JpegPixels:
    """The pixels of a JPEG that Pillow has opened but not loaded, at the size that Pillow would give it.

    A file without an end marker is complete if all its pixels are present, with a warning. Up to 5 % missing rows at
    its end are a warning too.

    Args:
        file: Pillow's file of `data`, possibly reduced with `draft`.
        data: the file without metadata.

    Raises:
        PermanentError: `truncated` or `corrupt`, if more pixels are missing or any are wrong.
    """
    samples, problem = _decoded(file, data)
    if problem and jpeg.is_truncated(data):
        samples, problem = _decoded(file, data + _END_OF_IMAGE)
        if not problem:
            return JpegPixels(_image(samples, file.mode), (NO_END_MARKER,))
        if _is_damage(problem):
            return JpegPixels(_image(samples, file.mode), (_require_most_rows(samples, file, data),))
    if samples is None:  # a kind of JPEG that simplejpeg does not decode
        file.load()
        return JpegPixels(file)
    if _is_damage(problem):
        raise PermanentError(Reason.CORRUPT, f"jpeg: {problem}")
    return JpegPixels(_image(samples, file.mode), (f"jpeg: {problem}",) if problem else ())


def _decoded(file: ImageFile.ImageFile, data: bytes) -> tuple[Any, str]:
    """The samples, and the last warning or "". Without samples the decoder refused the file."""
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(file.mode)
    if space is None:
        return None, "unknown mode"
    size = {"min_width": file.width, "min_height": file.height}
    try:
        return _of_size(simplejpeg.decode_jpeg(data, space, **size), file), ""
    except ValueError as error:
        problem = " ".join(str(error).split())
    try:
        return _of_size(simplejpeg.decode_jpeg(data, space, strict=False, **size), file), problem
    except ValueError:
        return None, problem


def _of_size(samples: Any, file: ImageFile.ImageFile) -> Any:
    """`samples`, if they have the size that Pillow announced; None otherwise."""
    return samples if samples.shape[:2] == (file.height, file.width) else None


def _is_damage(problem: str) -> bool:
    return any(phrase in problem for phrase in _DAMAGE)


def _require_most_rows(samples: Any, file: ImageFile.ImageFile, data: bytes) -> str:
    """A warning with the share of rows that are missing at the end. Raises PermanentError above `MAX_MISSING`."""
    if file.info.get("progressive"):  # each of its scans covers all rows
        raise PermanentError(Reason.TRUNCATED, "jpeg: the last scan of a progressive file is incomplete")
    height = file.height
    stored_height = simplejpeg.decode_jpeg_header(data)[0]
    present = np.flatnonzero((samples != _MISSING).reshape(height, -1).any(axis=1))
    complete = (int(present[-1]) + 1 if present.size else 0) - _BLOCK_ROWS * height / stored_height
    share = min(1.0, 1 - complete / height)
    if share > MAX_MISSING:
        raise PermanentError(
            Reason.TRUNCATED, f"jpeg: the last {share:.0%} of the rows are missing, the limit is {MAX_MISSING:.0%}"
        )
    return f"the last {share:.1%} of the rows are missing or incomplete"


def _image(samples: Any, mode: str) -> Image.Image:
    if mode == "CMYK":
        return Image.fromarray(255 - samples, mode="CMYK")
    return Image.fromarray(samples[:, :, 0] if mode == "L" else samples)
