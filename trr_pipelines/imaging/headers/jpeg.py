"""JPEG's markers up to the first scan.

Source: ITU T.81, annex B; CIPA DC-007 for several pictures in one file; ISO 21496-1, Adobe and Apple for gain maps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import islice

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
_EXIF, _MULTI_PICTURE = b"Exif\0\0", b"MPF\0"
_NUMBER_OF_IMAGES_TAG, _ENTRIES_TAG, _ENTRY_BYTES = 0xB001, 0xB002, 16

# Classes of pictures that belong to another: large thumbnails, originals of edited pictures, gain maps.
_DEPENDENT_CLASSES = {0x01, 0x04, 0x05}

# A gain map brightens the picture on HDR screens; it is not a second picture. A picture with one has one of the first
# marks in its XMP or APP2; gain maps, depth maps and mattes have one of the others.
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"
_HAS_GAIN_MAP = b"hdrgm:Version"
_AUXILIARY = (b"hdrgm:", b"HDRGainMap", b"AuxiliaryImageType")

# Only this much of an index of pictures is read, so that a malicious one takes milliseconds.
_MOST_ENTRIES, _MOST_SEGMENTS, _MOST_BYTES = 16, 50, 200_000

_SEGMENT_HEAD_BYTES = 4
_TAIL_BYTES = 64


def read_header(data: bytes) -> Header:
    size = None
    orientation = UPRIGHT
    frames, dependent = 1, 0
    has_exif = has_gain_map = False
    for marker, at, content in _segments(data):
        if marker in _START_OF_FRAME and size is None:
            height, width = unpack_at(">HH", content, 1)
            size = Size(width, height)
        elif marker == _APP1 and content.startswith(_EXIF) and not has_exif:
            orientation = exif_orientation(content)
            has_exif = True
        elif (marker == _APP1 and _HAS_GAIN_MAP in content) or (marker == _APP2 and content.startswith(_ISO_GAIN_MAP)):
            has_gain_map = True
        elif marker == _APP2 and content.startswith(_MULTI_PICTURE):
            frames, dependent = _pictures(data, at + _SEGMENT_HEAD_BYTES, content)
    if size is None:
        raise HeaderError("no frame header before the first scan")
    return Header(size, orientation, max(1, frames - max(dependent, int(has_gain_map))))


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


def _pictures(data: bytes, at: int, index: bytes) -> tuple[int, int]:
    """The number of pictures in the index at offset `at`, and how many of them belong to another picture."""
    try:
        directory = first_directory(index.removeprefix(_MULTI_PICTURE))
        entries = directory.content(_ENTRIES_TAG)[_ENTRY_BYTES:]  # the first is of this picture
        number = min(directory.value(_NUMBER_OF_IMAGES_TAG, 1), 1 + len(entries) // _ENTRY_BYTES)
    except HeaderError:
        return 1, 0
    complete = entries[: min(len(entries) // _ENTRY_BYTES, _MOST_ENTRIES) * _ENTRY_BYTES]
    dependent = 0
    for attributes, size, offset, _ in struct.iter_unpack(directory.order + "III4s", complete):
        start = at + len(_MULTI_PICTURE) + offset
        is_dependent = attributes >> 16 & 0xFF in _DEPENDENT_CLASSES
        dependent += is_dependent or _is_auxiliary(data[start : start + min(size, _MOST_BYTES)])
    return number, dependent


def _is_auxiliary(picture: bytes) -> bool:
    """Whether a second picture is a gain map, a depth map or a matte."""
    for marker, _, content in islice(_segments(picture), _MOST_SEGMENTS):
        if marker == _APP1 and any(mark in content for mark in _AUXILIARY):
            return True
        if marker == _APP2 and content.startswith(_ISO_GAIN_MAP):
            return True
    return False
