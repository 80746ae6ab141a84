"""TIFF directories, which EXIF and multi-picture JPEGs use as well.

Source: TIFF 6.0, section 2; the BigTIFF proposal for 8-byte offsets.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at

ORIENTATION_TAG = 0x0112
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101
_EXIF_TAG, _INTEROPERABILITY_TAG = 0x8769, 0xA005
_STRIP_TAGS = ((0x0111, 0x0117), (0x0144, 0x0145))

_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LETTER_OF_TYPE = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}


@dataclass(frozen=True)
class Directory:
    """One image file directory of `data`."""

    data: bytes
    order: str
    is_big: bool
    at: int

    @property
    def _count_layout(self) -> str:
        return self.order + ("Q" if self.is_big else "H")

    @property
    def _entry_bytes(self) -> int:
        return 20 if self.is_big else 12

    @property
    def _value_offset(self) -> int:
        return 12 if self.is_big else 8

    def _entries(self) -> range:
        (count,) = unpack_at(self._count_layout, self.data, self.at)
        start = self.at + struct.calcsize(self._count_layout)
        return range(start, min(start + count * self._entry_bytes, len(self.data)), self._entry_bytes)

    def next_at(self) -> int:
        """The offset of the next directory; 0 for the last."""
        (count,) = unpack_at(self._count_layout, self.data, self.at)
        after = self.at + struct.calcsize(self._count_layout) + count * self._entry_bytes
        return unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, after)[0]

    def values(self, tag: int) -> tuple[int, ...]:
        """The integers of `tag`; empty if it is missing or of another type."""
        for entry in self._entries():
            if unpack_at(self.order + "H", self.data, entry)[0] == tag:
                return self._values_at(entry)
        return ()

    def short_text(self, tag: int) -> bytes:
        """The text of `tag` if it has at most 4 bytes, without its final zero; else empty."""
        for entry in self._entries():
            found, kind, count = unpack_at(self.order + ("HHQ" if self.is_big else "HHI"), self.data, entry)
            if found == tag and kind == 2 and count <= 4:
                at = entry + self._value_offset
                return self.data[at : at + count].rstrip(b"\0")
        return b""

    def end(self) -> int:
        """The end offset of the last value that its tags point at."""
        end = 0
        for entry in self._entries():
            (kind,) = unpack_at(self.order + "H", self.data, entry + 2)
            (count,) = unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, entry + 4)
            length = count * _BYTES_OF_TYPE.get(kind, 1)
            if length > (8 if self.is_big else 4):
                (at,) = unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, entry + self._value_offset)
                end = max(end, at + length)
        return end

    def _values_at(self, entry: int) -> tuple[int, ...]:
        (kind,) = unpack_at(self.order + "H", self.data, entry + 2)
        (count,) = unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, entry + 4)
        letter = _LETTER_OF_TYPE.get(kind)
        if letter is None or count * struct.calcsize("=" + letter) > len(self.data):
            return ()
        at = entry + self._value_offset
        if count * struct.calcsize("=" + letter) > (8 if self.is_big else 4):
            (at,) = unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, at)
        return unpack_at(f"{self.order}{count}{letter}", self.data, at)


def first_directory(data: bytes) -> Directory:
    """The first directory of TIFF data.

    Raises:
        HeaderError: `data` is not TIFF.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise HeaderError("neither little nor big endian")
    is_big = unpack_at(order + "H", data, 2)[0] == 43
    at = unpack_at(order + "Q", data, 8)[0] if is_big else unpack_at(order + "I", data, 4)[0]
    return Directory(data, order, is_big, at)


def read_header(data: bytes) -> Header:
    first = first_directory(data)
    width, height = first.values(_WIDTH_TAG), first.values(_HEIGHT_TAG)
    if not width or not height:
        raise HeaderError("the first page has no size")
    return Header(Size(width[0], height[0]), _orientation(first), sum(1 for _ in _pages(first)))


def is_truncated(data: bytes) -> bool:
    """Whether the first page, a value of its tags, or a strip or tile of it is beyond the end."""
    try:
        first = first_directory(data)
        if first.end() > len(data):
            return True
        for offsets, counts in _STRIP_TAGS:
            strips = zip(first.values(offsets), first.values(counts), strict=False)
            if any(offset + count > len(data) for offset, count in strips):
                return True
        first.next_at()
    except HeaderError:
        return True
    return False


def exif_orientation(exif: bytes) -> int:
    """The orientation (1 to 8) in EXIF data; upright if it is missing, unreadable or out of range."""
    try:
        return _orientation(first_directory(exif.removeprefix(b"Exif\0\0")))
    except HeaderError:
        return UPRIGHT


def exif_is_adobe_rgb(exif: bytes) -> bool:
    """Whether EXIF data say that the samples are Adobe RGB. Source: DCF 2.0, interoperability index R03."""
    try:
        first = first_directory(exif.removeprefix(b"Exif\0\0"))
        for pointer in first.values(_EXIF_TAG)[:1]:
            detail = Directory(first.data, first.order, first.is_big, pointer)
            for inner in detail.values(_INTEROPERABILITY_TAG)[:1]:
                return Directory(first.data, first.order, first.is_big, inner).short_text(1) == b"R03"
    except HeaderError:
        pass
    return False


def _orientation(directory: Directory) -> int:
    values = directory.values(ORIENTATION_TAG)
    return values[0] if values and 1 <= values[0] <= 8 else UPRIGHT


def _pages(first: Directory) -> Iterator[Directory]:
    """The main chain of pages, up to a loop or a damaged link."""
    seen: set[int] = set()
    page = first
    while page.at not in seen:
        seen.add(page.at)
        yield page
        try:
            next_at = page.next_at()
            unpack_at(page.order + "H", page.data, next_at)
        except HeaderError:
            return
        if next_at == 0:
            return
        page = Directory(page.data, page.order, page.is_big, next_at)
