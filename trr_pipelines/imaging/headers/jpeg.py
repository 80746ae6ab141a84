"""JPEG's markers up to the first scan. Source: ITU T.81, annex B; CIPA DC-007 for several pictures in one file."""

from __future__ import annotations

from collections.abc import Iterator

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at
from trr_pipelines.imaging.headers.tiff import exif_orientation, first_directory

_START_OF_SCAN, _END_OF_IMAGE, _APP1, _APP2 = 0xDA, 0xD9, 0xE1, 0xE2
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}

_EXIF, _MULTI_PICTURE, _GAIN_MAP = b"Exif\0\0", b"MPF\0", b' hdrgm:Version="'
_NUMBER_OF_IMAGES_TAG = 0xB001

_TAIL_BYTES = 64


def read_header(data: bytes) -> Header:
    size = None
    orientation = UPRIGHT
    frames = 1
    has_exif = has_gain_map = False
    for marker, content in _segments(data):
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
    # A gain map says how to brighten the picture on a bright screen; it is no second picture.
    return Header(size, orientation, 1 if has_gain_map else frames)


def ends_too_soon(data: bytes) -> bool:
    return b"\xff\xd9" not in data[-_TAIL_BYTES:]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers and what they hold, up to the first scan; bytes between segments are passed over."""
    at = 2
    while (at := data.find(b"\xff", at)) != -1 and at + 1 < len(data):
        marker = data[at + 1]
        if marker in (0x00, 0xFF):  # a stuffed byte, or filling before a marker
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        elif marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return
        else:
            (length,) = unpack_at(">H", data, at + 2)
            yield marker, data[at + 4 : at + 2 + length]
            at += 2 + max(2, length)


def _pictures(index: bytes) -> int:
    try:
        values = first_directory(index).values(_NUMBER_OF_IMAGES_TAG)
    except HeaderError:
        return 1
    return max(1, values[0]) if values else 1
