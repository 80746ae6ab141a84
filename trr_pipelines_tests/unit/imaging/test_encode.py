"""Encoders: each format, mode and quality; tables of JPEG; deterministic bytes."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont, JpegImagePlugin

from trr_pipelines.imaging.encode import encode, quantisation_table
from trr_pipelines.imaging.recipes import BASE, EncoderOptions, QuantCurve
from trr_pipelines_tests import pictures

OPTIONS = EncoderOptions()
CURVE = QuantCurve(finest=16, coarsest=80, bend=2.0)


def photo(mode: str) -> Image.Image:
    """Smooth colours with some texture; a soft hole where there is alpha."""
    rows, columns = np.mgrid[0:120, 0:160]
    texture = 12 * np.sin(columns / 3.0) * np.cos(rows / 5.0)
    bands = [rows + 60, columns + 40, 200 - rows / 2]
    pixels = np.stack([np.clip(band + texture, 0, 255) for band in bands], -1).astype(np.uint8)
    image = Image.fromarray(pixels)
    if mode == "RGBA":
        distance = np.hypot(rows - 60, columns - 80)
        image.putalpha(Image.fromarray(np.clip((distance - 20) * 8, 0, 255).astype(np.uint8)))
        return image
    return image.convert(mode)


def reread(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize(
    ("image_format", "mode", "seen"),
    [
        ("webp", "RGB", "RGB"),
        ("webp", "RGBA", "RGBA"),
        ("webp", "L", "RGB"),
        ("jpeg", "RGB", "RGB"),
        ("jpeg", "L", "L"),
        ("png", "RGBA", "RGBA"),
        ("avif", "RGB", "RGB"),
        ("avif", "RGBA", "RGBA"),
    ],
)
def test_an_encoded_picture_shows_the_same_colours(image_format: str, mode: str, seen: str) -> None:
    image = photo(mode)
    shown = reread(encode(image, image_format, 77, OPTIONS))
    assert (shown.format, shown.mode, shown.size) == (image_format.upper(), seen, image.size)
    on_black = [np.asarray(one.convert("RGBA"), float) for one in (image, shown)]
    colours = [one[..., :3] * one[..., 3:] / 255 for one in on_black]
    assert np.abs(colours[0] - colours[1]).mean() < 4


def test_png_loses_nothing() -> None:
    image = photo("RGBA")
    assert reread(encode(image, "png", 77, OPTIONS)).tobytes() == image.tobytes()


def test_webp_keeps_extreme_alpha_and_changes_other_alpha_by_two_levels_at_most() -> None:
    before = np.asarray(photo("RGBA"))[..., 3].astype(int)
    after = np.asarray(reread(encode(photo("RGBA"), "webp", 77, OPTIONS)))[..., 3].astype(int)
    assert (after[before == 0] == 0).all()
    assert (after[before == 255] == 255).all()
    assert np.abs(after - before).max() <= 2


@pytest.mark.parametrize("image_format", ["webp", "jpeg", "avif"])
def test_more_quality_is_more_bytes(image_format: str) -> None:
    sizes = [len(encode(photo("RGB"), image_format, quality, OPTIONS)) for quality in (40, 77, 95)]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("image_format", ["webp", "jpeg", "png", "avif"])
def test_equal_pixels_are_equal_bytes(image_format: str) -> None:
    mode = "RGBA" if image_format == "png" else "RGB"
    assert encode(photo(mode), image_format, 77, OPTIONS) == encode(photo(mode), image_format, 77, OPTIONS)


def test_jpeg_uses_the_tables_of_the_recipe() -> None:
    tables = reread(encode(photo("RGB"), "jpeg", 60, OPTIONS))
    assert isinstance(tables, JpegImagePlugin.JpegImageFile)
    assert tuple(tables.quantization[0]) == quantisation_table(OPTIONS.jpeg_luma, 60)
    assert tuple(tables.quantization[1]) == quantisation_table(OPTIONS.jpeg_chroma, 60)


def test_a_table_runs_from_the_finest_step_to_the_coarsest_and_is_the_same_along_and_across() -> None:
    table = np.array(quantisation_table(CURVE, 50)).reshape(8, 8)
    assert (table[0, 0], table[0, 7], table[7, 7]) == (16, 80, 80)
    assert (np.diff(table[0]) >= 0).all()
    assert (table == table.T).all()


@pytest.mark.parametrize(("quality", "finest"), [(10, 80), (25, 32), (50, 16), (75, 8), (100, 1)])
def test_quality_scales_a_table_as_libjpeg_does(quality: int, finest: int) -> None:
    assert quantisation_table(CURVE, quality)[0] == finest


def test_steps_stay_within_the_range_of_baseline_jpeg() -> None:
    assert max(quantisation_table(CURVE, 1)) == 255


@pytest.mark.parametrize(
    ("image_format", "mode", "changed"),
    [
        ("webp", "RGB", {"webp_method": 4}),
        ("webp", "RGBA", {"webp_alpha_quality": 50}),
        ("jpeg", "RGB", {"jpeg_subsampling": "4:4:4"}),
        ("jpeg", "RGB", {"jpeg_progressive": True}),
        ("jpeg", "RGB", {"jpeg_luma": CURVE}),
        ("jpeg", "RGB", {"jpeg_chroma": CURVE}),
        ("png", "RGBA", {"png_compress_level": 6, "png_strategy": "default"}),
        ("avif", "RGB", {"avif_speed": 9}),
        ("avif", "RGB", {"avif_quality_offset": 0}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) else str(value),
)
def test_every_option_reaches_its_encoder(image_format: str, mode: str, changed: dict[str, object]) -> None:
    usual = encode(photo(mode), image_format, 77, OPTIONS)
    assert encode(photo(mode), image_format, 77, replace(OPTIONS, **changed)) != usual


# --- Graphics


def poster(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Red text and lines on white."""
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for row, size in enumerate((48, 36, 24, 18)):
        draw.text((20, 20 + 60 * row), "GRAND EXHIBITION 1936", fill=(220, 0, 0), font=ImageFont.load_default(size))
    for line in range(20):
        draw.line((20 + line * 16, height - 140, 26 + line * 16, height - 20), fill=(220, 0, 0), width=1 + line % 3)
    return image.convert(mode)


def is_lossless(webp: bytes) -> bool:
    return webp[12:16] == b"VP8L"


@pytest.mark.parametrize(("mode", "share"), [("RGB", 1.0), ("RGB", 0.5), ("L", 1.0)])
def test_a_graphic_is_exact_as_webp_and_not_larger_than_lossless(mode: str, share: float) -> None:
    image = poster(640, 480, mode).resize((round(640 * share), round(480 * share)), Image.Resampling.LANCZOS)
    data = encode(image, "webp", 77, BASE.encoder)
    assert is_lossless(data)
    shown = Image.open(BytesIO(data)).convert(mode)
    assert shown.tobytes() == image.tobytes()


def test_red_text_keeps_its_colour_in_jpeg() -> None:
    image = poster(640, 480)
    shown = Image.open(BytesIO(encode(image, "jpeg", 77, BASE.encoder)))
    assert JpegImagePlugin.get_sampling(shown) == 0  # 4:4:4
    gray = poster(640, 480, "L").convert("RGB")
    assert JpegImagePlugin.get_sampling(Image.open(BytesIO(encode(gray, "jpeg", 77, BASE.encoder)))) == 2  # 4:2:0


@pytest.mark.parametrize("image_format", ["webp", "jpeg"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_photographs_are_encoded_as_before(image_format: str, mode: str) -> None:
    image = pictures.photo(320, 240).convert(mode)
    without = replace(BASE.encoder, graphic_colours=1)
    assert encode(image, image_format, 77, BASE.encoder) == encode(image, image_format, 77, without)
