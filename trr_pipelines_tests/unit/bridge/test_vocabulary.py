"""Crop intents as the application stores them, and the names that are made of them."""

from __future__ import annotations

from typing import Any

import pytest

from trr_pipelines.bridge.vocabulary import intent_json, intent_of, set_name, source_of
from trr_pipelines.catalogue.application import CropIntent


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({"x": 50, "y": 32, "zoom": 1, "mode": "manual"}, "manual:50.000:32.000:1.000"),
        ({"x": "12.34", "y": "5", "zoom": "1.5"}, "manual:12.340:5.000:1.500"),
        ({"x": -3, "y": 101, "zoom": 9, "mode": "auto", "strategy": "face"}, "auto:0.000:100.000:4.000"),
        ({"x": 1, "y": 2, "zoom": 0.2}, "manual:1.000:2.000:1.000"),
        ({"x": -0.0001, "y": 99.9999}, "manual:0.000:100.000:1.000"),
        ({"x": 33.33349, "y": 66.6665, "zoom": 1.0005}, "manual:33.333:66.666:1.000"),
        ({"x": 1e400, "y": 0}, "manual:100.000:0.000:1.000"),
    ],
)
def test_intents_are_read_as_the_application_reads_them(value: dict[str, Any], name: str) -> None:
    intent = intent_of(value)
    assert intent is not None
    assert set_name(intent) == name


@pytest.mark.parametrize(
    "value",
    [None, [], "50/50", {}, {"x": 1}, {"x": None, "y": 1}, {"x": "left", "y": 1}, {"x": True, "y": 1},
     {"x": float("nan"), "y": 1}, {"x": 1, "y": 1, "mode": "face"}, {"x": 1, "y": 1, "zoom": {}}],
)  # fmt: skip
def test_what_is_no_intent_is_none(value: Any) -> None:
    assert intent_of(value) is None


def test_an_intent_is_written_as_it_is_read() -> None:
    intent = CropIntent("manual", 12.5, 30.0, 1.25)
    assert intent_of(intent_json(intent)) == intent


@pytest.mark.parametrize(
    ("source", "name"),
    [("imdb", "imdb"), ("www.Deadline.com", "www-deadline-com"), ("web_scrape", "web-scrape"), ("…", "application")],
)
def test_sources_become_names_of_batches(source: str, name: str) -> None:
    assert source_of(source) == name
