"""JPEG's markers up to the first scan. Source: ITU T.81, annex B; CIPA DC-007 for several pictures in one file."""

from __future__ import annotations

from collections.abc import Iterator

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at
from trr_pipelines.imaging.headers.tiff import exif_is_adobe_rgb, exif_orientation, first_directory

_START_OF_SCAN, _END_OF_IMAGE, _COMMENT = 0xDA, 0xD9, 0xFE
_APP0, _APP1, _APP2, _APP14 = 0xE0, 0xE1, 0xE2, 0xEE
_METADATA = {*range(0xE0, 0xF0), _COMMENT}
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}

# Segments about the storage of colours, with the minimal length that decoders require.
_JFIF, _JFIF_BYTES = b"JFIF\0", 14
_ADOBE, _ADOBE_BYTES = b"Adobe", 12

_PROFILE, _PROFILE_HEAD_BYTES = b"ICC_PROFILE\0", 14
_EXIF, _MULTI_PICTURE, _GAIN_MAP = b"Exif\0\0", b"MPF\0", b' hdrgm:Version="'
_NUMBER_OF_IMAGES_TAG = 0xB001

_TAIL_BYTES = 64


def read_header(data: bytes) -> Header:
    size = None
    orientation = UPRIGHT
    frames = 1
    has_exif = has_gain_map = False
    for marker, _, content in _segments(data):
        if marker in _START_OF_FRAME and size is None:
            height, width = unpack_at(">HH", content, 1)
            size = Size(width, height)
        elif marker == _APP1 and content.startswith(_EXIF) and not has_exif:
            orientation = exif_orientation(content)
            has_exif = True
        elif marker == _APP1 and _GAIN_MAP in content:
            has_gain_map = True
        elif marker == _APP2 and content.startswith(_MULTI_PICTURE):
            frames = _pictures(content.removeprefix(_MULTI_PICTURE))
    if size is None:
        raise HeaderError("no frame header before the first scan")
    # A gain map brightens the picture on HDR screens; it is not a second picture.
    return Header(size, orientation, 1 if has_gain_map else frames)


def has_metadata(data: bytes) -> bool:
    """Whether it has a comment, or application data other than about the storage of colours."""
    return any(
        marker in _METADATA
        and not _is_about_colours(marker, content)
        and not (marker == _APP2 and content.startswith(_PROFILE))
        for marker, _, content in _segments(data)
    )


def is_adobe_rgb(data: bytes) -> bool:
    """Whether its EXIF says that the samples are Adobe RGB."""
    exif = (content for marker, _, content in _segments(data) if marker == _APP1 and content.startswith(_EXIF))
    return exif_is_adobe_rgb(next(exif, b""))


def is_truncated(data: bytes) -> bool:
    return b"\xff\xd9" not in data[-_TAIL_BYTES:]


def bare(data: bytes) -> tuple[bytes, bytes | None]:
    """The file with only what the decoder needs, so that damaged metadata does not fail a photo.

    Returns: the file without comments and application data, except those about the storage of colours; and the ICC
    profile, joined from its parts, or None.
    """
    kept = [data[:2]]
    parts: dict[int, bytes] = {}
    for marker, at, content in _segments(data):
        if marker == _START_OF_SCAN:
            kept.append(data[at:])
        elif marker == _APP2 and content.startswith(_PROFILE) and len(content) > _PROFILE_HEAD_BYTES:
            parts.setdefault(content[len(_PROFILE)], content[_PROFILE_HEAD_BYTES:])
        elif marker not in _METADATA or _is_about_colours(marker, content):
            kept.append(data[at : at + 4 + len(content)])
    return b"".join(kept), b"".join(parts[number] for number in sorted(parts)) or None


def _is_about_colours(marker: int, content: bytes) -> bool:
    if marker == _APP0:
        return content.startswith(_JFIF) and len(content) >= _JFIF_BYTES
    return marker == _APP14 and content.startswith(_ADOBE) and len(content) >= _ADOBE_BYTES


def _segments(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Marker, offset and content of each segment up to the first scan, whose marker is the last.

    Bytes between segments are skipped.
    """
    at = 2
    while (at := data.find(b"\xff", at)) != -1 and at + 1 < len(data):
        marker = data[at + 1]
        if marker in (0x00, 0xFF):  # a stuffed byte, or padding before a marker
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker == _END_OF_IMAGE:
            return
        elif marker == _START_OF_SCAN:
            yield marker, at, b""
            return
        else:
            (length,) = unpack_at(">H", data, at + 2)
            yield marker, at, data[at + 4 : at + 2 + length]
            at += 2 + max(2, length)


def _pictures(index: bytes) -> int:
    try:
        values = first_directory(index).values(_NUMBER_OF_IMAGES_TAG)
    except HeaderError:
        return 1
    return max(1, values[0]) if values else 1
