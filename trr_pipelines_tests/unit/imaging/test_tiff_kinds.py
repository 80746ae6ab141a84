"""Every kind of TIFF is decoded right or refused by name, never wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from trr_pipelines.errors import PermanentError, Reason
from trr_pipelines.imaging.decode import decode
from trr_pipelines_tests import pictures, tiff_files
from trr_pipelines_tests.tiff_files import (
    BLACK_IS_ZERO,
    CMYK,
    DEFLATE,
    FLOAT,
    LAB,
    LZW,
    NONE,
    OLD_DEFLATE,
    PACKBITS,
    PALETTE,
    RGB,
    SIGNED,
    UNSIGNED,
    WHITE_IS_ZERO,
    YCBCR,
)

HEIGHT, WIDTH = 20, 37
COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, LAB: 3}
SAMPLES = [
    *[(bits, UNSIGNED) for bits in (1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64)],
    *[(bits, SIGNED) for bits in (8, 16, 32, 64)],
    *[(bits, FLOAT) for bits in (16, 32, 64)],
]
ALPHAS = {"none": (), "unspecified": (0,), "premultiplied": (1,), "straight": (2,), "two": (0, 0), "undeclared": ()}
COMPRESSIONS = [(NONE, 1), (LZW, 1), (LZW, 2), (DEFLATE, 1), (OLD_DEFLATE, 2), (DEFLATE, 3), (PACKBITS, 1)]

# Kinds that photos have; these must not be refused. Without extra samples, in one plane.
SUPPORTED = {
    *[(grey, bits, UNSIGNED) for grey in (WHITE_IS_ZERO, BLACK_IS_ZERO) for bits in (1, 2, 4, 8, 16)],
    *[(PALETTE, bits, UNSIGNED) for bits in (1, 2, 4, 8)],
    *[(colours, bits, UNSIGNED) for colours in (RGB, CMYK) for bits in (8, 16)],
    *[(colours, 8, UNSIGNED) for colours in (YCBCR, LAB)],
}


@dataclass(frozen=True)
class Kind:
    photometric: int
    bits: int
    sample_format: int
    order: str = "<"
    alpha: str = "none"
    is_planar: bool = False
    fill_order: int = 1
    compression: int = NONE
    predictor: int = 1
    tile_side: int | None = None

    @property
    def has_alpha(self) -> bool:
        return self.alpha in ("premultiplied", "straight", "undeclared")


def kinds(photometric: int, bits: int, sample_format: int) -> Iterator[Kind]:
    for order, is_planar, alpha, (compression, predictor), tile_side in itertools.product(
        "<>", (False, True), ALPHAS, COMPRESSIONS, (None, 16)
    ):
        has_predictor = {1: True, 2: sample_format != FLOAT and bits in (8, 16, 32, 64), 3: sample_format == FLOAT}
        for fill_order in (1, 2) if alpha == "none" else (1,):
            if has_predictor[predictor] and (tile_side is None or compression == NONE):
                yield Kind(
                    photometric,
                    bits,
                    sample_format,
                    order,
                    alpha,
                    is_planar,
                    fill_order,
                    compression,
                    predictor,
                    tile_side,
                )


def ramps(channels: int) -> Any:
    """Different values of 0 to 1 in each channel, height × width × channels."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT - 1, WIDTH - 1])[:, None, None]
    return np.stack([x, y, (x + y) / 2, 1 - x, (x * 2) % 1, 1 - y][:channels], axis=2)


def whole(values: Any, bits: int, sample_format: int) -> tuple[Any, Any]:
    """`values` of 0 to 1 as samples of a file, and what these samples stand for."""
    if sample_format == FLOAT:
        return values, values
    white = 2 ** (bits - (sample_format == SIGNED)) - 1
    samples = np.round(values * float(min(white, 2**62))).astype(np.int64)
    return samples, samples / float(min(white, 2**62))


def written(kind: Kind) -> tuple[bytes, Any, Any]:
    """The file, its colours (height × width × 3), and its alpha; both 0 to 255."""
    colours = COLOURS[kind.photometric]
    extra = ALPHAS[kind.alpha]
    values = ramps(colours + (1 if kind.alpha == "undeclared" else len(extra)))
    if kind.alpha == "premultiplied":
        values[..., :colours] *= values[..., colours:]
    samples, seen = whole(values, kind.bits, kind.sample_format)
    colour_map = np.random.default_rng(1).integers(0, 256, (3, 2 ** min(kind.bits, 8)))
    data = tiff_files.written(
        tiff_files.page(
            samples,
            photometric=kind.photometric,
            bits=kind.bits,
            sample_format=kind.sample_format,
            extra=extra,
            planar=kind.is_planar,
            compression=kind.compression,
            predictor=kind.predictor,
            fill_order=kind.fill_order,
            rows_per_strip=None if kind.tile_side else 7,
            tile_side=kind.tile_side,
            order=kind.order,
            colour_map=(colour_map.ravel() * 257).tolist() if kind.photometric == PALETTE else None,
            tags={530: (3, [1, 1])} if kind.photometric == YCBCR else {},
        ),
        order=kind.order,
    )
    alpha = seen[..., colours] if kind.has_alpha else np.ones((HEIGHT, WIDTH))
    inks = seen[..., :colours]
    if kind.alpha == "premultiplied":
        inks = inks / np.maximum(alpha, 1e-9)[..., None]
    if kind.photometric == PALETTE:
        return (
            data,
            colour_map[:, np.minimum(samples[..., 0].astype(int), 255) % colour_map.shape[1]].transpose(1, 2, 0),
            alpha * 255,
        )
    return data, rgb(kind.photometric, inks), alpha * 255


def rgb(photometric: int, inks: Any) -> Any:
    """The colours (0 to 255) of samples of 0 to 1."""
    if photometric == WHITE_IS_ZERO:
        return np.repeat(255 - inks * 255, 3, axis=2)
    if photometric == CMYK:
        return 255 * (1 - inks[..., :3]) * (1 - inks[..., 3:])
    if photometric == YCBCR:
        to_rgb = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]])
        return np.clip((inks * 255 - [0, 128, 128]) @ to_rgb.T, 0, 255)
    if photometric == LAB:
        return rgb_of_lab(
            inks[..., 0] * 100, *np.moveaxis((inks[..., 1:] * 255).round().astype(np.uint8).view(np.int8), 2, 0)
        )
    return np.broadcast_to(inks * 255, (HEIGHT, WIDTH, 3))


def rgb_of_lab(lightness: Any, a: Any, b: Any) -> Any:
    y = (lightness + 16) / 116
    cones = np.stack([y + a / 500.0, y, y - b / 200.0], axis=2)
    xyz = np.where(cones > 6 / 29, cones**3, 3 * (6 / 29) ** 2 * (cones - 4 / 29)) * [0.9642, 1, 0.8249]
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(xyz @ np.array(to_linear).T, 0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def is_right(kind: Kind, seen: Any, colours: Any, alpha: Any) -> bool:
    """Within 1 of 255; more where 8-bit premultiplied samples are divided, and for conversions by 8-bit tables."""
    errors = np.abs(seen[..., :3] - colours)
    if kind.alpha == "premultiplied":
        errors = errors[alpha >= 40] * 40 / 255
    if kind.photometric == LAB:
        errors = np.quantile(errors, 0.8) / 6  # littleCMS maps colours outside sRGB in another way
    if kind.photometric in (CMYK, YCBCR):
        errors = errors / 2
    opaque_enough = alpha > 0
    if errors.ndim == 3:
        errors = errors[opaque_enough]
    return bool(errors.max() <= 1.01 and np.abs(seen[..., 3] - alpha).max() <= 1.01)


@pytest.mark.parametrize(("bits", "sample_format"), SAMPLES)
@pytest.mark.parametrize("photometric", COLOURS)
def test_every_kind_is_decoded_right_or_refused(photometric: int, bits: int, sample_format: int) -> None:
    wrong = []
    for kind in kinds(photometric, bits, sample_format):
        data, colours, alpha = written(kind)
        try:
            image = decode(data).image.convert("RGBA")
        except PermanentError as error:
            is_supported = (photometric, bits, sample_format) in SUPPORTED and kind.alpha == "none"
            if error.reason is not Reason.UNSUPPORTED_FORMAT or (
                is_supported and not kind.is_planar and kind.fill_order == 1
            ):
                wrong.append((kind, error.detail))
        else:
            if not is_right(kind, np.asarray(image).astype(float), colours, alpha):
                wrong.append((kind, "wrong colours"))
    assert wrong == []


# --- Pages


@pytest.mark.parametrize("compression", [NONE, LZW])
@pytest.mark.parametrize(("order", "is_big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("is_sub_page", [False, True])
def test_the_decoded_page_is_the_picture_not_its_preview(
    compression: int, order: str, is_big: bool, is_sub_page: bool
) -> None:
    picture = tiff_files.page(COLOUR, photometric=RGB, compression=compression, order=order)
    stamp = tiff_files.page(COLOUR[:2, :4] // 2, photometric=RGB, tags={254: (4, [1])}, order=order)
    if is_sub_page:
        stamp.sub_pages.append(picture)
    pages = [stamp] if is_sub_page else [stamp, picture]
    seen = decode(tiff_files.written(*pages, order=order, is_big=is_big))
    assert (seen.info.width, seen.info.height, seen.info.frames) == (32, 8, 1)
    assert (np.asarray(seen.image) == COLOUR).all()


def test_a_cut_picture_behind_its_preview_is_truncated() -> None:
    stamp = tiff_files.page(COLOUR[:2, :4], photometric=RGB, tags={254: (4, [1])})
    picture = tiff_files.page(COLOUR, photometric=RGB, tags={273: (4, [10_000])})
    with pytest.raises(PermanentError) as caught:
        decode(tiff_files.written(stamp, picture))
    assert caught.value.reason is Reason.TRUNCATED


# --- Samples of 16 bits with a profile, which another decoder reads


@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [LZW, DEFLATE])
@pytest.mark.parametrize("extra", [(), (0,), (2,)])
def test_16_bit_colour_with_a_profile_equals_that_of_8_bits(
    extra: tuple[int, ...], compression: int, order: str, is_planar: bool
) -> None:
    samples = np.round(ramps(3 + len(extra)) * 255).astype(np.int64)
    profile = {34675: (1, list(pictures.icc_profile(pictures.ADOBE_RGB, 2.2)))}
    seen = []
    for bits, planar in ((8, False), (16, is_planar)):
        page = tiff_files.page(
            samples * (257 if bits == 16 else 1),
            photometric=RGB,
            bits=bits,
            extra=extra,
            planar=planar,
            compression=compression,
            order=order,
            tags=profile,
        )
        seen.append(np.asarray(decode(tiff_files.written(page, order=order)).image).astype(int))
    assert np.abs(seen[0] - seen[1]).max() <= 6


# --- Samples of 32 bits


@pytest.mark.parametrize("lowest", [0x8000_0000, 0xFFFF_0000, 0xFFFF_FFFF])
def test_large_unsigned_32_bit_samples_are_bright(lowest: int) -> None:
    samples = np.full((4, 4, 1), lowest, np.int64)
    samples[0] = 0xFFFF_FFFF
    seen = np.asarray(decode(tiff_files.written(tiff_files.page(samples, photometric=1, bits=32))).image)
    assert (seen[0] == 255).all()
    assert np.abs(seen[1:] - lowest / 0xFFFF_FFFF * 255).max() <= 1


@pytest.mark.parametrize("lowest", [-1, -32_769, -(2**31)])
def test_negative_signed_32_bit_samples_are_black(lowest: int) -> None:
    samples = np.tile(np.linspace(0, 32_767, 16).astype(np.int64), (4, 1))[..., None]
    samples[0] = lowest
    page = tiff_files.page(samples, photometric=1, bits=32, sample_format=SIGNED)
    seen = np.asarray(decode(tiff_files.written(page)).image)
    assert (seen[0] == 0).all()
    assert np.abs(seen[1] - samples[1, :, 0] / 32_767 * 255).max() <= 1


# --- Other tags


GREY = np.tile(np.arange(32) * 8, (8, 1))[..., None]
COLOUR = np.repeat(GREY, 3, axis=2)
INKS = np.repeat(GREY, 4, axis=2)
USUAL_RANGE = {532: (5, [0, 1, 255, 1, 128, 1, 255, 1, 128, 1, 255, 1])}
STUDIO_RANGE = {532: (5, [16, 1, 235, 1, 128, 1, 240, 1, 128, 1, 240, 1])}


@pytest.mark.parametrize(
    ("page", "detail"),
    [
        (
            tiff_files.page(COLOUR, photometric=RGB, bits=32, sample_format=FLOAT),
            "3 × 32-bit floating samples, photometric 2",
        ),
        (tiff_files.page(GREY, photometric=1, bits=14), "1 × 14-bit unsigned samples"),
        (tiff_files.page(GREY, photometric=1, bits=8, sample_format=4), "format 4 samples"),
        (
            tiff_files.page(GREY, photometric=0, bits=32, sample_format=FLOAT),
            "32-bit floating samples with white at zero",
        ),
        (tiff_files.page(GREY, photometric=1, tags={259: (3, [50_001])}), "compression 50001"),
        (tiff_files.page(GREY, photometric=1, tags={259: (3, [34_712])}), "compression 34712"),
        (tiff_files.page(GREY, photometric=1, sample_format=SIGNED), "signed 8-bit samples"),
        (tiff_files.page(GREY, photometric=1, tags={346: (3, [1])}), "a palette of another colour model"),
        (tiff_files.page(INKS, photometric=CMYK, tags={332: (3, [2])}), "inks other than CMYK"),
        (tiff_files.page(COLOUR, photometric=YCBCR), "reduced chroma"),
        (tiff_files.page(COLOUR, photometric=YCBCR, tags={530: (3, [1, 1]), **STUDIO_RANGE}), "range"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_kind_that_would_be_misread_is_refused_by_name(page: tiff_files.Page, detail: str) -> None:
    with pytest.raises(PermanentError) as caught:
        decode(tiff_files.written(page))
    assert caught.value.reason is Reason.UNSUPPORTED_FORMAT
    assert detail in caught.value.detail


def test_uncompressed_ycbcr_of_the_usual_range_is_decoded() -> None:
    grey = np.concatenate([GREY, np.full((8, 32, 2), 128)], axis=2)
    page = tiff_files.page(grey, photometric=YCBCR, tags={530: (3, [1, 1]), **USUAL_RANGE})
    seen = np.asarray(decode(tiff_files.written(page)).image)
    assert np.abs(seen - COLOUR).max() <= 1


def test_a_big_tiff_is_decoded_or_refused_by_name() -> None:
    def big(order: str) -> bytes:
        return tiff_files.written(tiff_files.page(GREY, photometric=1, order=order), order=order, is_big=True)

    assert (np.asarray(decode(big("<")).image) == GREY[..., 0]).all()
    with pytest.raises(PermanentError, match="unsupported_format: this kind of tiff: big-endian BigTIFF"):
        decode(big(">"))
