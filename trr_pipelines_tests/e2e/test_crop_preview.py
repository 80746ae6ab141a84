"""The preview of a crop in a browser shows the same as the rendered file.

The whole photo lies in a box of 4:5, its sides and place in percent of the box, as in the crop editor. Chromium moves
the picture's edges to whole pixels of the screen, so a preview is off by up to half a pixel, whatever the zoom. Tested
are crops whose edges lie on whole pixels with fine waves, and any crop with waves as soft as shapes of a photo.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from playwright.sync_api import Page

from trr_pipelines.imaging.geometry import Crop, Size, crop_frame
from trr_pipelines.imaging.recipes import CROP, Recipe
from trr_pipelines.imaging.render import RenderRequest, render

MOST_DIFFERENCE = 2.0
"""Mean difference of 255 levels over a crop: the file is lossy, and the browser scales with another filter."""

CARD = replace(CROP, targets=tuple(target for target in CROP.targets if target.key == "crop_card"))
# Compression losses would hide a slightly wrong frame.
FINE_CARD = replace(CARD, targets=tuple(replace(target, quality=95) for target in CARD.targets))
BOX = Size(720, 900)
# Each covers the box in whole pixels.
SHAPES = [Size(2400, 1600), Size(1600, 2400), Size(2000, 2000), Size(1600, 2000), Size(4000, 1000), Size(900, 3600)]

Pixels = npt.NDArray[np.float64]


def random_crops(*, on_whole_pixels: bool) -> Iterator[tuple[Size, Crop]]:
    """24 crops: zooms from 1 to 4 in even ratios, on every shape, some in a corner, where errors show first."""
    chance = random.Random(2026)
    for number in range(24):
        size = SHAPES[number % len(SHAPES)]
        zoom = 1.0 if number % 6 == 0 else 4 ** chance.random()
        x, y = (chance.uniform(0, 100) for _ in range(2))
        if number % 4 == 1:
            x, y = chance.choice([0, 100]), chance.choice([0, 100])
        if on_whole_pixels:
            zoom = chance.choice([1, 1.25, 2, 2.5, 4])
            shown = BOX.width * zoom / min(size.width, size.height * 4 / 5)  # box pixels per photo pixel
            x, y = _whole(x, size.width * shown), _whole(y, size.height * shown)
        yield size, Crop("manual", x, y, zoom)


def _whole(percent: float, side: float) -> float:
    """The percentage nearest to `percent` that is a whole number of pixels of `side`."""
    return 100 * round(side * percent / 100) / side


def waves(size: Size, length: float) -> Image.Image:
    """A picture with smooth colours over `length` pixels, different everywhere."""
    across, down = (
        np.arange(side, dtype=np.float32) * np.float32(2 * np.pi / length) for side in (size.width, size.height)
    )
    light = np.outer(np.cos(down * 0.8) * 70, np.sin(across)) + 128
    drift = np.outer(np.cos(down / 17) * 40, np.sin(across / 13 + 1))
    return Image.fromarray(np.stack([light + drift, light - drift, light], axis=2).astype(np.uint8))


def shown_by_browser(page: Page, source: Path, size: Size, crop: Crop) -> Pixels:
    """A screenshot of the box that shows `source` as an admin sees it while cropping."""
    frame = crop_frame(size, crop)
    html = source.with_name("preview.html")
    html.write_text(
        f"""<!doctype html><style>
        body {{ margin: 0 }}
        #box {{ position: relative; width: {BOX.width}px; height: {BOX.height}px; overflow: hidden }}
        img {{ position: absolute; left: {-100 * frame.left / frame.width}%; top: {-100 * frame.top / frame.height}%;
              width: {100 * size.width / frame.width}%; height: {100 * size.height / frame.height}% }}
        </style><div id="box"><img src="{source.name}"></div>"""
    )
    page.goto(html.as_uri())
    page.evaluate("document.querySelector('img').decode()")
    return pixels(page.locator("#box").screenshot())


def pixels(data: bytes) -> Pixels:
    """A picture scaled to the box; small crops are enlarged, as in a browser."""
    image = Image.open(BytesIO(data)).convert("RGB").resize((BOX.width, BOX.height), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float64)


def differences(
    page: Page, folder: Path, size: Size, crop: Crop, *, shown: Crop, recipe: Recipe, wave: float
) -> dict[str, float]:
    """By format: the mean difference between the files of `crop` and the browser's preview of `shown`."""
    source = folder / "source.png"
    waves(size, wave).save(source, compress_level=1)
    preview = shown_by_browser(page, source, size, shown)
    rendered = render(source.read_bytes(), RenderRequest(None, recipe, (crop,)))
    return {variant.format: float(np.abs(pixels(variant.data) - preview).mean()) for variant in rendered.variants}


@pytest.mark.parametrize(("size", "crop"), [*random_crops(on_whole_pixels=True)][:12])
def test_the_file_shows_what_the_browser_previews(page: Page, tmp_path: Path, size: Size, crop: Crop) -> None:
    by_format = differences(
        page, tmp_path, size, crop, shown=crop, recipe=FINE_CARD, wave=crop_frame(size, crop).width / 10
    )
    assert set(by_format) == {"webp", "jpeg"}
    assert max(by_format.values()) <= MOST_DIFFERENCE, by_format


@pytest.mark.parametrize(("size", "crop"), [*random_crops(on_whole_pixels=False)])
def test_the_difference_is_as_small_with_fractional_positions(
    page: Page, tmp_path: Path, size: Size, crop: Crop
) -> None:
    by_format = differences(
        page, tmp_path, size, crop, shown=crop, recipe=CARD, wave=crop_frame(size, replace(crop, zoom=1)).width / 8
    )
    assert max(by_format.values()) <= MOST_DIFFERENCE, by_format


@pytest.mark.parametrize("zoom", [1, 2.5, 4])
def test_a_frame_one_pixel_away_is_detected(page: Page, tmp_path: Path, zoom: float) -> None:
    size = Size(2400, 1600)
    shown = BOX.width * zoom / 1280
    crop = Crop("manual", _whole(42, size.width * shown), _whole(60, size.height * shown), zoom)
    frame = crop_frame(size, crop)
    away = replace(crop, x=crop.x + 100 * frame.width / BOX.width / size.width)
    by_format = differences(page, tmp_path, size, away, shown=crop, recipe=FINE_CARD, wave=frame.width / 10)
    assert min(by_format.values()) > MOST_DIFFERENCE
