"""AVIF and HEIC: boxes of ISO base media files. Source: ISO/IEC 14496-12 (boxes) and 23008-12 (items and properties).

Only the size of the primary item, its orientation (and that in EXIF, which has no effect), and the number of pictures
are read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from trr_pipelines.imaging.geometry import Size
from trr_pipelines.imaging.headers.header import UPRIGHT, Header, HeaderError, unpack_at
from trr_pipelines.imaging.headers.tiff import exif_orientation

# A HEIC may have several pictures of equal rank; of an AVIF, decoders return the primary one or a whole sequence.
_PICTURE_ITEMS = {b"hvc1", b"grid", b"iden", b"iovl"}
_SEQUENCE_BRANDS = {b"avis"}
_TONE_MAP = b"tmap"  # a picture for HDR screens, derived from another one and its gain map (ISO 21496-1)


@dataclass(frozen=True)
class _Box:
    name: bytes
    start: int
    """Offset of its content."""
    end: int


def read_header(data: bytes) -> Header:
    """The size is that before orientation; the orientation follows from the rotation and mirror properties."""
    primary = _primary_properties(data)
    if primary is None:
        return Header(_track_size(data), frames=_frames(data))
    size = None
    quarters, mirror = 0, None
    for box in primary:
        if box.name == b"ispe" and size is None:
            size = Size(*unpack_at(">II", data, box.start + 4))
        elif box.name == b"irot":
            quarters = data[box.start] & 3
        elif box.name == b"imir":
            mirror = data[box.start] & 1
    if size is None:
        raise HeaderError("the primary picture has no size")
    left, top, right, bottom = _aperture(data, primary, size) or (0, 0, size.width, size.height)
    return Header(Size(right - left, bottom - top), _orientation(quarters, mirror), _frames(data))


def warnings(data: bytes) -> tuple[str, ...]:
    """A warning if EXIF turns the picture and no property does: the standard ignores EXIF, some cameras do not know.

    Raises:
        HeaderError: a damaged header.
    """
    if any(box.name in (b"irot", b"imir") for box in _primary_properties(data) or []):
        return ()
    orientation = exif_orientation(_exif(data))
    if orientation == UPRIGHT:
        return ()
    return (f"EXIF orientation {orientation} ignored: the file has no rotation or mirror property",)


def clean_aperture(data: bytes) -> tuple[int, int, int, int] | None:
    """The visible part of the stored picture (left, top, right, bottom); None for all of it."""
    primary = _primary_properties(data) or []
    for box in primary:
        if box.name == b"ispe":
            return _aperture(data, primary, Size(*unpack_at(">II", data, box.start + 4)))
    return None


def code_points(data: bytes) -> tuple[int, int] | None:
    """Colour primaries and transfer characteristics of the primary picture (H.273); None without them.

    Source: ISO/IEC 14496-12, section 12.1.5 (`nclx`).
    """
    for box in _primary_properties(data) or []:
        if box.name == b"colr" and data[box.start : box.start + 4] == b"nclx":
            primaries, transfer = unpack_at(">HH", data, box.start + 4)
            return primaries, transfer
    return None


def peak_luminance(data: bytes) -> float:
    """The luminance of the primary picture's brightest content in cd/m², else of its mastering display; 0.0 without.

    Source: ISO/IEC 14496-12, sections 12.1.6 (`clli`) and 12.1.7 (`mdcv`).
    """
    content = display = 0.0
    for box in _primary_properties(data) or []:
        if box.name == b"clli":
            content = float(unpack_at(">H", data, box.start)[0])
        elif box.name == b"mdcv":
            display = unpack_at(">I", data, box.start + 16)[0] / 10_000
    return content or display


def _aperture(data: bytes, properties: list[_Box], stored: Size) -> tuple[int, int, int, int] | None:
    """Source: ISO/IEC 14496-12, section 12.1.4. An aperture with fractional edges or beyond the picture is ignored."""
    for box in properties:
        if box.name == b"clap":
            width, width_by, height, height_by = unpack_at(">IIII", data, box.start)
            right_by, right_of, down_by, down_of = unpack_at(">iIiI", data, box.start + 16)
            if not (width_by and height_by and right_of and down_of):
                return None
            clean = Fraction(width, width_by), Fraction(height, height_by)
            left = (stored.width - clean[0]) / 2 + Fraction(right_by, right_of)
            top = (stored.height - clean[1]) / 2 + Fraction(down_by, down_of)
            edges = (left, top, left + clean[0], top + clean[1])
            is_inside = 0 <= left < edges[2] <= stored.width and 0 <= top < edges[3] <= stored.height
            if not is_inside or any(edge.denominator != 1 for edge in edges):
                return None
            return int(edges[0]), int(edges[1]), int(edges[2]), int(edges[3])
    return None


def has_metadata(data: bytes) -> bool:
    """Whether it may have an item of EXIF or of a media type (XMP); True in doubt."""
    meta = _child(data, 0, len(data), b"meta")
    return meta is None or any(kind in data[meta.start : meta.end] for kind in (b"Exif", b"mime"))


def is_truncated(data: bytes) -> bool:
    """Whether the last box ends beyond the file."""
    end = 0
    for box in _boxes(data, 0, len(data)):
        end = box.end
    return end > len(data) or end < 16


def _orientation(quarters: int, mirror: int | None) -> int:
    """EXIF's number for quarter turns (counter-clockwise) followed by a mirror (0: top to bottom, 1: left to right)."""
    if mirror is None:
        return (1, 8, 3, 6)[quarters]
    return ((4, 5, 2, 7), (2, 7, 4, 5))[mirror][quarters]


def _items(data: bytes) -> _Box | None:
    """The `meta` box, which describes the items of the file."""
    meta = _child(data, 0, len(data), b"meta")
    return _Box(b"meta", meta.start + 4, meta.end) if meta else None


def _primary_properties(data: bytes) -> list[_Box] | None:
    """The properties of the primary item, in their order; None without one (a pure sequence)."""
    meta = _items(data)
    primary = _child(data, meta.start, meta.end, b"pitm") if meta else None
    if meta is None or primary is None:
        return None
    item = unpack_at(">I" if data[primary.start] else ">H", data, primary.start + 4)[0]
    store, links = _properties(data, meta)
    if store is None or not links:
        raise HeaderError("no properties of pictures")
    properties = list(_boxes(data, store.start, store.end))
    indexes = [index for box in links for of_item, found in _links(data, box) if of_item == item for index in found]
    return [properties[index - 1] for index in indexes if 1 <= index <= len(properties)]


def _properties(data: bytes, meta: _Box) -> tuple[_Box | None, list[_Box]]:
    """The box of all properties, and the boxes that link items to them."""
    container = _child(data, meta.start, meta.end, b"iprp")
    boxes = list(_boxes(data, container.start, container.end)) if container else []
    store = next((box for box in boxes if box.name == b"ipco"), None)
    return store, [box for box in boxes if box.name == b"ipma"]


def _links(data: bytes, links: _Box) -> Iterator[tuple[int, list[int]]]:
    """Each item with the indexes of its properties, which count from 1."""
    version, wide = data[links.start], data[links.start + 3] & 1
    (count,) = unpack_at(">I", data, links.start + 4)
    at = links.start + 8
    for _ in range(count):
        if at >= links.end:
            break
        (of_item,) = unpack_at(">I" if version else ">H", data, at)
        at += 4 if version else 2
        (number,) = unpack_at(">B", data, at)
        raw = unpack_at(f">{number}{'H' if wide else 'B'}", data, at + 1)
        yield of_item, [value & (0x7FFF if wide else 0x7F) for value in raw]
        at += 1 + number * (2 if wide else 1)


def _frames(data: bytes) -> int:
    if data[8:12] in _SEQUENCE_BRANDS:
        sizes = _in_first_track(data, b"stsz")
        return max(1, unpack_at(">I", data, sizes.start + 8)[0]) if sizes else 1
    meta = _items(data)
    return max(1, len(_pictures(data, meta))) if meta else 1


def _track_size(data: bytes) -> Size:
    """The size in the sample description of the first track. Source: ISO/IEC 14496-12, section 12.1.3."""
    descriptions = _in_first_track(data, b"stsd")
    if descriptions is None:
        raise HeaderError("neither a primary picture nor a track")
    return Size(*unpack_at(">HH", data, descriptions.start + 8 + 8 + 24))


def _in_first_track(data: bytes, name: bytes) -> _Box | None:
    box = _Box(b"", 0, len(data))
    for step in (b"moov", b"trak", b"mdia", b"minf", b"stbl", name):
        inner = _child(data, box.start, box.end, step)
        if inner is None:
            return None
        box = inner
    return box


def _pictures(data: bytes, meta: _Box) -> set[int]:
    """The items that are independent pictures: not hidden, not thumbnails, not auxiliary such as gain maps."""
    kinds = _kinds_of_items(data, meta)
    pictures = {item for item, (kind, is_hidden) in kinds.items() if kind in _PICTURE_ITEMS and not is_hidden}
    tone_maps = {item for item, (kind, _) in kinds.items() if kind == _TONE_MAP}
    return pictures - _dependent(data, meta, tone_maps) - _auxiliary(data, meta)


def _kinds_of_items(data: bytes, meta: _Box) -> dict[int, tuple[bytes, bool]]:
    """The kind of each item, and whether it is hidden."""
    infos = _child(data, meta.start, meta.end, b"iinf")
    kinds: dict[int, tuple[bytes, bool]] = {}
    if infos is None:
        return kinds
    for box in _boxes(data, infos.start + (8 if data[infos.start] else 6), infos.end):
        version = data[box.start] if box.start < box.end else 0
        if box.name != b"infe" or version < 2:
            continue
        (item,) = unpack_at(">I" if version == 3 else ">H", data, box.start + 4)
        kind_at = box.start + (10 if version == 3 else 8)
        kinds[item] = data[kind_at : kind_at + 4], bool(data[box.start + 3] & 1)
    return kinds


def _dependent(data: bytes, meta: _Box, tone_maps: set[int]) -> set[int]:
    """Items that others refer to: thumbnails, alpha planes, the tiles of a grid, the gain map of a tone map."""
    references = _child(data, meta.start, meta.end, b"iref")
    if references is None:
        return set()
    layout = ">I" if data[references.start] else ">H"
    step = struct.calcsize(layout)
    dependent: set[int] = set()
    for box in _boxes(data, references.start + 4, references.end):
        (of_item,) = unpack_at(layout, data, box.start)
        if box.name in (b"thmb", b"auxl"):
            dependent.add(of_item)
        elif box.name == b"dimg":
            (count,) = unpack_at(">H", data, box.start + step)
            inputs = unpack_at(f">{count}{layout[1]}", data, box.start + step + 2)
            dependent.update(inputs[1:] if of_item in tone_maps else inputs)
    return dependent


def _auxiliary(data: bytes, meta: _Box) -> set[int]:
    """Items with a type of auxiliary picture (`auxC`): alpha planes, depth and gain maps, mattes."""
    store, links = _properties(data, meta)
    boxes = _boxes(data, store.start, store.end) if store else ()
    types = {index for index, box in enumerate(boxes, 1) if box.name == b"auxC"}
    return {item for box in links for item, indexes in _links(data, box) if types.intersection(indexes)}


def _exif(data: bytes) -> bytes:
    """The EXIF data of the file, from its TIFF header on; empty without any. Source: ISO/IEC 23008-12, annex A."""
    meta = _items(data)
    if meta is None:
        return b""
    item = next((item for item, (kind, _) in _kinds_of_items(data, meta).items() if kind == b"Exif"), None)
    stored = b"" if item is None else _content(data, meta, item)
    return stored[4 + int.from_bytes(stored[:4], "big") :]


def _content(data: bytes, meta: _Box, item: int) -> bytes:
    """The first extent of an item, empty if it is elsewhere. Source: ISO/IEC 14496-12, section 8.11.3."""
    places = _child(data, meta.start, meta.end, b"iloc")
    if places is None:
        return b""
    version = data[places.start]
    offset_bytes, length_bytes = data[places.start + 4] >> 4, data[places.start + 4] & 15
    base_bytes, index_bytes = data[places.start + 5] >> 4, data[places.start + 5] & 15 if version else 0
    wide = ">I" if version == 2 else ">H"
    at = places.start + 6 + struct.calcsize(wide)
    for _ in range(unpack_at(wide, data, places.start + 6)[0]):
        if at >= places.end:
            break
        (of_item,) = unpack_at(wide, data, at)
        at += struct.calcsize(wide)
        method = unpack_at(">H", data, at)[0] & 15 if version else 0
        at += (2 if version else 0) + 2
        base = int.from_bytes(data[at : at + base_bytes], "big")
        (extents,) = unpack_at(">H", data, at + base_bytes)
        at += base_bytes + 2
        if of_item == item:
            at += index_bytes
            start = base + int.from_bytes(data[at : at + offset_bytes], "big")
            length = int.from_bytes(data[at + offset_bytes : at + offset_bytes + length_bytes], "big")
            held = _child(data, meta.start, meta.end, b"idat") if method == 1 else _Box(b"", 0, len(data))
            return data[held.start + start : held.start + start + length] if held and extents and method < 2 else b""
        at += extents * (index_bytes + offset_bytes + length_bytes)
    return b""


def _child(data: bytes, start: int, end: int, name: bytes) -> _Box | None:
    return next((box for box in _boxes(data, start, end) if box.name == name), None)


def _boxes(data: bytes, start: int, end: int) -> Iterator[_Box]:
    """The boxes between two offsets; the last one may end beyond the file."""
    at = start
    while at + 8 <= min(end, len(data)):
        size, content = int.from_bytes(data[at : at + 4], "big"), at + 8
        if size == 1:
            size, content = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        elif size == 0:
            size = end - at
        if size < content - at:
            return
        yield _Box(data[at + 4 : at + 8], content, at + size)
        at += size
