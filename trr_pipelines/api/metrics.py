"""What Prometheus reads: requests of this process, what the catalogue has open or failed, and how it delivers.

What is open is counted anew at most every few seconds, and costs that; how it delivers is read off the newest figures
of the history. Neither costs more in a larger archive.
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
# The states of open work, as the queue names them.
_STATES = {"waiting": "waiting", "running": "running", "retrying": "waiting_for_retry", "ended_failed": "failed"}


class Metrics:
    """The registry of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "trr_http_requests", "Requests answered", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "trr_http_request_seconds", "Time to the end of an answer", ["route"], buckets=_BUCKETS,
            registry=self._registry,
        )  # fmt: skip

    def watch(self, archive: Archive) -> None:
        """Report on this archive, too."""
        self._registry.register(_Catalogue(archive))

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; `route` is the template, so that ids make no new series."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class Known:
    """What was read of the catalogue, and when, by the clock that only goes forward."""

    queue: Mapping[str, QueuedWork]
    failures: list[FailureCount]
    lag_seconds: float
    newest: Newest | None
    backfills: Sequence[BackfillProgress] = ()
    read_at: float = 0.0


class _Catalogue(Collector):
    """The catalogue's figures; nothing but `trr_catalogue_up` while it cannot be read."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: Known | None = None
        self._read_at = float("-inf")
        self._lock = Lock()

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering does not read the catalogue

    def collect(self) -> Iterable[Metric]:
        known = self._fresh()
        yield _gauge("catalogue_up", "Whether the catalogue could be read", 0.0 if known is None else 1.0)
        if known is not None:
            yield from _open_work(known)
            yield from _backfills(known.backfills)
            yield from self._alerts()
            yield from _delivery(known)

    def _alerts(self) -> Iterator[Metric]:
        """Conditions that are open, never older than the question; nothing where the catalogue went away meanwhile."""
        try:
            standing = self._archive.database.read(alerts.open_alerts)
        except (psycopg.OperationalError, PoolTimeout):
            return
        open_kinds = {alert["kind"] for alert in standing["alerts"]}
        family = _family("alert_open", "Whether this alert is open", "kind")
        for kind in alerts.CONDITIONS:
            family.add_metric([kind], float(kind in open_kinds))
        yield family
        if (seconds := standing["alerts_looked_seconds"]) is not None:
            yield _gauge("alerts_looked_seconds", "How long ago Dagster's sensor looked for alerts", seconds)

    def _fresh(self) -> Known | None:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                try:
                    self._known = read_known(self._archive.database)
                except (psycopg.OperationalError, PoolTimeout):
                    self._known = None
                self._read_at = time.monotonic()
            return self._known


def read_known(database: Database) -> Known:
    """Everything of the catalogue that `/metrics` tells."""

    def read(conn: Connection) -> tuple[Known, list[int]]:
        known = Known(
            operations.queue(conn),
            operations.failures(conn),
            status.lag_seconds(conn),
            delivery_metrics.newest(conn),
        )
        return known, list(backfills.active(conn))

    known, active = database.read(read)
    return replace(known, backfills=[backfill_progress(database, one) for one in active], read_at=time.monotonic())


def _open_work(known: Known) -> Iterator[Metric]:
    photos = _family("open_photos", "Photos whose work has not ended well, by kind of work and state", "kind", "state")
    for kind, states in known.queue.items():
        for name, state in _STATES.items():
            photos.add_metric([kind, state], getattr(states, name))
    yield photos
    failed = _family(
        "failed_photos", "Photos that failed, by source and reason of the earliest step", "source", "reason"
    )
    for row in known.failures:
        failed.add_metric([row.source, row.reason], row.photos)
    yield failed
    yield _gauge("lag_seconds", "For how long the oldest live work waits", known.lag_seconds)


def _backfills(active: Sequence[BackfillProgress]) -> Iterator[Metric]:
    """Backfills that have not ended: there may be none."""
    photos = _family("backfill_photos", "Photos of a backfill that has not ended, by state", "backfill", "state")
    left = _family("backfill_left_seconds", "Time that a running backfill still takes, as far as known", "backfill")
    paused = _family("backfill_paused", "Whether a backfill is paused", "backfill")
    for one in active:
        id_ = str(one.backfill.id)
        for state, count in (("done", one.done_photos), ("left", one.left_photos), ("parked", one.parked_photos)):
            photos.add_metric([id_, state], count)
        if one.seconds_left is not None:
            left.add_metric([id_], one.seconds_left)
        paused.add_metric([id_], one.backfill.state == "paused")
    yield from (photos, left, paused)


def _delivery(known: Known) -> Iterator[Metric]:
    """The newest figures of the history, and how old they are; nothing before the first were taken."""
    if known.newest is None:
        return
    age = known.newest.age_seconds + time.monotonic() - known.read_at
    yield _gauge("delivery_metrics_age_seconds", "Time since the figures of delivery were taken", age)
    for figure in METRICS:
        if figure.is_live:
            continue
        family = _family(figure.name, figure.meaning, *([figure.label] if figure.label else []))
        for (name, dimension), value in known.newest.figures.items():
            if name == figure.name:
                family.add_metric([dimension] if figure.label else [], value)
        yield family


def _gauge(name: str, help_text: str, value: float) -> Metric:
    gauge = _family(name, help_text)
    gauge.add_metric([], value)
    return gauge


def _family(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"trr_{name}", help_text, labels=labels)
