"""ThumbHash and dominant colour: against values calculated by the rules of the format, and by appearance."""

from __future__ import annotations

import base64

import pytest
from PIL import Image

from trr_pipelines.imaging.placeholder import dominant_colour, thumb_hash
from trr_pipelines_tests import pictures


def head(placeholder: str) -> tuple[int, int]:
    encoded = base64.b64decode(placeholder)
    return int.from_bytes(encoded[:3], "little"), int.from_bytes(encoded[3:5], "little")


def test_the_average_colour_is_in_the_head() -> None:
    first, _ = head(thumb_hash(Image.new("RGB", (40, 30), (255, 0, 0))))

    assert first & 63 == 21  # light: a third of 63
    assert first >> 6 & 63 == 47  # yellow against blue: 31.5 + 31.5 / 2
    assert first >> 12 & 63 == 63  # red against green: all of it
    assert first >> 23 == 0  # no transparency


@pytest.mark.parametrize(
    ("size", "is_landscape", "smaller_side_waves"),
    [((200, 100), 1, 4), ((100, 200), 0, 4), ((100, 100), 0, 7), ((1000, 1), 1, 1)],
)
def test_the_shape_is_in_the_head(size: tuple[int, int], is_landscape: int, smaller_side_waves: int) -> None:
    _, second = head(thumb_hash(pictures.photo(*size)))

    assert second >> 15 == is_landscape
    assert second & 7 == smaller_side_waves


def test_transparency_is_flagged_and_does_not_darken() -> None:
    image = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 20, 30))
    first, _ = head(thumb_hash(image))

    assert first >> 23 == 1
    assert first & 63 == 63


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(1, 1), (3, 500), (320, 200)])
def test_every_picture_has_a_short_hash(mode: str, size: tuple[int, int]) -> None:
    assert 5 <= len(base64.b64decode(thumb_hash(Image.new(mode, size)))) <= 25


def test_the_dominant_colour_is_the_one_most_pixels_have() -> None:
    image = Image.new("RGB", (100, 100), (10, 200, 30))
    image.paste((250, 250, 250), (0, 0, 100, 40))
    assert dominant_colour(image) == "#0ac81e"


def test_invisible_pixels_do_not_affect_the_dominant_colour() -> None:
    image = Image.new("RGBA", (100, 100), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 100, 10))
    assert dominant_colour(image) == "#0000ff"
    assert dominant_colour(Image.new("RGBA", (10, 10))) == "#000000"
