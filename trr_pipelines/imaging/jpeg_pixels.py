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

# The warnings of libjpeg, from its jerror.h. After these pixels are missing or wrong.
_DAMAGE: Final = (
    "premature end of data segment",
    "bad Huffman code",
    "bad arithmetic code",
    "instead of RST",
    "Premature end of JPEG file",
)
# These concern headers, or bytes that the decoder skipped. Any other message is an error, for Pillow to report.
_HARMLESS: Final = (
    "extraneous bytes before marker",
    "Inconsistent progression sequence",
    "Invalid SOS parameters",
    "unknown JFIF revision",
    "Unknown Adobe color transform",
    "bad ICC marker",
    "too many scanlines",
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
    has_no_end = bool(problem) and jpeg.is_truncated(data)
    if has_no_end:
        samples, problem = _decoded(file, data + _END_OF_IMAGE)
    if samples is None:
        file.load()
        return JpegPixels(file)
    if not problem:
        warnings = (NO_END_MARKER,) if has_no_end else ()
    elif not _is_damage(problem):
        warnings = (f"jpeg: {problem}",)
    elif has_no_end:
        warnings = (_require_most_rows(samples, file, data),)
    else:
        raise PermanentError(Reason.CORRUPT, f"jpeg: {problem}")
    return JpegPixels(_image(samples, file.mode), warnings)


def _decoded(file: ImageFile.ImageFile, data: bytes) -> tuple[Any, str]:
    """The samples, and the last warning or "". Without samples the decoder failed.

    simplejpeg returns samples after errors as well, unless it is strict: these are dropped.
    """
    space = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(file.mode)
    if space is None:
        return None, "unknown mode"
    size = {"min_width": file.width, "min_height": file.height}
    try:
        return _of_size(simplejpeg.decode_jpeg(data, space, **size), file), ""
    except ValueError as error:
        problem = " ".join(str(error).split())
    if not _is_damage(problem) and not any(phrase in problem for phrase in _HARMLESS):
        return None, problem
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
