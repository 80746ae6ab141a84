"""Header readers: the same values as the decoder, and safe on damaged files."""

from __future__ import annotations

import contextlib
import struct
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_decoder import seed_files
from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.formats import FILE_TYPES, sniff
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers import HeaderError, is_truncated, read_header
from trr_pipelines.imaging.headers.header import Header
from trr_pipelines_tests import pictures, tiff_files

SEEDS = list(seed_files())


def tiff_directory(*entries: tuple[int, int, int, int], next_at: int = 0) -> bytes:
    """A directory of (tag, type, count, value) at offset 8, little-endian."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + packed + struct.pack("<I", next_at)


SIZE_TAGS = ((256, 4, 1, 40), (257, 4, 1, 30))


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_headers_raise_one_error_or_none(data: st.DataObject) -> None:
    seed = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        seed[data.draw(st.integers(4, min(len(seed) - 1, 400)))] = data.draw(st.integers(0, 255))
    cut = bytes(seed[: data.draw(st.integers(0, len(seed)))])
    with contextlib.suppress(PermanentError):
        assert inspect(cut).frames >= 1


@given(st.sampled_from(sorted(FILE_TYPES)), st.binary(max_size=300))
@settings(max_examples=400, deadline=None)
def test_any_bytes_raise_one_error_or_none(image_format: str, data: bytes) -> None:
    with contextlib.suppress(HeaderError, PermanentError):
        assert read_header(image_format, data).frames >= 1
    assert isinstance(is_truncated(image_format, data), bool)


def test_a_whole_file_is_not_truncated() -> None:
    assert [sniff(data) for data in SEEDS if is_truncated(sniff(data), data)] == []


def test_every_cut_file_is_truncated() -> None:
    """Except files of many pages, whose first page may be complete."""
    for data in SEEDS:
        if inspect(data).frames == 1:
            assert is_truncated(sniff(data), data[: len(data) * 3 // 4]), sniff(data)


@pytest.mark.parametrize(
    ("data", "header"),
    [
        (tiff_directory(*SIZE_TAGS), Header(Size(40, 30))),
        (tiff_directory(*SIZE_TAGS, (274, 3, 1, 8)), Header(Size(40, 30), orientation=8)),
        (tiff_directory(*SIZE_TAGS, (274, 3, 1, 9)), Header(Size(40, 30))),
        (tiff_directory(*SIZE_TAGS, next_at=8), Header(Size(40, 30))),
        (tiff_directory(*SIZE_TAGS, next_at=1_000_000), Header(Size(40, 30))),
        (tiff_directory((256, 3, 1, 40), (257, 3, 1, 30)), Header(Size(40, 30))),
    ],
    ids=["plain", "turned", "no such turn", "a loop of pages", "a page behind the end", "short numbers"],
)
def test_tiff_directories(data: bytes, header: Header) -> None:
    assert read_header("tiff", data) == header


@pytest.mark.parametrize(
    "data",
    [
        tiff_directory((256, 4, 1, 40)),
        tiff_directory((256, 2, 1, 40), (257, 2, 1, 30)),
        tiff_directory((256, 4, 0xFFFF_FFFF, 8), (257, 4, 1, 30)),
        b"II*\0\xff\xff\xff\xff",
        b"II*\0",
    ],
    ids=["no height", "text for numbers", "a count without end", "a directory behind the end", "no directory"],
)
def test_invalid_tiff_directories(data: bytes) -> None:
    with pytest.raises(HeaderError):
        read_header("tiff", data)


def test_a_big_tiff_is_read() -> None:
    entries = struct.pack("<HHQQ", 256, 4, 1, 40) + struct.pack("<HHQQ", 257, 3, 1, 30)
    data = b"II+\0\x08\0\0\0" + struct.pack("<Q", 16) + struct.pack("<Q", 2) + entries + bytes(8)
    assert read_header("tiff", data) == Header(Size(40, 30))


def page(width: int, height: int, **options: Any) -> tiff_files.Page:
    """A grey page; `subfile` and `old_subfile` are the values of tags 254 and 255."""
    kinds = {254: options.pop("subfile", None), 255: options.pop("old_subfile", None), 274: options.pop("turn", None)}
    tags = {tag: (3, [value]) for tag, value in kinds.items() if value is not None}
    return tiff_files.page(np.zeros((height, width, 1), np.uint8), photometric=1, tags=tags, **options)


SMALL, LARGE, LARGER = (16, 10), (120, 80), (150, 100)
REDUCED, SECOND_PAGE, TRANSPARENCY_MASK = 1, 2, 4


@pytest.mark.parametrize(
    ("pages", "size", "frames"),
    [
        ([page(*SMALL), page(*LARGE)], SMALL, 2),
        ([page(*SMALL, subfile=SECOND_PAGE), page(*LARGE, subfile=SECOND_PAGE)], SMALL, 2),
        ([page(*SMALL, subfile=REDUCED), page(*LARGE)], LARGE, 1),
        ([page(*SMALL, old_subfile=2), page(*LARGE, old_subfile=1)], LARGE, 1),
        ([page(*SMALL, subfile=TRANSPARENCY_MASK), page(*LARGE)], LARGE, 1),
        ([page(*SMALL, subfile=REDUCED | TRANSPARENCY_MASK), page(*LARGE, turn=6)], LARGE[::-1], 1),
        ([page(*SMALL, subfile=REDUCED, turn=6), page(*LARGE)], LARGE, 1),
        ([page(*SMALL, subfile=REDUCED), page(*LARGE), page(*LARGER), page(*SMALL)], LARGER, 3),
        ([page(*LARGE), page(*SMALL, subfile=REDUCED), page(*LARGE, subfile=TRANSPARENCY_MASK)], LARGE, 1),
        ([page(*LARGE, sub_pages=[page(*LARGER, subfile=REDUCED)])], LARGE, 1),
        ([page(*SMALL, subfile=REDUCED, sub_pages=[page(*SMALL), page(*LARGE)])], LARGE, 1),
        ([page(*SMALL, subfile=REDUCED, sub_pages=[page(*SMALL, sub_pages=[page(*LARGE)])])], LARGE, 1),
        ([page(*SMALL, subfile=REDUCED, sub_pages=[page(*LARGER)]), page(*LARGE)], LARGER, 1),
        ([page(*SMALL, subfile=REDUCED)], SMALL, 1),
        ([page(*SMALL, subfile=REDUCED), page(*LARGE, subfile=REDUCED)], LARGE, 1),
        ([page(*SMALL, subfile=TRANSPARENCY_MASK)], SMALL, 1),
    ],
)
@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
def test_the_picture_of_a_tiff_is_no_reduced_page_and_no_mask(
    pages: list[tiff_files.Page], size: tuple[int, int], frames: int, order: str, is_big: bool
) -> None:
    info = inspect(tiff_files.written(*pages, order=order, is_big=is_big))
    assert ((info.width, info.height), info.frames) == (size, frames)


DNG_VERSION = {50706: (1, [1, 4, 0, 0])}


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (tiff_files.written(tiff_files.Page({**page(*SMALL).tags, **DNG_VERSION})), "DNG"),
        (tiff_files.written(page(*LARGE), tiff_files.Page({**page(*SMALL).tags, **DNG_VERSION})), "DNG"),
        (tiff_files.written(page(*SMALL, sub_pages=[tiff_files.Page({262: (3, [32803])})])), "colour filter array"),
        (tiff_files.written(page(*SMALL), tiff_files.Page({262: (3, [32803])})), "colour filter array"),
        (tiff_files.written(page(*SMALL), order=">", after_header=b"CR\2\0" + bytes(4)), "CR2"),
        (tiff_files.written(page(*SMALL, sub_pages=[tiff_files.Page({262: (4, [34892])})]), order=">"), "linear raw"),
        (tiff_files.written(tiff_files.Page({262: (3, [34892])}), is_big=True), "linear raw"),
        (tiff_files.written(page(*SMALL), after_header=b"IIIITwaR"), "Phase One"),
        (tiff_files.written(page(*SMALL), order=">", after_header=b"MMMMRawT"), "Phase One"),
    ],
    ids=[
        "DNG version",
        "DNG version on a page",
        "filter array in a SubIFD",
        "filter array on a page",
        "CR2's mark",
        "linear raw in a SubIFD",
        "linear raw in a big TIFF",
        "Phase One's mark",
        "Phase One's mark, big-endian",
    ],
)
def test_camera_raw_in_a_tiff_is_refused_by_name(data: bytes, name: str) -> None:
    with pytest.raises(PermanentError) as caught:
        inspect(data)
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
    assert caught.value.detail == f"camera raw ({name}) is not supported"


def test_a_damaged_second_page_does_not_fail_the_first() -> None:
    outside = struct.pack("<HHII", 254, 4, 1_000, 0xFFFF_FF00)
    second = struct.pack("<H", 1) + outside + bytes(4)
    first = tiff_directory(*SIZE_TAGS, next_at=8 + 2 + 24 + 4)
    assert read_header("tiff", first + second) == Header(Size(40, 30), frames=2)


def chain_of_directories(number: int, entries: int) -> bytes:
    """Reduced pages, each with a link to the next."""
    data = bytearray(b"II*\0\x08\0\0\0")
    for _ in range(number):
        next_at = len(data) + 2 + 12 * entries + 4
        tags = [(254, 4, 1, 1), *SIZE_TAGS, *[(300, 4, 1, 0)] * (entries - 3)]
        data += tiff_directory(*tags, next_at=next_at)[8:]
    return bytes(data)


SUB_DIRECTORIES_AT = 8 + 2 + 4 * 12 + 4


@pytest.mark.parametrize(
    "data",
    [
        chain_of_directories(40_000, 3),
        chain_of_directories(40_000, 40),
        tiff_directory((254, 4, 1, 1), *SIZE_TAGS, (330, 4, 1_000_000, SUB_DIRECTORIES_AT))
        + struct.pack("<1000000I", *range(SUB_DIRECTORIES_AT, SUB_DIRECTORIES_AT + 1_000_000)),
        tiff_directory(*SIZE_TAGS, (330, 4, 1, 8), next_at=8),
    ],
    ids=["a long chain", "a long chain of many tags", "a million SubIFDs", "a loop"],
)
def test_a_malicious_web_of_tiff_directories_takes_milliseconds(data: bytes) -> None:
    began = time.process_time()
    assert read_header("tiff", data) == Header(Size(40, 30))
    assert time.process_time() - began < 0.5


def test_bmp_counts_rows_from_above_and_from_below() -> None:
    def bmp(layout: str, *fields: int) -> bytes:
        return b"BM" + bytes(12) + struct.pack(layout, *fields)

    assert read_header("bmp", bmp("<Iii", 40, 40, 30)) == Header(Size(40, 30))
    assert read_header("bmp", bmp("<Iii", 40, 40, -30)) == Header(Size(40, 30))
    assert read_header("bmp", bmp("<IHH", 12, 40, 30)) == Header(Size(40, 30))


def test_a_first_gif_picture_beyond_the_screen_enlarges_it() -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0, 0, 0)
    image = b"\x2c" + struct.pack("<HHHHB", 5, 5, 20, 3, 0) + b"\x02\x01\x00\x00"
    assert read_header("gif", screen + image + b"\x3b") == Header(Size(25, 10))


@pytest.mark.parametrize(
    ("image_format", "data"),
    [
        ("gif", pictures.gif_of_many_frames(200_000)),
        ("tiff", tiff_directory(*SIZE_TAGS, *[(300, 7, 40_000_000, 0)] * 65_000) + bytes(40_000_000)),
        ("jpeg", b"\xff\xd8\xff" + b"\xff\xe1\x00\x02" * 400_000),
        ("jpeg", b"\xff\xd8\xff" + b"\xff\x00" * 5_000_000),
        ("png", pictures.png_of_zeros(4, 4)[:-12] + pictures.png_chunk(b"tEXt", b"") * 300_000),
        ("webp", b"RIFF\0\0\0\0WEBP" + b"ANMF\0\0\0\0" * 500_000),
    ],
    ids=["frames", "tags", "segments", "stuffing", "chunks", "animation"],
)
def test_a_maliciously_long_header_takes_seconds_not_minutes(image_format: str, data: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(HeaderError):
        read_header(image_format, data)
    assert time.process_time() - began < 4
