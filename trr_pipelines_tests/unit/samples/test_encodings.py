"""Kinds of sample files: each decodes to the encoded picture."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps, ImageStat

from trr_pipelines.samples import encodings

WIDTH, HEIGHT = 48, 32


def picture() -> Image.Image:
    """Four corners of different colours, so that a wrong turn shows."""
    quarters = Image.new("RGB", (2, 2))
    quarters.putdata([(200, 40, 40), (40, 180, 60), (50, 60, 200), (220, 210, 190)])
    return quarters.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST)


def reread(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def difference(seen: Image.Image, meant: Image.Image) -> float:
    return max(ImageStat.Stat(ImageChops.difference(seen.convert("RGB"), meant.convert("RGB"))).mean)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_upright_once_its_orientation_is_applied(orientation: int) -> None:
    stored = reread(encodings.turned_jpeg(orientation)(picture()))
    assert stored.getexif()[encodings.EXIF_ORIENTATION] == orientation
    assert difference(ImageOps.exif_transpose(stored), picture()) < 6


@pytest.mark.parametrize(
    ("encoding", "format_name", "mode"),
    [
        (encodings.jpeg, "JPEG", "RGB"),
        (encodings.progressive_jpeg, "JPEG", "RGB"),
        (encodings.cmyk_jpeg, "JPEG", "CMYK"),
        (encodings.png, "PNG", "RGB"),
        (encodings.opaque_rgba_png, "PNG", "RGBA"),
        (encodings.webp, "WEBP", "RGB"),
        (encodings.tiff, "TIFF", "RGB"),
    ],
)
def test_each_kind_has_its_format_mode_and_picture(encoding: encodings.Encoding, format_name: str, mode: str) -> None:
    seen = reread(encoding(picture()))
    assert (seen.format, seen.mode) == (format_name, mode)
    assert difference(seen, picture()) < 6


def test_the_grey_jpeg_has_one_channel() -> None:
    assert reread(encodings.grey_jpeg(picture())).mode == "L"


def test_only_the_transparent_png_has_transparent_pixels() -> None:
    assert reread(encodings.opaque_rgba_png(picture())).getchannel("A").getextrema() == (255, 255)
    assert reread(encodings.transparent_png(picture())).getchannel("A").getextrema() == (0, 255)


def test_the_wide_gamut_profile_saturates_colours_and_keeps_white() -> None:
    wide = reread(encodings.wide_gamut_jpeg(picture()))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(wide.info["icc_profile"]))
    assert ImageCms.getProfileDescription(profile).strip() == "Display P3"
    colours = Image.new("RGB", (2, 1))
    colours.putdata([(255, 255, 255), (180, 80, 80)])
    seen = ImageCms.profileToProfile(colours, profile, ImageCms.createProfile("sRGB")).tobytes()
    assert min(seen[:3]) >= 253
    assert seen[3] > 184
    assert seen[4] < 78
