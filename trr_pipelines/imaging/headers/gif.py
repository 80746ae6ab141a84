"""GIF's blocks. Source: the GIF89a specification, sections 17 to 23."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import Header, HeaderError, unpack_at

_IMAGE, _EXTENSION = 0x2C, 0x21
_TEXTS, _APPLICATION = (0x01, 0xFE), 0xFF
_REPEATING = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
_SCREEN_BYTES, _IMAGE_BYTES = 13, 10


def read_header(data: bytes) -> Header:
    width, height = unpack_at("<HH", data, 6)
    images = _image_offsets(data)
    if not images:
        raise HeaderError("it has no picture")
    _, _, right, bottom = _box(data, images[0])
    # A first picture beyond the screen enlarges it, as in the decoder.
    return Header(Size(max(width, right), max(height, bottom)), frames=len(images))


def first_frame_box(data: bytes) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the first picture on the screen; the rest of the screen is empty."""
    return _box(data, _image_offsets(data, at_most=1)[0])


def _box(data: bytes, at: int) -> tuple[int, int, int, int]:
    left, top, width, height = unpack_at("<HHHH", data, at + 1)
    return left, top, left + width, top + height


def has_metadata(data: bytes) -> bool:
    """Whether it has a comment, a text, or an application block other than for repeating an animation."""
    return any(
        data[at] == _EXTENSION
        and (data[at + 1] in _TEXTS or (data[at + 1] == _APPLICATION and data[at + 3 : at + 14] not in _REPEATING))
        for at in _blocks(data)
    )


def is_truncated(data: bytes) -> bool:
    return not data.rstrip(b"\0").endswith(b"\x3b")


def _image_offsets(data: bytes, at_most: int | None = None) -> list[int]:
    """Offsets of the image descriptors, up to damaged bytes."""
    return list(islice((at for at in _blocks(data) if data[at] == _IMAGE), at_most))


def _blocks(data: bytes) -> Iterator[int]:
    """Offsets of image descriptors and extensions, up to damaged bytes."""
    at = _SCREEN_BYTES + _colour_table_bytes(data, 10)
    while at < len(data):
        if data[at] == _IMAGE and at + _IMAGE_BYTES <= len(data):
            yield at
            at += _IMAGE_BYTES + _colour_table_bytes(data, at + 9) + 1
        elif data[at] == _EXTENSION:
            yield at
            at += 2
        elif data[at] == 0:  # padding between blocks, which some writers leave
            at += 1
            continue
        else:
            return
        at = _after_blocks(data, at)


def _colour_table_bytes(data: bytes, flags_at: int) -> int:
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _after_blocks(data: bytes, at: int) -> int:
    while at < len(data) and (length := data[at]):
        at += length + 1
    return at + 1
