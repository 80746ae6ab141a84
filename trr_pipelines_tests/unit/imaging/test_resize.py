"""Scaling: sharp and without shifts, like Pillow's Lanczos; alpha without halos; chained sizes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from trr_pipelines.imaging import resize
from trr_pipelines.imaging.geometry import Frame, Size
from trr_pipelines.imaging.resize import premultiplied, scaled_chain, straight


def textured(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Waves of several lengths over a gradient, on which blur, ringing and shifts are visible."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(columns / length + rows / (length * 1.7)) * 30 for length in (3.0, 9.0, 31.0)]
    base = np.clip(128 + sum(waves) + (columns - width / 2) / width * 40, 0, 255).astype(np.uint8)
    return Image.fromarray(np.stack([base, base[::-1], 255 - base], -1)).convert(mode)


def whole(image: Image.Image) -> Frame:
    return Frame(0, 0, image.width, image.height)


def pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, np.float64)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("source", "target"),
    [((640, 400), (320, 200)), ((641, 399), (300, 187)), ((640, 400), (61, 38)), ((100, 80), (104, 83))],
)
def test_it_equals_pillows_lanczos(mode: str, source: tuple[int, int], target: tuple[int, int]) -> None:
    image = textured(*source, mode)
    (scaled,) = scaled_chain(image, whole(image), [Size(*target)])
    expected = pixels(image.resize(target, Image.Resampling.LANCZOS))
    assert np.abs(pixels(scaled) - expected).mean() < 0.3


def test_a_frame_with_fractional_edges_is_cut_exactly() -> None:
    image = textured(600, 400)
    frame = Frame(100.25, 50.5, 300.5, 200.75)
    (scaled,) = scaled_chain(image, frame, [Size(150, 100)])
    box = (frame.left, frame.top, frame.left + frame.width, frame.top + frame.height)
    expected = pixels(image.resize((150, 100), Image.Resampling.LANCZOS, box=box))
    inside = np.s_[3:-3, 3:-3]  # at the cut itself Pillow reads pixels beyond it
    assert np.abs(pixels(scaled) - expected)[inside].mean() < 0.3


def test_a_frame_beyond_the_image_by_rounding_is_clamped() -> None:
    image = textured(997, 613)
    left = math.nextafter(100.1, 101)
    frame = Frame(left, -1e-13, 997 - 100.1, 613 + 1e-13)
    (scaled,) = scaled_chain(image, frame, [Size(90, 60)])
    assert scaled.size == (90, 60)


def test_each_size_of_a_chain_is_as_good_as_a_direct_one() -> None:
    image = textured(1600, 1000)
    chain = scaled_chain(image, whole(image), [Size(800, 500), Size(400, 250), Size(160, 100)])
    for scaled in chain:
        (alone,) = scaled_chain(image, whole(image), [Size(*scaled.size)])
        assert np.abs(pixels(scaled) - pixels(alone)).mean() < 1.0


def test_a_size_equal_to_its_source_is_not_scaled() -> None:
    image = textured(320, 200)
    assert scaled_chain(image, whole(image), [Size(320, 200)]) == [image]


def test_invisible_colour_does_not_bleed_into_the_edge() -> None:
    image = Image.new("RGBA", (200, 200), (255, 0, 0, 0))  # invisible red around
    image.paste((0, 0, 255, 255), (60, 60, 140, 140))  # a blue square
    (scaled,) = (straight(one) for one in scaled_chain(premultiplied(image), whole(image), [Size(73, 73)]))
    red, _, blue, alpha = np.moveaxis(np.asarray(scaled).astype(int), -1, 0)
    visible = alpha > 8
    assert visible.any()
    assert red[visible].max() <= 8
    assert blue[visible].min() >= 240


def shapes(colour: tuple[int, int, int]) -> Image.Image:
    """One colour on a transparent ground: corners, arcs, thin lines, where filters overshoot most, half alpha."""
    image = Image.new("RGBA", (400, 400))
    draw = ImageDraw.Draw(image)
    for box in (
        (60, 60, 140, 300),
        (180, 50, 182, 350),
        (200, 50, 205, 350),
        (230, 280, 390, 282),
        (230, 300, 390, 305),
    ):
        draw.rectangle(box, fill=(*colour, 255))
    draw.ellipse((230, 100, 390, 260), fill=(*colour, 255))
    draw.rectangle((230, 330, 260, 390), fill=(*colour, 128))
    return image


@pytest.mark.parametrize("colour", [(200, 0, 0), (250, 245, 240), (255, 255, 255), (128, 90, 200), (20, 20, 20)])
def test_a_shape_on_a_transparent_ground_keeps_its_colour_up_to_its_edge(colour: tuple[int, int, int]) -> None:
    image = shapes(colour)
    sizes = [Size(146, 146), Size(73, 73), Size(32, 32)]
    for scaled in map(straight, scaled_chain(premultiplied(image), whole(image), sizes)):
        off = np.abs(pixels(scaled)[..., :3] - colour).max(axis=-1)
        seen = off * pixels(scaled)[..., 3] / 255  # its visible part
        assert seen.max() <= 4  # rounding, twice for each size


def test_restoring_clipped_pixels_in_strips_leaves_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    image = textured(400, 400, "RGBA")
    image.putalpha(shapes((0, 0, 0)).getchannel("A"))
    frame, size = Frame(11.3, 7.7, 360.4, 371.9), Size(131, 135)
    (at_once,) = scaled_chain(premultiplied(image), frame, [size])
    monkeypatch.setattr(resize, "_PIXELS_AT_A_TIME", 1)
    (in_parts,) = scaled_chain(premultiplied(image), frame, [size])
    assert np.abs(pixels(at_once) - pixels(in_parts)).max() <= 3


@pytest.mark.parametrize("target", [(150, 150), (67, 61)])
def test_colour_and_alpha_equal_unclipped_arithmetic(target: tuple[int, int]) -> None:
    image = textured(400, 400, "RGBA")
    alpha = shapes((0, 0, 0)).getchannel("A")
    image.putalpha(alpha)
    (scaled,) = map(straight, scaled_chain(premultiplied(image), whole(image), [Size(*target)]))

    weight = pixels(alpha) / 255
    planes = [pixels(band) * weight for band in image.convert("RGB").split()] + [weight]
    *colours, cover = (pixels(Image.fromarray(plane).resize(target, Image.Resampling.LANCZOS)) for plane in planes)
    expected = np.stack([np.clip(colour / np.maximum(cover, 0.01), 0, 255) for colour in colours], axis=-1)

    got, covered = pixels(scaled)[..., :3], pixels(scaled)[..., 3] / 255
    assert np.abs(covered - np.clip(cover, 0, 1)).max() < 0.06  # 8 bits between the two axes clip values below 0
    assert (np.abs(got - expected) * covered[..., None]).max() <= 7


@pytest.mark.parametrize(("source", "target"), [((1, 1), (1, 1)), ((1, 5000), (1, 50)), ((5000, 1), (320, 1))])
def test_slivers_keep_their_colour(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = Image.new("RGB", source, (90, 120, 200))
    (scaled,) = scaled_chain(image, whole(image), [Size(*target)])
    assert scaled.size == target
    assert scaled.getcolors() == [(target[0] * target[1], (90, 120, 200))]
