"""Copies of a photo with the same pixels and different bytes, for the cost of a copy.

Copy number n has its number in a place that decoders ignore: a JPEG or GIF comment, a PNG text chunk, an unknown WebP
chunk. Its hash, and therefore the photo's identity, is new.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable


def numbered(data: bytes, number: int) -> bytes | None:
    """Copy `number` of a JPEG, PNG, WebP or GIF; None for bytes of another format."""
    for magic, numbering in NUMBERED.items():
        if data.startswith(magic):
            return numbering(data, number)
    return None


def numbered_jpeg(data: bytes, number: int) -> bytes:
    """With a comment segment right after the start of the image."""
    text = _label(number)
    return data[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + data[2:]


def numbered_png(data: bytes, number: int) -> bytes:
    """With a text chunk right after the header chunk, which is always 25 bytes behind the signature."""
    body = b"tEXt" + b"Comment\0" + _label(number)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def numbered_webp(data: bytes, number: int) -> bytes:
    """With an unknown chunk at the end, which readers have to skip."""
    text = _label(number)
    chunk = b"trrn" + struct.pack("<I", len(text)) + text + bytes(len(text) % 2)
    size = struct.unpack("<I", data[4:8])[0]
    whole = data[8 : 8 + size] + bytes(size % 2)
    return b"RIFF" + struct.pack("<I", len(whole) + len(chunk)) + whole + chunk


def numbered_gif(data: bytes, number: int) -> bytes:
    """With a comment block before the trailer."""
    text = _label(number)
    end = data.rindex(b";")
    return data[:end] + b"\x21\xfe" + bytes([len(text)]) + text + b"\0" + data[end:]


NUMBERED: dict[bytes, Callable[[bytes, int], bytes]] = {
    b"\xff\xd8\xff": numbered_jpeg,
    b"\x89PNG\r\n\x1a\n": numbered_png,
    b"RIFF": numbered_webp,
    b"GIF8": numbered_gif,
}


def _label(number: int) -> bytes:
    return f"copy {number}".encode()
