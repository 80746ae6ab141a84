"""The crop signature against the vectors of the contract."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trr_pipelines.imaging.geometry import Crop, Size, crop_frame
from trr_pipelines.imaging.signature import canonical_crop, crop_signature

VECTORS = json.loads((Path(__file__).parents[2] / "data" / "crop_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["crop_signature"][:8])
def test_signatures_are_those_of_the_contract(vector: dict[str, Any]) -> None:
    crop, version = Crop(**vector["crop"]), vector["source"]["version"]

    assert canonical_crop(crop, version) == vector["canonical"]
    assert crop_signature(crop, version) == vector["crop_signature"]


@given(st.floats(0, 100), st.floats(0, 100), st.floats(1, 4))
def test_a_signature_has_exactly_one_frame(x: float, y: float, zoom: float) -> None:
    crop = Crop("manual", x, y, zoom)
    again = Crop("manual", *map(float, canonical_crop(crop, "").split("|")[2:5]))

    assert crop_signature(again, "v") == crop_signature(crop, "v")
    assert crop_frame(Size(4000, 3000), again) == crop_frame(Size(4000, 3000), crop)


def test_a_negative_zero_is_signed_as_zero() -> None:
    assert canonical_crop(Crop("manual", -0.0, -0.0, 1), "v") == "crop2|manual|0.000|0.000|1.000|v"
