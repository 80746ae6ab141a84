"""Colour without an ICC profile, colour of 16-bit samples, and warnings about what is not understood."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from trr_pipelines.imaging import icc
from trr_pipelines.imaging.decode import decode
from trr_pipelines_tests import pictures


def flat_png(value: int, chunks: bytes, *, channels: int = 3, depth: int = 8) -> bytes:
    samples = np.full((16, 16, channels), value)
    return pictures.png(samples, colour_type={1: 0, 2: 4, 3: 2, 4: 6}[channels], depth=depth, before_pixels=chunks)


def gamma(value: float) -> bytes:
    return pictures.png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def shown(data: bytes) -> Any:
    return np.asarray(decode(data).image).astype(int)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("value", "of_gamma", "expected"), [(102, 1.0, 170), (102, 1 / 1.8, 122), (102, 1 / 2.2, 102)])
def test_a_gamma_without_a_profile_is_applied(value: int, of_gamma: float, expected: int, channels: int) -> None:
    assert shown(flat_png(value, gamma(of_gamma), channels=channels))[8, 8] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize(("primaries", "transfer"), [(3, 13), (10, 13), (1, 9), (1, 12), (200, 200)])
def test_unknown_code_points_are_a_warning(primaries: int, transfer: int) -> None:
    picture = decode(flat_png(102, pictures.png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))))
    assert picture.warnings == (
        f"colour description ignored: primaries {primaries}, transfer characteristics {transfer}",
    )
    assert np.asarray(picture.image)[0, 0].tolist() == [102, 102, 102]


def test_code_points_of_a_png_override_its_profile_and_a_profile_its_gamma() -> None:
    profile = pictures.icc_profile(pictures.ADOBE_RGB, 1.0)
    packed = b"p\0\0" + zlib.compress(profile)
    linear = pictures.png_chunk(b"iCCP", packed)
    srgb = pictures.png_chunk(b"cICP", bytes([1, 13, 0, 1]))
    assert shown(flat_png(102, srgb + linear))[8, 8].tolist() == [102, 102, 102]
    assert shown(flat_png(102, gamma(1 / 1.8) + linear))[8, 8] == pytest.approx(170, abs=1)


@pytest.mark.parametrize(
    "kind", ["PNG, profile", "PNG, gamma", "TIFF, profile", "grey PNG, profile", "grey PNG, gamma"]
)
def test_16_bits_are_converted_before_they_are_cut_to_8(kind: str) -> None:
    """A linear ramp up to 2 % of white has about 40 levels of sRGB; cut first, it has 5."""
    ramp = np.repeat(np.linspace(0, 0.02 * 65_535, 400).round().astype(np.uint16)[None, :], 8, axis=0)
    data = _deep_file(kind, ramp)
    row = shown(data)[4]
    levels = row if row.ndim == 1 else row[:, 0]
    linear = np.linspace(0, 0.02, 400)
    assert np.abs(levels - 255 * icc.srgb_encoded(linear)).max() <= 1.5
    assert len(np.unique(levels)) > 30


def _deep_file(kind: str, ramp: Any) -> bytes:
    rgb = np.repeat(ramp[:, :, None], 3, axis=2)
    profile = pictures.icc_profile(pictures.SRGB, 1.0)
    if kind == "TIFF, profile":
        data = bytearray(cv2.imencode(".tiff", rgb, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes())
        return _with_tiff_profile(bytes(data), profile)
    grey = kind.startswith("grey")
    samples = ramp[:, :, None] if grey else rgb
    profile = pictures.grey_icc_profile(1.0) if grey else profile
    packed = pictures.png_chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))
    chunks = packed if kind.endswith("profile") else gamma(1)
    return pictures.png(samples, colour_type=0 if grey else 2, depth=16, before_pixels=chunks)


def _with_tiff_profile(data: bytes, profile: bytes) -> bytes:
    """A little-endian TIFF with its directory moved to the end, and an ICC profile added."""
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    entries = [data[at + 2 + n * 12 : at + 14 + n * 12] for n in range(count)]
    profile_at = len(data)
    entries.append(struct.pack("<HHII", 34_675, 7, len(profile), profile_at))
    directory = struct.pack("<H", len(entries)) + b"".join(sorted(entries, key=lambda e: e[:2][::-1])) + bytes(4)
    moved = data + profile
    return moved[:4] + struct.pack("<I", len(moved)) + moved[8:] + directory


def test_16_bit_transparency_is_kept() -> None:
    samples = np.full((8, 8, 4), 13_000)
    samples[:, 4:, 3] = 65_535
    picture = decode(pictures.png(samples, colour_type=6, depth=16, before_pixels=gamma(1)))
    seen = np.asarray(picture.image).astype(int)
    assert seen[0, 0, 3] == 13_000 >> 8
    assert seen[0, 7, 3] == 255
    assert seen[0, 0, 0] == pytest.approx(255 * icc.srgb_encoded(np.array(13_000 / 65_535)), abs=1)


@pytest.mark.parametrize("index", [b"R03\0", b"R98\0"])
def test_adobe_rgb_in_exif_alone_is_a_warning(index: bytes) -> None:
    inner = struct.pack("<HHHI", 1, 1, 2, 4) + index + bytes(4)
    interoperability_at = 8 + 18 + 18
    detail = struct.pack("<HHHII", 1, 0xA005, 4, 1, interoperability_at) + bytes(4)
    first = struct.pack("<HHHII", 1, 0x8769, 4, 1, 8 + 18) + bytes(4)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + detail + inner
    picture = decode(pictures.with_jpeg_segment(pictures.jpeg(), 0xE1, exif))
    expected = ("EXIF says Adobe RGB, without a profile: shown as sRGB, as browsers do",)
    assert picture.warnings == (expected if index == b"R03\0" else ())


@pytest.mark.parametrize("primaries", [pictures.SRGB, pictures.DISPLAY_P3, pictures.ADOBE_RGB], ids=str)
def test_a_written_profile_is_the_one_that_was_read(primaries: dict[str, tuple[float, float]]) -> None:
    profile = pictures.icc_profile(primaries, 2.2)
    read = icc.matrix_profile(profile)
    assert read is not None
    grid = np.stack(np.meshgrid(*[np.arange(0, 256, 51)] * 3), axis=-1).astype(np.uint8).reshape(1, -1, 3)
    srgb = ImageCms.createProfile("sRGB")
    first, second = (
        np.asarray(ImageCms.profileToProfile(Image.fromarray(grid), pictures.opened_profile(one), srgb)).astype(int)
        for one in (profile, read.to_bytes())
    )
    assert np.abs(first - second).max() <= 1


def test_parametric_and_sampled_curves_are_read() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    read = icc.matrix_profile(srgb)
    assert read is not None
    steps = np.linspace(0, 1, 101)
    assert read.curves[0](steps) == pytest.approx(icc.srgb_curve(steps), abs=2e-4)
    assert icc.matrix_profile(read.to_bytes()).curves[1](steps) == pytest.approx(icc.srgb_curve(steps), abs=2e-4)  # type: ignore[union-attr]


@pytest.mark.parametrize("cut", [0, 10, 130, 140, 200, 300])
def test_damaged_profiles_have_no_matrix(cut: int) -> None:
    profile = pictures.icc_profile(pictures.DISPLAY_P3, 2.2)
    assert icc.matrix_profile(profile[:cut]) is None
    assert icc.grey_curve(profile[:cut]) is None
