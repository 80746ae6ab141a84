"""WebP's chunks. Source: RFC 9649, sections 2.3 to 2.7."""

from __future__ import annotations

from collections.abc import Iterator

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError
from trr_pipelines.imaging.headers.tiff import exif_orientation

_APPEARANCE = {b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"}


def read_header(data: bytes) -> Header:
    orientation = UPRIGHT
    frames = 0
    for name, content in _chunks(data):
        if name == b"EXIF":
            orientation = exif_orientation(content)
        elif name == b"ANMF":
            frames += 1
    return Header(_size(data), orientation, max(1, frames))


def has_metadata(data: bytes) -> bool:
    """Whether it has a chunk that is not about the appearance of the picture."""
    return any(name not in _APPEARANCE for name, _ in _chunks(data))


def is_truncated(data: bytes) -> bool:
    return int.from_bytes(data[4:8], "little") + 8 > len(data)


def _size(data: bytes) -> Size:
    kind, start = data[12:16], data[20:30]
    if len(start) == 10 and kind == b"VP8X":
        return Size(int.from_bytes(start[4:7], "little") + 1, int.from_bytes(start[7:10], "little") + 1)
    if len(start) >= 5 and kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if len(start) == 10 and kind == b"VP8 ":
        return Size(int.from_bytes(start[6:8], "little") & 0x3FFF, int.from_bytes(start[8:10], "little") & 0x3FFF)
    raise HeaderError(f"a first chunk of {kind!r}")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2
