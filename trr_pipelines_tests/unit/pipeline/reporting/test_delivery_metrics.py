"""Weighted quantiles, and metric names."""

from __future__ import annotations

import pandas as pd
import pytest

from trr_pipelines.pipeline.reporting.delivery_metrics import weighted_quantile
from trr_pipelines.pipeline.reporting.metric_definitions import METRICS


@pytest.mark.parametrize(
    ("values", "weights", "quantile", "expected"),
    [
        ([30, 10, 20], [1, 1, 1], 0.5, 20),
        ([30, 10, 20, 40], [1, 1, 1, 1], 0.5, 20),  # percentile_disc: the first that reaches half
        ([30, 10, 20], [8, 1, 1], 0.5, 30),
        ([30, 10, 20], [1, 8, 1], 0.5, 10),
        (list(range(1, 101)), [1] * 100, 0.95, 95),
        ([7], [0.25], 0.95, 7),
    ],
)
def test_a_quantile_counts_each_value_as_often_as_its_weight_says(
    values: list[float], weights: list[float], quantile: float, expected: float
) -> None:
    assert weighted_quantile(pd.Series(values, dtype=float), pd.Series(weights, dtype=float), quantile) == expected


def test_every_metric_has_a_unique_name() -> None:
    assert len({figure.name for figure in METRICS}) == len(METRICS)
