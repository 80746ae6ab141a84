"""What a file's own structure tells before any decoder is asked: sizes, orientation, counts, where it ends too soon.

Only plain walks over bytes, so that they can run in the process that serves everything else: no decoder, no
allocation that grows with the picture, no loop that does not move forward. One module for each container.
"""

from __future__ import annotations

from trr_pipelines.imaging.headers import base_media, bmp, gif, jpeg, png, tiff, webp
from trr_pipelines.imaging.headers.header import Header, HeaderError

__all__ = ["Header", "HeaderError", "carries_metadata", "ends_too_soon", "read_header"]

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
    "jpeg": jpeg.ends_too_soon,
    "png": png.ends_too_soon,
    "webp": webp.ends_too_soon,
    "gif": gif.ends_too_soon,
    "avif": base_media.ends_too_soon,
    "heic": base_media.ends_too_soon,
    "tiff": tiff.ends_too_soon,
    "bmp": bmp.ends_too_soon,
}

_METADATA = {
    "jpeg": jpeg.carries_metadata,
    "png": png.carries_metadata,
    "webp": webp.carries_metadata,
    "gif": gif.carries_metadata,
    "avif": base_media.carries_metadata,
}


def read_header(image_format: str, data: bytes) -> Header:
    """The header of `data`, a file of `image_format` (a key of `formats.FILE_TYPES`).

    Raises:
        HeaderError: it is missing or makes no sense.
    """
    try:
        return _READERS[image_format](data)
    except IndexError:
        raise HeaderError("the header is cut short") from None


def ends_too_soon(image_format: str, data: bytes) -> bool:
    """Whether the structure of a file that could not be decoded says that bytes at its end are missing."""
    try:
        return _ENDINGS[image_format](data)
    except (HeaderError, IndexError):
        return True


def carries_metadata(image_format: str, data: bytes) -> bool:
    """Whether a file may say more than how its picture looks: EXIF, XMP, comments. In doubt it does."""
    try:
        return image_format not in _METADATA or _METADATA[image_format](data)
    except (HeaderError, IndexError):
        return True
