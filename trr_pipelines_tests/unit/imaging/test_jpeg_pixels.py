"""Damage inside JPEG data that libjpeg only warns of, missing end markers, and pixels equal to Pillow's."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.decode import decode
from trr_pipelines_tests import pictures

END = b"\xff\xd9"
PHOTO = pictures.photo(640, 480)
NO_END = "the end marker is missing; all pixels are present"


def jpeg(**options: Any) -> bytes:
    return pictures.saved(PHOTO, "JPEG", quality=90, **options)


def pixels_at(data: bytes) -> int:
    """Offset of the first byte of entropy-coded data."""
    scan = data.index(b"\xff\xda")
    return scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big")


def refusal(data: bytes, reduction: int = 1) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        decode(data, reduction)
    return caught.value


def half_with_end(data: bytes) -> bytes:
    return data[: len(data) // 2] + END


def without_sector(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes(4096) + data[at + 4096 :]


def with_lost_bytes(data: bytes) -> bytes:
    at = pixels_at(data) + 2000
    return data[:at] + data[at + 1500 :]


def without_restart_interval(data: bytes) -> bytes:
    first, second = (data.index(bytes([0xFF, marker]), pixels_at(data)) for marker in (0xD2, 0xD3))
    return data[:first] + data[second:]


@pytest.mark.parametrize("reduction", [1, 4])
@pytest.mark.parametrize(
    ("damage", "options"),
    [
        (half_with_end, {}),
        (half_with_end, {"progressive": True}),
        (without_sector, {}),
        (without_sector, {"progressive": True}),
        (with_lost_bytes, {}),
        (without_restart_interval, {"restart_marker_rows": 1}),
    ],
    ids=["half", "half, progressive", "lost sector", "lost sector, progressive", "lost bytes", "lost restart interval"],
)
def test_damaged_pixel_data_is_corrupt(damage: Any, options: dict[str, Any], reduction: int) -> None:
    error = refusal(damage(jpeg(**options)), reduction)
    assert error.reason is Reason.CORRUPT
    assert "jpeg: " in str(error)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 2}], ids=str)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
@pytest.mark.parametrize("rest", [b"", b"\xff"], ids=["no marker", "half a marker"])
def test_whole_pixels_without_an_end_marker_are_complete_with_a_warning(
    options: dict[str, Any], mode: str, rest: bytes
) -> None:
    data = pictures.saved(PHOTO.convert(mode), "JPEG", quality=90, **options)
    picture = decode(data[:-2] + rest)
    assert picture.warnings == (NO_END,)
    assert picture.image.tobytes() == decode(data).image.tobytes()


def test_bytes_after_the_pixels_are_a_warning() -> None:
    picture = decode(jpeg()[:-2] + bytes(200) + END)
    (warning,) = picture.warnings
    assert "extraneous bytes before marker 0xd9" in warning
    assert picture.image.tobytes() == decode(jpeg()).image.tobytes()


@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
def test_a_few_missing_rows_are_a_warning_with_their_share(reduction: int) -> None:
    data = jpeg()
    picture = decode(data[: int(len(data) * 0.985)], reduction)
    (warning,) = picture.warnings
    assert warning.startswith("the last ")
    assert 1 < float(warning.removeprefix("the last ").partition("%")[0]) <= 5


@pytest.mark.parametrize("reduction", [1, 8])
def test_more_missing_rows_are_truncated_with_share_and_limit(reduction: int) -> None:
    data = jpeg()
    error = refusal(data[: int(len(data) * 0.9)], reduction)
    assert error.reason is Reason.TRUNCATED
    assert "limit is 5%" in str(error)


def test_an_incomplete_progressive_file_is_truncated() -> None:
    data = jpeg(progressive=True)
    assert refusal(data[: int(len(data) * 0.98)]).reason is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}),
        ("RGB", {"subsampling": "4:4:4"}),
        ("RGB", {"subsampling": "4:2:2"}),
        ("RGB", {"progressive": True}),
        ("RGB", {"keep_rgb": True}),
        ("L", {}),
        ("CMYK", {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("reduction", [1, 2, 4, 8])
@pytest.mark.parametrize("size", [(640, 480), (643, 477), (17, 9)])
def test_pixels_equal_pillows(mode: str, options: dict[str, Any], reduction: int, size: tuple[int, int]) -> None:
    data = pictures.saved(PHOTO.resize(size).convert(mode), "JPEG", quality=90, **options)
    expected = Image.open(BytesIO(data))
    if reduction > 1:
        expected.draft(None, (size[0] // reduction or 1, size[1] // reduction or 1))
    picture = decode(data, reduction)
    assert picture.warnings == ()
    if mode == "CMYK":
        expected = expected.convert("RGB")
    assert np.array_equal(np.asarray(picture.image), np.asarray(expected))


@pytest.mark.parametrize("missing", [1, 4, 11, 12], ids=str)
def test_a_png_without_its_end_is_complete_with_a_warning(missing: int) -> None:
    data = pictures.saved(PHOTO, "PNG")
    picture = decode(data[:-missing])
    assert picture.warnings == (NO_END,)
    assert picture.image.tobytes() == PHOTO.tobytes()


def test_a_png_without_its_last_pixels_is_truncated() -> None:
    data = pictures.saved(PHOTO, "PNG")
    assert refusal(data[:-20]).reason is Reason.TRUNCATED


@pytest.mark.parametrize("reduction", [1, 4])
@pytest.mark.parametrize(
    "segment",
    [
        b"\xff\xc4\x00\x16\x00" + b"\xff" * 16 + bytes(3),  # impossible Huffman table
        b"\xff\xdb\x00\x03\x0f",  # quantisation table 15
        b"\xff\xc0\x00\x0b\x08\x00\x10\x00\x10\x01\x01\x11\x00",  # a second frame header
        b"\xff\xf7\x00\x02",  # a marker that no decoder knows
    ],
    ids=["Huffman table", "quantisation table", "frame header", "marker"],
)
def test_an_error_of_the_decoder_is_never_a_picture(segment: bytes, reduction: int) -> None:
    """simplejpeg returns samples after an error at the end of a scan, unless it is strict."""
    data = jpeg()
    middle = len(data) // 2
    assert refusal(data[:middle] + segment + data[middle:], reduction).reason in (Reason.CORRUPT, Reason.TRUNCATED)
