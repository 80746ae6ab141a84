"""Pictures for tests, generated in code: ordinary and malicious ones.

Most functions return the bytes of a file. What the decoder should do with them is decided by the tests.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from trr_pipelines_tests import tiff_files


def photo(width: int, height: int, *, seed: int = 0) -> Image.Image:
    """A deterministic RGB picture with the soft shapes and fine grain of a photograph."""
    return Image.fromarray(_samples(width, height, seed))


@lru_cache(maxsize=4)  # drawing takes 0.15 s a megapixel, and cases of one test draw the same picture
def _samples(width: int, height: int, seed: int) -> Any:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (max(2, height // 40), max(2, width // 40), 3), dtype=np.uint8)
    soft = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    grain = random.normal(0, 6, (height, width, 3))
    return np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8)


def saved(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def saved_by(save: Callable[..., Any], **options: Any) -> bytes:
    """The bytes that a save function writes."""
    buffer = BytesIO()
    save(buffer, **options)
    return buffer.getvalue()


def opened_profile(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(BytesIO(profile))


@lru_cache(maxsize=64)  # 10 ms for the default size, which most tests use
def jpeg(width: int = 400, height: int = 300, *, seed: int = 0) -> bytes:
    return saved(photo(width, height, seed=seed), "JPEG", quality=90)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    samples: Any, *, colour_type: int, depth: int = 8, before_pixels: bytes = b"", after_pixels: bytes = b""
) -> bytes:
    """A PNG of `samples` (height × width × channels, in the values of the file), with optional extra chunks."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if depth == 16:
        rows = flat.astype(">u2").tobytes()
    elif depth == 8:
        rows = flat.astype(np.uint8).tobytes()
    else:
        bits = (flat[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1).tobytes()
    step = len(rows) // height
    filtered = b"".join(b"\0" + rows[at : at + step] for at in range(0, len(rows), step))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(filtered))
    return b"\x89PNG\r\n\x1a\n" + header + before_pixels + pixels + after_pixels + png_chunk(b"IEND", b"")


def tiff(
    samples: Any, *, photometric: int, extra: tuple[int, ...] = (), planar: bool = False, colour_map: Any = None
) -> bytes:
    """An uncompressed little-endian TIFF of one strip; `samples` is height × width × channels, 8 or 16 bits."""
    bits = samples.dtype.itemsize * 8
    return tiff_files.written(
        tiff_files.page(samples, photometric=photometric, bits=bits, extra=extra, planar=planar, colour_map=colour_map)
    )


def without_jpeg_segments(data: bytes, *markers: int) -> bytes:
    """A JPEG without the header segments of these markers."""
    kept, at = bytearray(data[:2]), 2
    while data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] not in markers:
            kept += data[at:end]
        at = end
    return bytes(kept) + data[at:]


def with_jpeg_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """A JPEG with an additional segment after its start."""
    return data[:2] + _segment(marker, content) + data[2:]


def png_of_zeros(width: int, height: int, *, bit_depth: int = 8, colour_type: int = 2) -> bytes:
    """A PNG of zero bytes, a few kilobytes for any size."""
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
    """A small valid picture with a compressed comment that unpacks to many megabytes."""
    good = saved(photo(40, 30), "PNG")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(megabytes * 1_000_000), 9))
    after_header = 8 + 25
    return good[:after_header] + bomb + good[after_header:]


def progressive_scan_bomb(side: int = 10_000, scans: int = 3_000) -> bytes:
    """A progressive JPEG with many nearly empty scans, each of which makes the decoder visit every block again.

    Each refinement scan encodes "no change" in runs of 32,767 blocks, so that a scan takes a few bytes.
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
    """The bits that encode "no change" for up to 32,767 blocks."""
    return "0" + format(blocks - 16_384, "014b") if blocks >= 16_384 else "10" * blocks


def _segment(marker: int, data: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data


def _bits(bits: str) -> bytes:
    """Entropy-coded data: padded with ones, 0xFF escaped."""
    padded = bits + "1" * (-len(bits) % 8)
    return int(padded, 2).to_bytes(len(padded) // 8, "big").replace(b"\xff", b"\xff\x00")


def gif_of_many_frames(frames: int = 20_000) -> bytes:
    """A GIF of 16 × 16 pixels and `frames` one-pixel frames."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\x00"
    return screen + frame * frames + b"\x3b"


def icc_profile(primaries: dict[str, tuple[float, float]], gamma: float, *, white: str = "D65") -> bytes:
    """An RGB profile (ICC version 2, matrix and one curve) of these primaries (xy chromaticities) and gamma."""
    white_xyz = _xyz(*{"D65": (0.3127, 0.3290), "D50": (0.3457, 0.3585)}[white])
    columns = np.stack([_xyz(*primaries[name]) for name in ("red", "green", "blue")], axis=1)
    to_xyz = columns * np.linalg.solve(columns, white_xyz)
    to_d50 = _adapted(white_xyz, _D50) @ to_xyz
    tags = {b"wtpt": _xyz_tag(_D50), b"cprt": b"text\0\0\0\0none\0", b"desc": _description("made for a test")}
    for number, name in enumerate((b"r", b"g", b"b")):
        tags[name + b"XYZ"] = _xyz_tag(to_d50[:, number])
        tags[name + b"TRC"] = _gamma_tag(gamma)
    return _profile(b"RGB ", tags)


def grey_icc_profile(gamma: float) -> bytes:
    """A grey profile (ICC version 2) of one gamma."""
    tags = {b"wtpt": _xyz_tag(_D50), b"cprt": b"text\0\0\0\0none\0", b"desc": _description("made for a test")}
    return _profile(b"GRAY", {**tags, b"kTRC": _gamma_tag(gamma)})


SRGB = {"red": (0.640, 0.330), "green": (0.300, 0.600), "blue": (0.150, 0.060)}
DISPLAY_P3 = {"red": (0.680, 0.320), "green": (0.265, 0.690), "blue": (0.150, 0.060)}
ADOBE_RGB = {"red": (0.640, 0.330), "green": (0.210, 0.710), "blue": (0.150, 0.060)}
PROPHOTO = {"red": (0.7347, 0.2653), "green": (0.1596, 0.8404), "blue": (0.0366, 0.0001)}

_D50 = np.array([0.9642, 1.0, 0.8249])


def cmyk_icc_profile() -> bytes:
    """A CMYK profile (ICC version 2) whose table mixes ideal inks on slightly off-white paper."""
    steps = 5
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, steps)] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    paper = (1 - 0.9 * grid[:, :3]) * (1 - 0.95 * grid[:, 3:])
    xyz = (paper**2.2) @ np.array([[0.4361, 0.2225, 0.0139], [0.3851, 0.7169, 0.0971], [0.1431, 0.0606, 0.7141]])
    lab = _lab(xyz / _D50)
    encoded = np.clip(lab / [100, 255, 255] + [0, 128 / 255, 128 / 255], 0, 1) * 65_280
    identity = [round(65_535 * n / 255) for n in range(256)]
    table = struct.pack(">4sIBBBB", b"mft2", 0, 4, 3, steps, 0) + struct.pack(">9i", *(65_536 * n for n in _IDENTITY))
    table += struct.pack(">HH", 256, 2) + struct.pack(">256H", *identity) * 4
    table += encoded.round().astype(">u2").tobytes() + struct.pack(">2H", 0, 65_535) * 3
    tags = {b"wtpt": _xyz_tag(_D50), b"cprt": b"text\0\0\0\0none\0", b"desc": _description("made for a test")}
    return _profile(b"CMYK", {**tags, b"A2B0": table, b"A2B1": table}, space=b"Lab ", kind=b"prtr")


_IDENTITY = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def _lab(relative: Any) -> Any:
    root = np.where(relative > 216 / 24_389, np.cbrt(relative), (24_389 / 27 * relative + 16) / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], axis=1)


def _xyz(x: float, y: float) -> Any:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adapted(from_white: Any, to_white: Any) -> Any:
    """Bradford's adaptation of one white to another."""
    cones = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.linalg.inv(cones) @ np.diag((cones @ to_white) / (cones @ from_white)) @ cones


def _xyz_tag(xyz: Any) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65_536) for value in xyz))


def _gamma_tag(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _description(text: str) -> bytes:
    encoded = text.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(encoded)) + encoded + bytes(78)


def _profile(colours: bytes, tags: dict[bytes, bytes], *, space: bytes = b"XYZ ", kind: bytes = b"mntr") -> bytes:
    table = struct.pack(">I", len(tags))
    at = 128 + 4 + 12 * len(tags)
    body = b""
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += padded
    head = struct.pack(">I4sI4s4s4s", at + len(body), b"test", 0x0210_0000, kind, colours, space) + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">3i", *(round(value * 65_536) for value in _D50))
    return head + bytes(128 - len(head)) + table + body
