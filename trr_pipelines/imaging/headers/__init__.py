"""Header readers: size, orientation, number of frames and truncation of a file, before any decoder runs.

They only walk over bytes, so that they can run in the main process: no decoder, no allocation that grows with the
picture, no loop that does not advance. One module per container.
"""

from __future__ import annotations

from trr_pipelines.imaging.headers import base_media, bmp, gif, jpeg, png, tiff, webp
from trr_pipelines.imaging.headers.header import Header, HeaderError

__all__ = ["Header", "HeaderError", "is_truncated", "may_have_metadata", "read_header", "warnings"]

_READERS = {
    "jpeg": jpeg.read_header,
    "png": png.read_header,
    "webp": webp.read_header,
    "gif": gif.read_header,
    "avif": base_media.read_header,
    "heic": base_media.read_header,
    "tiff": tiff.read_header,
    "bmp": bmp.read_header,
}

_ENDINGS = {
    "jpeg": jpeg.is_truncated,
    "png": png.is_truncated,
    "webp": webp.is_truncated,
    "gif": gif.is_truncated,
    "avif": base_media.is_truncated,
    "heic": base_media.is_truncated,
    "tiff": tiff.is_truncated,
    "bmp": bmp.is_truncated,
}

_METADATA = {
    "jpeg": jpeg.has_metadata,
    "png": png.has_metadata,
    "webp": webp.has_metadata,
    "gif": gif.has_metadata,
    "avif": base_media.has_metadata,
}

_WARNINGS = {"avif": base_media.warnings, "heic": base_media.warnings}


def read_header(image_format: str, data: bytes) -> Header:
    """The header of `data`, a file of `image_format` (a key of `formats.FILE_TYPES`).

    Raises:
        HeaderError: it is missing or invalid.
    """
    try:
        return _READERS[image_format](data)
    except IndexError:
        raise HeaderError("the header is truncated") from None


def is_truncated(image_format: str, data: bytes) -> bool:
    """Whether bytes at the end of a file that could not be decoded are missing, according to its structure."""
    try:
        return _ENDINGS[image_format](data)
    except (HeaderError, IndexError):
        return True


def may_have_metadata(image_format: str, data: bytes) -> bool:
    """Whether a file may have EXIF, XMP or comments; True in doubt."""
    try:
        return image_format not in _METADATA or _METADATA[image_format](data)
    except (HeaderError, IndexError):
        return True


def warnings(image_format: str, data: bytes) -> tuple[str, ...]:
    """What a header says that has no effect on the picture, although the photographer may have meant it."""
    try:
        return _WARNINGS[image_format](data) if image_format in _WARNINGS else ()
    except (HeaderError, IndexError):
        return ()
