"""Gain maps, depth maps, mattes and previews in JPEG and HEIC are not counted as frames."""

from __future__ import annotations

import struct
import time
from functools import partial

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from trr_pipelines.imaging.decode import decode, inspect
from trr_pipelines.imaging.headers import read_header
from trr_pipelines_tests import pictures

PHOTO = pictures.photo(160, 120)

# --- JPEG


def multi_picture_jpeg(first: bytes, *others: tuple[bytes, int], order: str = "<") -> bytes:
    """A JPEG with an index of pictures (CIPA DC-007) and the others after it, each with its attributes."""
    index_bytes = 50 + 16 * (1 + len(others))
    end = len(first) + 4 + 4 + index_bytes
    base = 2 + 4 + 4
    entries = [struct.pack(order + "IIIHH", 0x2003_0000, end, 0, 0, 0)]
    at = end
    for data, attributes in others:
        entries.append(struct.pack(order + "IIIHH", attributes, len(data), at - base, 0, 0))
        at += len(data)
    index = b"MPF\0" + (b"II" if order == "<" else b"MM") + struct.pack(order + "HIH", 42, 8, 3)
    index += struct.pack(order + "HHI4s", 0xB000, 7, 4, b"0100")
    index += struct.pack(order + "HHII", 0xB001, 4, 1, len(entries))
    index += struct.pack(order + "HHIII", 0xB002, 7, 16 * len(entries), 50, 0)
    return pictures.with_jpeg_segment(first, 0xE2, index + b"".join(entries)) + b"".join(data for data, _ in others)


def xmp(content: bytes) -> tuple[int, bytes]:
    return 0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>" + content + b"</x:xmpmeta>"


ISO_GAIN_MAP = (0xE2, b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0")
APPLE_TYPE = b"<apdi:AuxiliaryImageType>urn:com:apple:photo:2020:aux:%b</apdi:AuxiliaryImageType>"
APPLE_GAIN_MAP = xmp(APPLE_TYPE % b"hdrgainmap" + b"<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>")
THUMBNAIL, PANORAMA, STEREO, GAIN_MAP = 0x01_0002, 0x02_0001, 0x02_0002, 0x05_0000
PLAIN = xmp(b"<dc:title>HDR</dc:title>")


@pytest.mark.parametrize(
    ("of_first", "of_second", "attributes", "frames"),
    [
        (PLAIN, PLAIN, 0, 2),
        (PLAIN, PLAIN, STEREO, 2),
        (PLAIN, PLAIN, PANORAMA, 2),
        (PLAIN, PLAIN, THUMBNAIL, 1),
        (PLAIN, PLAIN, GAIN_MAP, 1),
        (PLAIN, APPLE_GAIN_MAP, 0, 1),
        (PLAIN, xmp(b"<HDRGainMap:HDRGainMapVersion>65536</HDRGainMap:HDRGainMapVersion>"), 0, 1),
        (PLAIN, xmp(APPLE_TYPE % b"portraiteffectsmatte"), 0, 1),
        (ISO_GAIN_MAP, ISO_GAIN_MAP, 0, 1),
        (ISO_GAIN_MAP, PLAIN, 0, 1),
        (PLAIN, ISO_GAIN_MAP, 0, 1),
        (xmp(b'<rdf:Description hdrgm:Version="1.0"/>'), xmp(b'<rdf:Description hdrgm:GainMapMax="3"/>'), 0, 1),
        (xmp(b"<hdrgm:Version>1.0</hdrgm:Version>"), PLAIN, 0, 1),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_a_second_picture_of_a_jpeg_that_belongs_to_the_first_is_no_frame(
    of_first: tuple[int, bytes], of_second: tuple[int, bytes], attributes: int, frames: int, order: str
) -> None:
    first = pictures.with_jpeg_segment(pictures.saved(PHOTO, "JPEG", quality=95), *of_first)
    second = pictures.with_jpeg_segment(pictures.saved(PHOTO.convert("L").resize((80, 60)), "JPEG"), *of_second)
    data = multi_picture_jpeg(first, (second, attributes), order=order)
    assert inspect(data).frames == frames
    assert decode(data).image.size == PHOTO.size


def test_a_gain_map_beside_a_stereo_pair_is_no_frame() -> None:
    picture = pictures.saved(PHOTO, "JPEG")
    gain_map = pictures.with_jpeg_segment(picture, *APPLE_GAIN_MAP)
    assert inspect(multi_picture_jpeg(picture, (picture, STEREO), (gain_map, 0))).frames == 2


@pytest.mark.parametrize("content", [b"\xff\xe1\x00\x02" * 1_000_000, b"\xff\x00" * 2_000_000])
def test_a_malicious_index_of_pictures_takes_milliseconds(content: bytes) -> None:
    data = multi_picture_jpeg(pictures.saved(PHOTO, "JPEG"), *[(b"", 0)] * 4_000)
    huge = data.replace(
        struct.pack("<IIIHH", 0, 0, len(data) - 10, 0, 0), struct.pack("<IIIHH", 0, 2**32 - 1, len(data) - 10, 0, 0)
    )
    began = time.process_time()
    assert read_header("jpeg", huge + content).frames == 4_001
    assert time.process_time() - began < 1


# --- HEIC


def box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + name + content


def full_box(name: bytes, content: bytes, *, version: int = 0) -> bytes:
    return box(name, bytes([version, 0, 0, 0]) + content)


def heic(
    kinds: dict[int, bytes],
    *,
    references: tuple[tuple[bytes, int, list[int]], ...] = (),
    auxiliary: dict[int, bytes] | None = None,
    is_wide: bool = False,
) -> bytes:
    """The boxes of a HEIC before its pixels: items, references (kind, from, to), and types of auxiliary pictures."""
    number = ">I" if is_wide else ">H"
    infos = b"".join(
        full_box(b"infe", struct.pack(number + "H", item, 0) + kind + b"\0", version=3 if is_wide else 2)
        for item, kind in kinds.items()
    )
    links = b"".join(
        box(kind, struct.pack(f"{number}H{len(items)}{number[1]}", of_item, len(items), *items))
        for kind, of_item, items in references
    )
    types = auxiliary or {}
    properties = full_box(b"ispe", struct.pack(">II", 160, 120))
    properties += b"".join(full_box(b"auxC", name + b"\0") for name in types.values())
    index_of = {item: index for index, item in enumerate(types, 2)}
    association = struct.pack(">I", len(kinds))
    for item in kinds:
        indexes = [1, index_of[item]] if item in index_of else [1]
        association += struct.pack(number + "B", item, len(indexes)) + bytes(indexes)
    meta = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    meta += full_box(b"pitm", struct.pack(">H", 1))
    meta += full_box(b"iinf", struct.pack(">H", len(kinds)) + infos)
    meta += full_box(b"iref", links, version=int(is_wide)) if references else b""
    meta += box(b"iprp", box(b"ipco", properties) + full_box(b"ipma", association, version=int(is_wide)))
    return box(b"ftyp", b"heic\0\0\0\0mif1heic") + full_box(b"meta", meta)


APPLE = b"urn:com:apple:photo:2020:aux:hdrgainmap"
TYPES = [
    APPLE,
    b"urn:mpeg:hevc:2015:auxid:1",
    b"urn:mpeg:hevc:2015:auxid:2",
    b"urn:com:apple:photo:2018:aux:portraiteffectsmatte",
    b"urn:com:apple:photo:2019:aux:semanticskinmatte",
]


@pytest.mark.parametrize("is_wide", [False, True])
@pytest.mark.parametrize("kind", [b"hvc1", b"grid"])
@pytest.mark.parametrize("name", TYPES)
def test_an_auxiliary_picture_of_a_heic_is_no_frame(name: bytes, kind: bytes, is_wide: bool) -> None:
    written = partial(heic, {1: kind, 2: kind}, is_wide=is_wide)
    assert inspect(written()).frames == 2
    assert inspect(written(auxiliary={2: name})).frames == 1
    assert inspect(written(references=((b"auxl", 2, [1]),))).frames == 1
    assert inspect(written(references=((b"auxl", 2, [1]),), auxiliary={2: name})).frames == 1


def test_the_tiles_of_an_auxiliary_grid_are_no_frames() -> None:
    kinds = {1: b"grid", **dict.fromkeys(range(2, 6), b"hvc1"), 6: b"grid", 7: b"hvc1", 8: b"hvc1"}
    references = ((b"dimg", 1, [2, 3, 4, 5]), (b"dimg", 6, [7, 8]))
    assert inspect(heic(kinds, references=references, auxiliary={6: APPLE})).frames == 1
    assert inspect(heic(kinds, references=references)).frames == 2


def test_the_base_of_a_tone_map_is_a_frame_and_its_gain_map_is_none() -> None:
    kinds = {1: b"hvc1", 2: b"hvc1", 3: b"hvc1", 4: b"tmap"}
    assert inspect(heic(kinds, references=((b"dimg", 4, [1, 2]),))).frames == 2


def test_a_real_heic_with_an_auxiliary_picture_has_one_frame() -> None:
    heif = pillow_heif.from_pillow(PHOTO)
    heif.add_from_pillow(Image.new("L", (64, 64), 99))
    data = pictures.saved_by(heif.save, quality=95)
    assert inspect(data).frames == 2
    at = data.rindex(b"pixi")  # the last property, of the second picture only
    marked = data[:at] + b"auxC" + data[at + 4 :]
    assert inspect(marked).frames == 1
    assert np.asarray(decode(marked).image).shape == (120, 160, 3)


# --- EXIF of HEIC and AVIF


def turned_by_exif_only(image_format: str, orientation: int) -> bytes:
    """A file whose EXIF has an orientation while no property turns it: encoders never write that."""
    exif = Image.Exif()
    exif[0x0113] = orientation
    if image_format == "AVIF":
        data = pictures.saved(PHOTO, "AVIF", exif=exif.tobytes())
    else:
        data = pictures.saved_by(pillow_heif.from_pillow(PHOTO).save, exif=exif.tobytes())
    unknown_tag = b"\x01\x13\x00\x03"
    assert data.count(unknown_tag) == 1
    return data.replace(unknown_tag, b"\x01\x12\x00\x03")


@pytest.mark.parametrize("orientation", [1, 3, 6, 8, 9])
@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_exif_that_turns_a_heic_or_avif_is_ignored_with_a_warning(image_format: str, orientation: int) -> None:
    picture = decode(turned_by_exif_only(image_format, orientation))
    assert picture.image.size == PHOTO.size
    assert picture.orientation == 1
    warning = f"EXIF orientation {orientation} ignored: the file has no rotation or mirror property"
    assert picture.warnings == ((warning,) if orientation in (3, 6, 8) else ())
    assert "colour" not in picture.unfit


@pytest.mark.parametrize("image_format", ["AVIF", "HEIF"])
def test_a_heic_or_avif_turned_by_a_property_has_no_warning(image_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    if image_format == "AVIF":
        data = pictures.saved(PHOTO, "AVIF", exif=exif.tobytes())
    else:
        data = pictures.saved_by(pillow_heif.from_pillow(PHOTO).save, exif=exif.tobytes())
    picture = decode(data)
    assert (picture.info.width, picture.info.height) == PHOTO.size[::-1]
    assert picture.warnings == ()
