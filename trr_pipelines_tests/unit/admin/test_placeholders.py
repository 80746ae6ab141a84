"""A ThumbHash drawn as a small picture that resembles its photo."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from trr_pipelines.admin.placeholders import SIDE, placeholder_url
from trr_pipelines.imaging.placeholder import thumb_hash
from trr_pipelines_tests.pictures import photo


def drawn(url: str) -> Image.Image:
    head, _, data = url.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(BytesIO(base64.b64decode(data)))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (200, 200), (900, 100), (100, 900)])
def test_it_has_the_shape_and_the_colours_of_the_photo(size: tuple[int, int]) -> None:
    # Left dark red, right light blue, and a shade from top to bottom.
    width, height = size
    across = np.linspace(0, 1, width)[None, :, None]
    down = np.linspace(0.7, 1, height)[:, None, None]
    colours = (np.array([120, 20, 20]) * (1 - across) + np.array([120, 190, 250]) * across) * down
    picture = Image.fromarray(colours.round().astype(np.uint8))
    small = drawn(placeholder_url(thumb_hash(picture)))
    assert max(small.size) == SIDE
    assert (small.width > small.height) == (width > height)
    expected = np.asarray(picture.resize(small.size, Image.Resampling.BOX), dtype=float)
    assert np.abs(np.asarray(small, dtype=float) - expected).mean() < 14


def test_a_photo_with_transparency_is_drawn_too() -> None:
    picture = photo(120, 80).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    assert drawn(placeholder_url(thumb_hash(picture))).mode == "RGB"


@pytest.mark.parametrize("code", [None, "", "AAAA", "no base64!", "é"])
def test_an_invalid_thumb_hash_has_no_picture(code: str | None) -> None:
    assert placeholder_url(code) == ""


def test_it_is_small() -> None:
    assert len(placeholder_url(thumb_hash(photo(400, 300)))) < 600
