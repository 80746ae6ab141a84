"""What a file's own structure tells before any decoder is asked: sizes, counts, where it ends too soon.

Only plain walks over bytes, so that they can run in the process that serves everything else: no decoder, no
allocation that grows with the picture, no loop that does not move forward.
"""

from __future__ import annotations

import struct

from trr_pipelines.imaging.geometry import Size


def webp_size(data: bytes) -> Size | None:
    """The canvas of a WebP file; None when the header is not one of the three kinds.

    Needed because libwebp allocates the canvas as soon as a decoder is made.
    Source: RFC 9649, sections 2.5 to 2.7.
    """
    kind, start = data[12:16], data[20:30]
    if len(start) < 10:
        return None
    if kind == b"VP8X":
        return Size(int.from_bytes(start[4:7], "little") + 1, int.from_bytes(start[7:10], "little") + 1)
    if kind == b"VP8L":
        bits = int.from_bytes(start[1:5], "little")
        return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack("<HH", start[6:10])
        return Size(width & 0x3FFF, height & 0x3FFF)
    return None


def gif_frames(data: bytes) -> int:
    """How many pictures a GIF holds, at least 1; a damaged tail ends the count. Source: GIF89a specification."""
    frames = 0
    at = 13 + _colour_table_bytes(data, 10)
    while at < len(data):
        introducer = data[at]
        if introducer == 0x2C:
            frames += 1
            at += 10 + _colour_table_bytes(data, at + 9) + 1
        elif introducer == 0x21:
            at += 2
        else:
            break
        at = _after_gif_blocks(data, at)
    return max(1, frames)


def _colour_table_bytes(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_gif_blocks(data: bytes, at: int) -> int:
    while at < len(data) and (length := data[at]):
        at += length + 1
    return at + 1


def tiff_pages(data: bytes) -> int:
    """How many pages a TIFF's main chain has, at least 1; a loop or a damaged link ends the count.

    Source: TIFF 6.0, section 2, and the BigTIFF proposal.
    """
    order = "<" if data[:2] == b"II" else ">"
    is_big = data[2:4] in (b"+\x00", b"\x00+")
    offset_format, count_format, entry_bytes = ("Q", "Q", 20) if is_big else ("I", "H", 12)
    seen: set[int] = set()
    at = _unpack_at(order + offset_format, data, 8 if is_big else 4)
    while at and at not in seen:
        entries = _unpack_at(order + count_format, data, at)
        if entries is None:
            break
        seen.add(at)
        at = _unpack_at(order + offset_format, data, at + struct.calcsize("=" + count_format) + entries * entry_bytes)
    return max(1, len(seen))


def _unpack_at(layout: str, data: bytes, at: int) -> int | None:
    if at + struct.calcsize(layout) > len(data):
        return None
    value: int = struct.unpack_from(layout, data, at)[0]
    return value


def ends_too_soon(data: bytes, kind: str) -> bool:
    """Whether the structure of a file that could not be decoded says that bytes at its end are missing."""
    if kind == "png":
        return b"IEND" not in data[-64:]
    if kind == "jpeg":
        return b"\xff\xd9" not in data[-64:]
    if kind == "webp":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if kind == "gif":
        return not data.rstrip(b"\x00").endswith(b"\x3b")
    if kind in ("avif", "heic"):
        return _base_media_bytes(data) > len(data)
    return False


def _base_media_bytes(data: bytes) -> int:
    """Where the last top-level box of an ISO base media file says it ends. Source: ISO/IEC 14496-12, section 4.2."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if size < 8:
            break
        at += size
    return at
