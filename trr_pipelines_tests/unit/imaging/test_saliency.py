"""Saliency: rare colours and places of change only."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.imaging.saliency import saliency_map


def with_disc(
    size: tuple[int, int], middle: tuple[int, int], colour: tuple[int, ...], mode: str = "RGB"
) -> Image.Image:
    ground = Image.new("RGB", size, (60, 90, 60)).convert(mode)
    radius = min(size) // 8
    x, y = middle
    disc = Image.new(mode, (2 * radius, 2 * radius), colour)
    ground.paste(disc, (x - radius, y - radius))
    return ground


@pytest.mark.parametrize("colour", [(250, 20, 20), (0, 0, 0), (255, 255, 255)])
@pytest.mark.parametrize("middle", [(100, 100), (500, 80), (320, 400)])
def test_a_part_of_another_colour_is_salient(middle: tuple[int, int], colour: tuple[int, int, int]) -> None:
    found = saliency_map(with_disc((640, 480), middle, colour))
    rows, columns = np.indices(found.shape)
    centre = [(found * axis).sum() / found.sum() for axis in (columns, rows)]
    scale = 640 / found.shape[1]
    assert [round(value * scale) for value in centre] == pytest.approx(middle, abs=45)


@pytest.mark.parametrize("picture", [Image.new("L", (300, 200), 9), Image.new("RGBA", (300, 200), (9, 200, 9, 0))])
def test_a_flat_or_invisible_picture_has_no_saliency(picture: Image.Image) -> None:
    assert not saliency_map(picture).any()


def test_opaque_parts_are_salient_on_a_transparent_ground() -> None:
    logo = Image.new("RGBA", (640, 480), (250, 20, 20, 0))
    logo.paste((255, 255, 255, 255), (480, 0, 640, 480))
    found = saliency_map(logo)
    assert found[:, found.shape[1] * 3 // 4 :].sum() > 0.99 * found.sum()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (30_000, 10)])
def test_pictures_of_any_shape_have_a_small_map(size: tuple[int, int]) -> None:
    found = saliency_map(Image.linear_gradient("L").resize(size))
    assert 1 <= found.size <= 30_000
    assert np.isfinite(found).all()
