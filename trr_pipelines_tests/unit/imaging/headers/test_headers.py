"""Header readers: the same values as the decoder, and safe on damaged files."""

from __future__ import annotations

import contextlib
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_decoder import seed_files
from trr_pipelines.errors import PermanentError
from trr_pipelines.imaging.decode import inspect
from trr_pipelines.imaging.formats import FILE_TYPES, sniff
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers import HeaderError, is_truncated, read_header
from trr_pipelines.imaging.headers.header import Header
from trr_pipelines_tests import pictures

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
    with contextlib.suppress(HeaderError):
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
