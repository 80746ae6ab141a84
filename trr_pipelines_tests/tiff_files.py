"""A small writer of TIFF files: any bits per sample, sample format, photometric, planes, compression and directories.

Source: TIFF 6.0 and Adobe's technical notes 1 (SubIFDs) and 3 (predictor 3). It also writes invalid combinations.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR, LAB, CFA, LINEAR_RAW = (
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    32803,
    34892,
)
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
NONE, LZW, DEFLATE, OLD_DEFLATE, PACKBITS = 1, 5, 8, 32946, 32773

_LETTER_OF_TYPE = {1: "B", 3: "H", 4: "I", 5: "I", 13: "I", 16: "Q"}
_STRIP_TAGS, _TILE_TAGS, _SUB_DIRECTORIES = (273, 279), (324, 325), 330


@dataclass
class Page:
    """One directory: `tags` (tag → type and values; the writer adds the offsets), its pixels, its sub-directories."""

    tags: dict[int, tuple[int, list[int]]]
    strips: list[bytes] = field(default_factory=list)
    """Or tiles, if the tags include their width."""
    sub_pages: list[Page] = field(default_factory=list)


def page(
    samples: Any,
    *,
    photometric: int,
    bits: int = 8,
    sample_format: int = UNSIGNED,
    extra: tuple[int, ...] = (),
    planar: bool = False,
    compression: int = NONE,
    predictor: int = 1,
    fill_order: int = 1,
    rows_per_strip: int | None = None,
    tile_side: int | None = None,
    order: str = "<",
    colour_map: list[int] | None = None,
    tags: dict[int, tuple[int, list[int]]] | None = None,
    sub_pages: list[Page] | None = None,
) -> Page:
    """A page of `samples`: height × width × channels, in the values of the file."""
    height, width, channels = samples.shape
    planes = np.moveaxis(samples, 2, 0)[..., None] if planar else samples[None]
    strips = []
    for plane in planes:
        for part in _tiles(plane, tile_side) if tile_side else _strips(plane, rows_per_strip or height):
            strips.append(_compressed(_packed_rows(part, bits, sample_format, predictor, order), compression))
    if fill_order == 2:
        strips = [_with_bits_reversed(strip) for strip in strips]
    own = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [compression]),
        262: (3, [photometric]),
        277: (3, [channels]),
        284: (3, [2 if planar else 1]),
    }
    if tile_side:
        own |= {322: (4, [tile_side]), 323: (4, [tile_side])}
    else:
        own[278] = (4, [rows_per_strip or height])
    if fill_order != 1:
        own[266] = (3, [fill_order])
    if predictor != 1:
        own[317] = (3, [predictor])
    if colour_map is not None:
        own[320] = (3, colour_map)
    if extra:
        own[338] = (3, list(extra))
    if sample_format != UNSIGNED:
        own[339] = (3, [sample_format] * channels)
    return Page({**own, **(tags or {})}, strips, sub_pages or [])


def written(*pages: Page, order: str = "<", is_big: bool = False, after_header: bytes = b"") -> bytes:
    """The file of a chain of pages. `after_header` follows the offset of the first directory."""
    head = 16 if is_big else 8
    body = bytearray(head) + after_header
    first_at = _append_chain(body, list(pages), order, is_big)
    mark = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if is_big else 42)
    body[:head] = mark + (struct.pack(order + "HHQ", 8, 0, first_at) if is_big else struct.pack(order + "I", first_at))
    return bytes(body)


def _append_chain(body: bytearray, pages: list[Page], order: str, is_big: bool) -> int:
    """Append the pages and the link to each; return the offset of the first."""
    first_at = link_at = 0
    for each in pages:
        at, next_link_at = _append_page(body, each, order, is_big)
        if link_at:
            struct.pack_into(order + ("Q" if is_big else "I"), body, link_at, at)
        first_at, link_at = first_at or at, next_link_at
    return first_at


def _append_page(body: bytearray, each: Page, order: str, is_big: bool) -> tuple[int, int]:
    tags = dict(each.tags)
    if each.strips:
        offsets = []
        for strip in each.strips:
            body += bytes(len(body) % 2)
            offsets.append(len(body))
            body += strip
        offsets_tag, bytes_tag = _TILE_TAGS if 322 in tags else _STRIP_TAGS
        tags.setdefault(offsets_tag, (4, offsets))
        tags.setdefault(bytes_tag, (4, [len(strip) for strip in each.strips]))
    if each.sub_pages:
        offsets = [_append_chain(body, [sub_page], order, is_big) for sub_page in each.sub_pages]
        tags[_SUB_DIRECTORIES] = (13, offsets)
    wide, count_letter = ("Q", "Q") if is_big else ("I", "H")
    inline = 8 if is_big else 4
    fields = []
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{_LETTER_OF_TYPE[kind]}", *values)
        if len(packed) > inline:
            body += bytes(len(body) % 2)
            value = struct.pack(order + wide, len(body))
            body += packed
        else:
            value = packed.ljust(inline, b"\0")
        count = len(values) // 2 if kind == 5 else len(values)
        fields.append(struct.pack(order + "HH" + wide, tag, kind, count) + value)
    body += bytes(len(body) % 2)
    at = len(body)
    body += struct.pack(order + count_letter, len(fields)) + b"".join(fields)
    link_at = len(body)
    body += bytes(inline)
    return at, link_at


def _strips(plane: Any, rows: int) -> list[Any]:
    return [plane[top : top + rows] for top in range(0, plane.shape[0], rows)]


def _tiles(plane: Any, side: int) -> list[Any]:
    """Squares from left to right and top to bottom, filled up with zeros."""
    height, width = plane.shape[:2]
    filled = np.pad(plane, ((0, -height % side), (0, -width % side), (0, 0)))
    tops, lefts = range(0, filled.shape[0], side), range(0, filled.shape[1], side)
    return [filled[top : top + side, left : left + side] for top in tops for left in lefts]


def _packed_rows(rows: Any, bits: int, sample_format: int, predictor: int, order: str) -> bytes:
    flat = rows.reshape(rows.shape[0], -1)
    channels = rows.shape[2]
    if sample_format == FLOAT:
        stored = flat.astype(f"{order}f{bits // 8}")
        return _float_differences(stored, channels) if predictor == 3 else stored.tobytes()
    values = flat.astype(np.int64).view(np.uint64)
    if predictor == 2:
        values = values.copy()
        values[:, channels:] -= values[:, :-channels].copy()
    if bits in (8, 16, 32, 64):
        return values.astype(f"u{bits // 8}").astype(f"{order}u{bits // 8}").tobytes()
    digits = (values[..., None] >> np.arange(bits - 1, -1, -1).astype(np.uint64)) & np.uint64(1)
    if bits == 24 and order == "<":
        digits = digits.reshape(*values.shape, 3, 8)[..., ::-1, :]
    return np.packbits(digits.reshape(flat.shape[0], -1).astype(np.uint8), axis=1).tobytes()


def _float_differences(stored: Any, channels: int) -> bytes:
    """Bytes of equal significance together, the most significant first, then differences of neighbours."""
    height, width = stored.shape
    size = stored.dtype.itemsize
    big = np.frombuffer(stored.astype(stored.dtype.newbyteorder(">")).tobytes(), np.uint8)
    apart = big.reshape(height, width, size).transpose(0, 2, 1).reshape(height, -1).copy()
    apart[:, channels:] -= apart[:, :-channels].copy()
    return apart.tobytes()


def _compressed(data: bytes, compression: int) -> bytes:
    if compression in (DEFLATE, OLD_DEFLATE):
        return zlib.compress(data)
    if compression == PACKBITS:
        runs = [data[at : at + 128] for at in range(0, len(data), 128)]
        return b"".join(bytes([len(run) - 1]) + run for run in runs)
    return _lzw(data) if compression == LZW else data


def _lzw(data: bytes) -> bytes:
    """Literal codes of 9 bits, with a clear code often enough that codes never grow."""
    clear, end = 256, 257
    codes = [clear]
    for at in range(0, len(data), 200):
        codes += [*data[at : at + 200], clear]
    text = "".join(format(code, "09b") for code in [*codes[:-1], end])
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def _with_bits_reversed(data: bytes) -> bytes:
    return np.packbits(np.unpackbits(np.frombuffer(data, np.uint8).reshape(-1, 1), axis=1)[:, ::-1]).tobytes()
