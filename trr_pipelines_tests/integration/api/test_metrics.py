"""Prometheus metrics of a backend over a real catalogue, and the Grafana dashboard of these metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import promql_parser
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.reporting.delivery_metrics import measure_delivery
from trr_pipelines.pipeline.reporting.metric_definitions import METRICS
from trr_pipelines_tests.support.archives import query

DASHBOARD = Path(__file__).parents[3] / "docs" / "grafana" / "trr-pipelines.json"


def scraped(client: httpx.Client) -> dict[str, Metric]:
    """Metrics by name, as Prometheus reads them."""
    return {metric.name: metric for metric in text_string_to_metric_families(client.get("/metrics").text)}


def samples(metric: Metric) -> dict[tuple[str, ...], float]:
    """Values by their labels' values, the labels in alphabetical order."""
    return {tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in metric.samples}


def test_open_work_and_failures_are_counted_by_kind_state_source_and_reason(
    client: httpx.Client, archive: Archive, person: UUID, link: Callable[..., UUID]
) -> None:
    for served in (True, True, False):
        link(person, served=served)
    query(
        archive.database,
        "insert into core.variant_generations (media_asset_id, kind, state, reason, next_attempt_at)"
        " select id, 'base', case state when 'pending' then 'pending' else 'failed' end,"
        " case state when 'mirrored' then 'corrupt' end,"
        " case when source_url like '%%/1.jpg' then now() + interval '1 minute' end from core.media_assets",
    )
    query(
        archive.database,
        "insert into core.backfills (ordering, photos, bytes, planned_seconds, author)"
        " values ('recency', 100, 1, 50, 'tests')",
    )
    query(
        archive.database,
        "insert into core.backfill_batches (backfill_id, position, batch_key, photos, state)"
        " select id, 1, '20260212-deadline-00001', 30, 'waiting' from core.backfills",
    )
    metrics = scraped(client)
    work = samples(metrics["trr_open_photos"])
    assert {labels: photos for labels, photos in work.items() if photos} == {
        ("base", "failed"): 1,
        ("base", "waiting"): 1,
        ("base", "waiting_for_retry"): 1,
    }
    assert len(work) == 12  # empty states are 0, not missing
    assert samples(metrics["trr_failed_photos"]) == {("corrupt", "deadline"): 2}
    assert samples(metrics["trr_backfill_photos"]) == {("1", "done"): 70, ("1", "left"): 30, ("1", "parked"): 0}
    assert samples(metrics["trr_backfill_left_seconds"])[("1",)] == pytest.approx(15, abs=1)
    assert samples(metrics["trr_backfill_paused"]) == {("1",): 0}
    assert "trr_stored_bytes" not in metrics  # no figures recorded yet


def test_figures_of_delivery_are_the_newest_recorded(
    client: httpx.Client, archive: Archive, person: UUID, link: Callable[..., UUID]
) -> None:
    link(person)
    measure_delivery(archive.database)
    metrics = scraped(client)
    assert samples(metrics["trr_photos"]) == {("failed",): 0, ("mirrored",): 1, ("pending",): 0}
    assert samples(metrics["trr_delivered_p95_bytes"]) == {("original",): 1000}
    assert samples(metrics["trr_saved_bytes"]) == {(): 0}
    (age,) = samples(metrics["trr_delivery_metrics_age_seconds"]).values()
    assert 0 <= age < 600
    assert {f"trr_{figure.name}" for figure in METRICS if not figure.is_live} <= set(metrics)


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return found


def names_in(expression: Any) -> Iterator[str]:
    """The metrics that a parsed expression selects."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression.name
    for part in ("expr", "vector_selector", "lhs", "rhs", "param"):
        if (inner := getattr(expression, part, None)) is not None:
            yield from names_in(inner)
    for argument in getattr(expression, "args", ()):
        yield from names_in(argument)


def test_the_dashboard_uses_existing_metrics_and_labels_only(client: httpx.Client, archive: Archive) -> None:
    client.get("/readyz")  # so that a response is counted
    measure_delivery(archive.database)
    metrics = scraped(client)
    published = {sample.name for metric in metrics.values() for sample in metric.samples} | set(metrics)
    labels = {figure.label for figure in METRICS} | {"kind", "state", "reason", "backfill", "status", "route", "le"}
    selected = set()
    for panel in panels():
        for target in panel.get("targets", []):
            expression = target["expr"].replace("$__rate_interval", "5m")
            selected |= set(names_in(promql_parser.parse(expression)))
            used = re.findall(r"by \(([^)]*)\)", expression) + re.findall(r"{{(\w+)}}", target["legendFormat"])
            assert {label for names in used for label in names.split(", ")} <= labels, panel["title"]
    assert selected <= published
    assert len(selected) > 20


def test_the_dashboard_matches_grafanas_schema() -> None:
    register_default_plugins()
    given = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    read = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(given)))
    assert not list(differences(given, read))


def differences(given: Any, read: Any, path: str = "") -> Iterator[str]:
    """Parts of `given` missing in `read`: parsing drops fields that the schema does not have."""
    if isinstance(given, dict) and isinstance(read, dict):
        for name, item in given.items():
            yield from [f"{path}/{name}"] if name not in read else differences(item, read[name], f"{path}/{name}")
    elif isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        for number, item in enumerate(given):
            yield from differences(item, read[number], f"{path}/{number}")
    elif given != read:
        yield path


def test_every_panel_uses_the_chosen_data_source_and_none_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        assert {target["datasource"]["uid"] for target in panel.get("targets", [])} <= {"${datasource}"}
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in panels()}) == len(panels())
