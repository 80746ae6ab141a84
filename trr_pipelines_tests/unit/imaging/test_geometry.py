"""Crops and sizes as numbers: the vectors of the contract, and properties for any numbers."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trr_pipelines.errors import InputError
from trr_pipelines.imaging.geometry import MAX_OUTPUT_SIDE, Crop, Size, crop_frame, crop_output, fit_width
from trr_pipelines.imaging.recipes import CROP

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "crop_vectors.json").read_text())

sides = st.integers(1, 30_000)
sizes = st.builds(Size, sides, sides)
percents = st.floats(0, 100)
crops = st.builds(Crop, st.sampled_from(["auto", "manual"]), percents, percents, st.floats(1, 4))


def vector_name(vector: dict[str, Any]) -> str:
    return "{width}x{height} ".format(**vector["source"]) + "{mode} {x},{y} ×{zoom}".format(**vector["crop"])


@pytest.mark.parametrize("vector", VECTORS, ids=vector_name)
def test_frames_and_outputs_are_those_of_the_contract(vector: dict[str, Any]) -> None:
    frame = crop_frame(Size(vector["source"]["width"], vector["source"]["height"]), Crop(**vector["crop"]))

    assert vars(frame) == pytest.approx(vector["frame"], abs=1e-6)
    assert {
        target.key: [crop_output(frame, target.size).width, crop_output(frame, target.size).height]
        for target in CROP.targets
    } == vector["output"]


@given(sizes, crops)
def test_a_frame_is_inside_its_source_and_is_4_to_5(source: Size, crop: Crop) -> None:
    frame = crop_frame(source, crop)

    assert frame.left >= -1e-6
    assert frame.top >= -1e-6
    assert frame.left + frame.width <= source.width + 1e-6
    assert frame.top + frame.height <= source.height + 1e-6
    assert math.isclose(frame.width / frame.height, 4 / 5)


@given(sizes, crops)
def test_the_named_point_is_in_the_middle_or_as_near_as_the_photo_allows(source: Size, crop: Crop) -> None:
    frame = crop_frame(source, crop)

    for start, length, side, percent in (
        (frame.left, frame.width, source.width, crop.x),
        (frame.top, frame.height, source.height, crop.y),
    ):
        away = start + length / 2 - side * percent / 100
        at_edge = start <= 1e-6 if away > 0 else start + length >= side - 1e-6
        assert abs(away) <= 1e-6 or at_edge


@given(sizes, crops)
def test_a_crop_is_never_upscaled_and_exceeds_its_frame_by_less_than_a_pixel(source: Size, crop: Crop) -> None:
    frame = crop_frame(source, crop)
    output = crop_output(frame, Size(1440, 1800))

    assert output.width <= max(1, frame.width + 1e-6)
    assert output.height < max(1, frame.height) + 1
    assert min(output.width, output.height) >= 1


@given(sizes, st.sampled_from([320, 720, 1440]))
def test_a_fitted_size_keeps_its_aspect_and_is_never_larger(source: Size, width: int) -> None:
    fitted = fit_width(source, width)

    assert fitted.width <= min(width, source.width)
    assert fitted.height <= min(source.height, MAX_OUTPUT_SIDE)
    scale = min(1, width / source.width, MAX_OUTPUT_SIDE / source.height)
    assert abs(fitted.width - max(1, source.width * scale)) <= 0.5
    assert abs(fitted.height - max(1, source.height * scale)) <= 0.5


@pytest.mark.parametrize(
    ("source", "width", "fitted"),
    [
        (Size(4000, 3000), 1440, Size(1440, 1080)),
        (Size(1000, 3000), 1440, Size(1000, 3000)),
        (Size(30_000, 1), 320, Size(320, 1)),
        (Size(1000, 30_000), 1440, Size(546, 16_383)),
        (Size(720, 405), 720, Size(720, 405)),
    ],
)
def test_sizes_are_fitted_to_a_width(source: Size, width: int, fitted: Size) -> None:
    assert fit_width(source, width) == fitted


@pytest.mark.parametrize(
    ("given_number", "kept"),
    [
        (33.33333, 33.333),
        (99.9996, 100.0),
        (12, 12.0),
        (1e-9, 0.0),
        (0.0625, 0.062),  # a tie in binary too: to the even digit
        (0.1875, 0.188),
        (2.0005, 2.001),  # no tie: in binary a little more
        (1.0005, 1.0),  # in binary a little less
    ],
)
def test_numbers_of_a_crop_are_rounded_to_3_decimals_as_python_formats_them(given_number: float, kept: float) -> None:
    assert Crop("manual", given_number, 50, 1).x == kept


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("manual", -0.1, 50, 1), "crop x must be from 0 to 100, not -0.1"),
        (("manual", 50, 100.1, 1), "crop y must be from 0 to 100, not 100.1"),
        (("manual", 50, 50, 0.99), "crop zoom must be from 1 to 4, not 0.99"),
        (("manual", 50, 50, 4.001), "crop zoom must be from 1 to 4, not 4.001"),
        (("manual", math.nan, 50, 1), "crop x must be a number from 0 to 100, not nan"),
        (("manual", 50, math.inf, 1), "crop y must be a number from 0 to 100, not inf"),
        (("manual", "50", 50, 1), "crop x must be a number from 0 to 100, not '50'"),
        (("manual", True, 50, 1), "crop x must be a number from 0 to 100, not True"),
        (("centre", 50, 50, 1), "crop mode must be 'auto' or 'manual', not 'centre'"),
    ],
)
def test_an_invalid_crop_is_refused_by_field_and_value(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError) as caught:
        Crop(*arguments)
    assert str(caught.value) == message
