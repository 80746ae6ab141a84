"""TIFF directories, which EXIF and multi-picture JPEGs use as well; which of them is the picture.

Source: TIFF 6.0, section 2; Adobe's technical note 1 (SubIFDs); the BigTIFF proposal for 8-byte offsets; DNG 1.7.
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at

ORIENTATION_TAG = 0x0112
PHOTOMETRIC_TAG = 0x0106
_WIDTH_TAG, _HEIGHT_TAG = 0x0100, 0x0101
_EXIF_TAG, _INTEROPERABILITY_TAG = 0x8769, 0xA005
_STRIP_TAGS = ((0x0111, 0x0117), (0x0144, 0x0145))
_SUBFILE_TAG, _OLD_SUBFILE_TAG, _SUB_DIRECTORIES_TAG = 0x00FE, 0x00FF, 0x014A
_DNG_VERSION_TAG = 0xC612

_REDUCED, _MASK = 1, 4  # bits of the subfile type
_OLD_REDUCED = 2
_RAW_PHOTOMETRICS = {32803: "colour filter array", 34892: "linear raw"}

# A walk over directories ends here: the worst file found takes 0.1 s.
_MOST_DIRECTORIES = 2_000
_MOST_ENTRIES = 100_000

_BYTES_OF_TYPE = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_LETTER_OF_TYPE = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_RATIONAL_TYPE = 5


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

    @cached_property
    def _entries(self) -> range:
        (count,) = unpack_at(self._count_layout, self.data, self.at)
        start = self.at + struct.calcsize(self._count_layout)
        complete = max(0, (len(self.data) - start) // self._entry_bytes)
        end = start + min(count, complete, _MOST_ENTRIES) * self._entry_bytes
        return range(start, end, self._entry_bytes)

    @cached_property
    def _entry_of_tag(self) -> dict[int, int]:
        entries = self._entries
        tags = struct.iter_unpack(f"{self.order}H{self._entry_bytes - 2}x", self.data[entries.start : entries.stop])
        found: dict[int, int] = {}
        for (tag,), entry in zip(tags, entries, strict=True):
            found.setdefault(tag, entry)
        return found

    def __len__(self) -> int:
        """The number of its entries."""
        return len(self._entries)

    def __contains__(self, tag: int) -> bool:
        return tag in self._entry_of_tag

    def next_at(self) -> int:
        """The offset of the next directory; 0 for the last."""
        (count,) = unpack_at(self._count_layout, self.data, self.at)
        after = self.at + struct.calcsize(self._count_layout) + count * self._entry_bytes
        return unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, after)[0]

    def values(self, tag: int, most: int | None = None) -> tuple[int, ...]:
        """The integers of `tag`, or the first `most` of them; empty if it is missing or of another type."""
        entry = self._entry_of_tag.get(tag)
        return () if entry is None else self._values_at(entry, most)

    def value(self, tag: int, default: int) -> int:
        """The first integer of `tag`; `default` if it is missing or unreadable."""
        try:
            return next(iter(self.values(tag, 1)), default)
        except HeaderError:
            return default

    def rationals(self, tag: int, most: int) -> tuple[float, ...]:
        """The first `most` fractions of `tag` (NaN for a denominator of 0); empty if missing or of another type."""
        entry = self._entry_of_tag.get(tag)
        if entry is None:
            return ()
        kind, count, at = self._place_of_values(entry)
        if kind != _RATIONAL_TYPE:
            return ()
        parts = unpack_at(f"{self.order}{2 * min(count, most)}I", self.data, at)
        return tuple(top / bottom if bottom else math.nan for top, bottom in zip(parts[::2], parts[1::2], strict=True))

    def content(self, tag: int) -> bytes:
        """The bytes of `tag`; empty if it is missing."""
        entry = self._entry_of_tag.get(tag)
        if entry is None:
            return b""
        kind, count, at = self._place_of_values(entry)
        return self.data[at : at + count * _BYTES_OF_TYPE.get(kind, 1)]

    def replace_value(self, data: bytearray, tag: int, value: int) -> None:
        """Write another first integer of `tag`, which the directory must have, into `data`, a copy of the file."""
        kind, _, at = self._place_of_values(self._entry_of_tag[tag])
        struct.pack_into(self.order + _LETTER_OF_TYPE[kind], data, at, value)

    def short_text(self, tag: int) -> bytes:
        """The text of `tag` if it has at most 4 bytes, without its final zero; else empty."""
        text = self.content(tag)
        return text.rstrip(b"\0") if len(text) <= 4 else b""

    def end(self) -> int:
        """The end offset of the last value that its tags point at."""
        end = 0
        for entry in self._entries:
            kind, count, at = self._place_of_values(entry)
            end = max(end, at + count * _BYTES_OF_TYPE.get(kind, 1))
        return end

    def _values_at(self, entry: int, most: int | None) -> tuple[int, ...]:
        kind, count, at = self._place_of_values(entry)
        letter = _LETTER_OF_TYPE.get(kind)
        if letter is None or count * struct.calcsize("=" + letter) > len(self.data):
            return ()
        return unpack_at(f"{self.order}{count if most is None else min(count, most)}{letter}", self.data, at)

    def _place_of_values(self, entry: int) -> tuple[int, int, int]:
        """The type, the number and the offset of the values: in the entry itself if they fit."""
        kind, count = unpack_at(self.order + ("HQ" if self.is_big else "HI"), self.data, entry + 2)
        at = entry + self._value_offset
        if count * _BYTES_OF_TYPE.get(kind, 1) > (8 if self.is_big else 4):
            (at,) = unpack_at(self.order + ("Q" if self.is_big else "I"), self.data, at)
        return kind, count, at


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
    """The header of the picture (`picture_directory`). Reduced pictures and masks are not counted as frames.

    Raises:
        HeaderError: the header is missing or invalid.
        PermanentError: `unsupported_format` for camera raw.
    """
    directories = list(_directories(first_directory(data)))
    _refuse_raw(data, [directory for directory, _ in directories])
    picture = _picture(directories)
    width, height = picture.values(_WIDTH_TAG, 1), picture.values(_HEIGHT_TAG, 1)
    if not width or not height:
        raise HeaderError("the first page has no size")
    pages = sum(is_page and not _is_mask(each) and not _is_reduced(each) for each, is_page in directories)
    return Header(Size(width[0], height[0]), _orientation(picture), max(1, pages))


def picture_directory(data: bytes) -> Directory:
    """The directory of the picture: the first, unless it is a reduced picture or a mask; then the largest that is not.

    Scanners and cameras store a small preview first, and the picture on a later page or in a SubIFD.

    Raises:
        HeaderError: `data` has no readable directory.
    """
    return _picture(list(_directories(first_directory(data))))


def as_first(directory: Directory, replaced: Mapping[int, int]) -> bytes:
    """The file with a header that points at `directory`, for decoders that read only the first.

    Args:
        replaced: other integers of tags, each of which the directory must have.
    """
    data = bytearray(directory.data)
    for tag, value in replaced.items():
        directory.replace_value(data, tag, value)
    header = struct.pack(directory.order + ("Q" if directory.is_big else "I"), directory.at)
    at = 8 if directory.is_big else 4
    data[at : at + len(header)] = header
    return bytes(data)


def is_truncated(data: bytes) -> bool:
    """Whether the picture's directory, a value of its tags, or a strip or tile of it is beyond the end."""
    try:
        picture = picture_directory(data)
        if picture.end() > len(data):
            return True
        for offsets, counts in _STRIP_TAGS:
            strips = zip(picture.values(offsets), picture.values(counts), strict=False)
            if any(offset + count > len(data) for offset, count in strips):
                return True
        picture.next_at()
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
    value = directory.value(ORIENTATION_TAG, UPRIGHT)
    return value if 1 <= value <= 8 else UPRIGHT


def _refuse_raw(data: bytes, directories: Sequence[Directory]) -> None:
    name = _raw_name_of_header(data)
    if name is None and any(_DNG_VERSION_TAG in each for each in directories):
        name = "DNG"
    for each in directories:
        name = name or _RAW_PHOTOMETRICS.get(each.value(PHOTOMETRIC_TAG, 0))
    if name:
        raise PermanentError(Reason.UNSUPPORTED_FORMAT, f"camera raw ({name}) is not supported")


def _raw_name_of_header(data: bytes) -> str | None:
    """The name of a raw format that has a mark of its own after TIFF's header."""
    if data[8:10] == b"CR":
        return "CR2"
    if (data[8:12] == b"IIII" and data[13:16] == b"waR") or (data[8:12] == b"MMMM" and data[12:15] == b"Raw"):
        return "Phase One"
    return None


def _picture(directories: Sequence[tuple[Directory, bool]]) -> Directory:
    """See `picture_directory`. If all are reduced or masks, the best of them is the picture."""
    if not directories:
        raise HeaderError("no readable directory")
    first = directories[0][0]
    if not (_is_mask(first) or _is_reduced(first)):
        return first
    with_pixels = [each for each, _ in directories if _pixels(each)]
    without_masks = [each for each in with_pixels if not _is_mask(each)]
    candidates = [each for each in without_masks if not _is_reduced(each)] or without_masks
    return max(candidates, key=_pixels, default=first)


def _is_reduced(directory: Directory) -> bool:
    is_reduced = directory.value(_SUBFILE_TAG, 0) & _REDUCED
    return bool(is_reduced) or directory.value(_OLD_SUBFILE_TAG, 0) == _OLD_REDUCED


def _is_mask(directory: Directory) -> bool:
    return bool(directory.value(_SUBFILE_TAG, 0) & _MASK)


def _pixels(directory: Directory) -> int:
    """Width × height; 0 if it has no strips or tiles."""
    if not any(offsets in directory for offsets, _ in _STRIP_TAGS):
        return 0
    return directory.value(_WIDTH_TAG, 0) * directory.value(_HEIGHT_TAG, 0)


def _directories(first: Directory) -> Iterator[tuple[Directory, bool]]:
    """The main chain, then the SubIFDs of all, each with whether it is of the main chain.

    Loops, damaged links and what is beyond the limits are left out.
    """
    seen: set[int] = set()
    entries = 0
    links = deque([(first.at, True)])
    while links and len(seen) < _MOST_DIRECTORIES and entries < _MOST_ENTRIES:
        at, is_page = links.popleft()
        if at in seen or not 0 < at < len(first.data):
            continue
        seen.add(at)
        directory = Directory(first.data, first.order, first.is_big, at)
        try:
            entries += len(directory)
            yield directory, is_page
            sub_directories = directory.values(_SUB_DIRECTORIES_TAG, _MOST_DIRECTORIES - len(links))
            links.extend((sub_directory, False) for sub_directory in sub_directories)
            links.appendleft((directory.next_at(), is_page))
        except HeaderError:
            continue
