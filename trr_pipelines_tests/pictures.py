"""Pictures for tests, made in code: ordinary ones, and those that are made to do harm.

Every function returns the bytes of a file. Nothing here knows what the decoder should make of them.
"""

from __future__ import annotations

import math
import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image


def photo(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """An RGB picture with the soft shapes and fine grain of a photograph, the same for the same arguments."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8))


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def jpeg(width: int = 400, height: int = 300, *, seed: int = 0) -> bytes:
    return saved(photo(width, height, seed=seed), "JPEG", quality=90)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_zeros(width: int, height: int, *, bit_depth: int = 8, colour_type: int = 2) -> bytes:
    """A PNG all of whose bytes are 0, in a few kilobytes whatever its size."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row = 1 + math.ceil(width * samples * bit_depth / 8)
    packer = zlib.compressobj(9)
    packed = bytearray()
    left = row * height
    while left:
        step = min(left, 1 << 20)
        packed += packer.compress(bytes(step))
        left -= step
    packed += packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", bytes(packed)) + png_chunk(b"IEND", b"")
    )


def png_with_text_bomb(megabytes: int = 100) -> bytes:
    """A small good picture with a compressed comment that unpacks to many megabytes."""
    good = saved(photo(40, 30), "PNG")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(megabytes * 1_000_000), 9))
    after_header = 8 + 25
    return good[:after_header] + bomb + good[after_header:]


def progressive_scan_bomb(side: int = 10_000, scans: int = 3_000) -> bytes:
    """A progressive JPEG whose many nearly empty scans each make the decoder walk over every block again.

    Each refinement scan says "no change" for runs of 32,767 blocks at a time, so that a scan takes a few bytes.
    """
    blocks = math.ceil(side / 8) ** 2
    parts = [b"\xff\xd8"]
    parts.append(_segment(0xDB, b"\0" + bytes([1] * 64)))
    parts.append(_segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\x01\x11\x00"))
    # One DC code (0: "no difference") and two AC codes (0xE0: "the next 16384 + n blocks are done"; 0: "this one is").
    parts.append(_segment(0xC4, b"\x00" + bytes([1] + [0] * 15) + b"\x00"))
    parts.append(_segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\x00"))
    parts.append(_segment(0xDA, b"\x01\x01\x00\x00\x00\x00") + _bits("0" * blocks))
    runs, rest = divmod(blocks, 32_767)
    empty = _bits(("0" + "1" * 14) * runs + _run(rest))
    first = _segment(0xDA, b"\x01\x01\x00\x01\x3f\x01") + empty
    again = _segment(0xDA, b"\x01\x01\x00\x01\x3f\x10") + empty
    parts.append(first)
    parts.extend([again] * scans)
    parts.append(b"\xff\xd9")
    return b"".join(parts)


def _run(blocks: int) -> str:
    """The bits that say "no change" for up to 32,767 blocks."""
    return "0" + format(blocks - 16_384, "014b") if blocks >= 16_384 else "10" * blocks


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def _bits(bits: str) -> bytes:
    """Entropy-coded data: filled up with ones, and 0xFF escaped."""
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\x00")


def gif_of_many_frames(frames: int = 20_000) -> bytes:
    """A GIF of 16 × 16 pixels and `frames` one-pixel frames."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    return screen + frame * frames + b"\x3b"
