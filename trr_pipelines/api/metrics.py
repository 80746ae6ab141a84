"""Prometheus metrics: requests of this process, open and failed work, alerts, and figures of delivery.

Open work is counted at most every 10 seconds; figures of delivery are the newest in the recorded history. Neither
costs more in a larger archive.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock

import psycopg
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from trr_pipelines.catalogue import backfills, delivery_metrics, operations, status
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.delivery_metrics import Newest
from trr_pipelines.catalogue.operations import FailureCount, QueuedWork
from trr_pipelines.pipeline.alerting import alerts
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.reporting.metric_definitions import METRICS
from trr_pipelines.pipeline.rework.backfills import BackfillProgress, backfill_progress

FRESH_SECONDS = 10.0
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
# Attributes of QueuedWork, and the states they are published as.
_STATES = {"waiting": "waiting", "running": "running", "retrying": "waiting_for_retry", "ended_failed": "failed"}


class Metrics:
    """The registry of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "trr_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "trr_http_request_seconds", "Seconds until the end of a response", ["route"], buckets=_BUCKETS,
            registry=self._registry,
        )  # fmt: skip

    def watch(self, archive: Archive) -> None:
        """Add the metrics of this archive."""
        self._registry.register(_Catalogue(archive))

    def count_response(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the path template, so that ids create no new series."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class Snapshot:
    """Figures read from the catalogue; `read_at` is a monotonic time in seconds."""

    queue: Mapping[str, QueuedWork]
    failures: list[FailureCount]
    lag_seconds: float
    newest: Newest | None
    backfills: Sequence[BackfillProgress] = ()
    read_at: float = 0.0


class _Catalogue(Collector):
    """Collects the catalogue's metrics; only `trr_catalogue_up` while it cannot be read."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")
        self._lock = Lock()

    def describe(self) -> Iterable[Metric]:
        return []  # registering must not read the catalogue

    def collect(self) -> Iterable[Metric]:
        snapshot = self._fresh()
        yield _gauge("catalogue_up", "Whether the catalogue could be read", 0.0 if snapshot is None else 1.0)
        if snapshot is not None:
            yield from _open_work(snapshot)
            yield from _backfills(snapshot.backfills)
            yield from self._alerts()
            yield from _delivery(snapshot)

    def _alerts(self) -> Iterator[Metric]:
        """Open alerts, read on every scrape; none if the catalogue cannot be read."""
        try:
            current = self._archive.database.read(alerts.open_alerts)
        except (psycopg.OperationalError, PoolTimeout):
            return
        open_kinds = {alert["kind"] for alert in current["alerts"]}
        family = _family("alert_open", "Whether this alert is open", "kind")
        for kind in alerts.CONDITIONS:
            family.add_metric([kind], float(kind in open_kinds))
        yield family
        if (seconds := current["alerts_looked_seconds"]) is not None:
            yield _gauge("alerts_looked_seconds", "Seconds since Dagster's alert sensor last ran", seconds)

    def _fresh(self) -> Snapshot | None:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                try:
                    self._snapshot = read_snapshot(self._archive.database)
                except (psycopg.OperationalError, PoolTimeout):
                    self._snapshot = None
                self._read_at = time.monotonic()
            return self._snapshot


def read_snapshot(database: Database) -> Snapshot:
    """Read the figures of the catalogue that `/metrics` publishes."""

    def read(conn: Connection) -> tuple[Snapshot, list[int]]:
        snapshot = Snapshot(
            operations.queue(conn),
            operations.failures(conn),
            status.lag_seconds(conn),
            delivery_metrics.newest(conn),
        )
        return snapshot, list(backfills.active(conn))

    snapshot, active = database.read(read)
    return replace(snapshot, backfills=[backfill_progress(database, one) for one in active], read_at=time.monotonic())


def _open_work(snapshot: Snapshot) -> Iterator[Metric]:
    photos = _family("open_photos", "Photos with open or failed work, by kind of work and state", "kind", "state")
    for kind, states in snapshot.queue.items():
        for name, state in _STATES.items():
            photos.add_metric([kind, state], getattr(states, name))
    yield photos
    failed = _family(
        "failed_photos", "Photos that failed, by source and reason of the earliest step", "source", "reason"
    )
    for row in snapshot.failures:
        failed.add_metric([row.source, row.reason], row.photos)
    yield failed
    yield _gauge("lag_seconds", "Seconds for which the oldest live work has waited", snapshot.lag_seconds)


def _backfills(active: Sequence[BackfillProgress]) -> Iterator[Metric]:
    """Backfills that have not ended, if any."""
    photos = _family("backfill_photos", "Photos of a backfill that has not ended, by state", "backfill", "state")
    left = _family("backfill_left_seconds", "Estimated seconds until a running backfill ends", "backfill")
    paused = _family("backfill_paused", "Whether a backfill is paused", "backfill")
    for one in active:
        id_ = str(one.backfill.id)
        for state, count in (("done", one.done_photos), ("left", one.left_photos), ("parked", one.parked_photos)):
            photos.add_metric([id_, state], count)
        if one.seconds_left is not None:
            left.add_metric([id_], one.seconds_left)
        paused.add_metric([id_], one.backfill.state == "paused")
    yield from (photos, left, paused)


def _delivery(snapshot: Snapshot) -> Iterator[Metric]:
    """The newest recorded figures of delivery and their age; nothing before the first are recorded."""
    if snapshot.newest is None:
        return
    age = snapshot.newest.age_seconds + time.monotonic() - snapshot.read_at
    yield _gauge("delivery_metrics_age_seconds", "Seconds since the figures of delivery were recorded", age)
    for figure in METRICS:
        if figure.is_live:
            continue
        family = _family(figure.name, figure.meaning, *([figure.label] if figure.label else []))
        for (name, dimension), value in snapshot.newest.figures.items():
            if name == figure.name:
                family.add_metric([dimension] if figure.label else [], value)
        yield family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    gauge = _family(name, help_text)
    gauge.add_metric([], value)
    return gauge


def _family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trr_{name}", help_text, labels=labels)
