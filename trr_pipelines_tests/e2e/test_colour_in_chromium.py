"""Colours of files without an ICC profile, beside those that Chromium shows."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from trr_pipelines.imaging.decode import decode
from trr_pipelines_tests import pictures

# Values of a channel. HDR pictures go through a table of 65 points, between which values are interpolated.
CLOSE, CLOSE_HDR = 3, 12
PATCH, SIDE = 8, 64
SRGB = (0.3127, 0.329, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
DISPLAY_P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def patches() -> Any:
    """64 patches of 8 × 8 pixels: 32 greys and 32 colours."""
    values = np.linspace(0, 255, 8).astype(np.uint8)
    colours = [(values[n % 8], values[(n // 8) * 2 + 1], values[(n * 3 + 2) % 8]) for n in range(32)]
    greys = [(value, value, value) for value in np.linspace(0, 255, 32).astype(np.uint8)]
    grid = np.array([*greys, *colours], dtype=np.uint8).reshape(8, 8, 3)
    return np.kron(grid, np.ones((PATCH, PATCH, 1), dtype=np.uint8))


def code_points(primaries: int, transfer: int) -> bytes:
    return pictures.png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def gamma(value: float) -> bytes:
    return pictures.png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chromaticities(xy: tuple[float, ...]) -> bytes:
    return pictures.png_chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in xy)))


def png(chunks: bytes) -> bytes:
    return pictures.png(patches(), colour_type=2, before_pixels=chunks)


def avif(primaries: int, transfer: int) -> bytes:
    data = bytearray(pictures.saved(Image.fromarray(patches()), "AVIF", quality=100, subsampling="4:4:4"))
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


@pytest.fixture(scope="module")
def shown_by_chromium(browser: Browser) -> Any:
    page = browser.new_page(viewport={"width": SIDE, "height": SIDE})
    yield lambda data, media_type: _shown(page, data, media_type)
    page.close()


def _shown(page: Page, data: bytes, media_type: str) -> Any:
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    page.set_content(f'<body style="margin:0"><img src="{url}" style="display:block"></body>')
    assert page.evaluate("document.querySelector('img').decode().then(() => true, () => false)")
    return centres(Image.open(BytesIO(page.screenshot())))


def centres(image: Image.Image) -> Any:
    return np.asarray(image.convert("RGB")).astype(int)[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]


@pytest.mark.parametrize(
    "chunks",
    [
        b"",
        *(code_points(1, transfer) for transfer in (1, 2, 4, 5, 7, 8, 13, 14)),
        *(code_points(primaries, 13) for primaries in (2, 4, 5, 6, 9, 11, 12, 22)),
        code_points(9, 14),
        gamma(1),
        gamma(1 / 1.8),
        gamma(0.45455),
        gamma(0.47),
        gamma(0),
        gamma(0.45455) + chromaticities(SRGB),
        gamma(0.45455) + chromaticities(DISPLAY_P3),
        gamma(0.5) + chromaticities((0,) * 8),
        chromaticities(DISPLAY_P3),
        pictures.png_chunk(b"sRGB", b"\0") + gamma(1),
    ],
    ids=lambda chunks: chunks.hex(),
)
def test_png_without_a_profile(chunks: bytes, shown_by_chromium: Callable[[bytes, str], Any]) -> None:
    expected = shown_by_chromium(png(chunks), "image/png")
    assert np.abs(centres(decode(png(chunks)).image) - expected).max() <= CLOSE


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 16), (9, 16), (12, 16), (1, 18), (9, 18)])
def test_hdr_png(primaries: int, transfer: int, shown_by_chromium: Callable[[bytes, str], Any]) -> None:
    data = png(code_points(primaries, transfer))
    assert np.abs(centres(decode(data).image) - shown_by_chromium(data, "image/png")).max() <= CLOSE_HDR


@pytest.mark.parametrize("peak", [150, 203, 400, 1000, 4000])
def test_hdr_png_with_the_luminance_of_its_content(peak: int, shown_by_chromium: Callable[[bytes, str], Any]) -> None:
    content_light = pictures.png_chunk(b"cLLI", struct.pack(">II", peak * 10_000, 100 * 10_000))
    data = png(code_points(1, 16) + content_light)
    assert np.abs(centres(decode(data).image) - shown_by_chromium(data, "image/png")).max() <= CLOSE_HDR


@pytest.mark.parametrize(
    ("primaries", "transfer"),
    [(1, 1), (1, 4), (1, 8), (1, 13), (2, 2), (9, 1), (9, 14), (12, 13), (11, 13), (9, 16), (9, 18)],
)
def test_avif_without_a_profile(primaries: int, transfer: int, shown_by_chromium: Callable[[bytes, str], Any]) -> None:
    data = avif(primaries, transfer)
    close = CLOSE_HDR if transfer in (16, 18) else CLOSE
    assert np.abs(centres(decode(data).image) - shown_by_chromium(data, "image/avif")).max() <= close
