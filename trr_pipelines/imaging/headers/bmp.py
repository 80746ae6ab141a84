"""BMP's two headers. Source: Microsoft's description of BITMAPFILEHEADER, BITMAPCOREHEADER and BITMAPINFOHEADER."""

from __future__ import annotations

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import Header, unpack_at

_FILE_HEADER_BYTES = 14
_CORE_HEADER_BYTES = 12


def read_header(data: bytes) -> Header:
    (length,) = unpack_at("<I", data, _FILE_HEADER_BYTES)
    layout = "<HH" if length == _CORE_HEADER_BYTES else "<ii"
    width, height = unpack_at(layout, data, _FILE_HEADER_BYTES + 4)
    return Header(Size(width, abs(height)))  # a negative height: rows are stored from top to bottom


def is_truncated(data: bytes) -> bool:
    return unpack_at("<I", data, 2)[0] > len(data)
