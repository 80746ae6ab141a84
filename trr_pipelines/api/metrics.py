"""What Prometheus reads: requests of this process, and what the catalogue has waiting.

The catalogue's figures cost what is open, not what exists, and are read at most every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from threading import Lock

import psycopg
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.reports import OpenWork
from trr_pipelines.pipeline import alerts
from trr_pipelines.pipeline.archive import Archive

FRESH_SECONDS = 10.0
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


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


class _Catalogue(Collector):
    """Open work by kind and state, and how old the oldest of it is."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: OpenWork | None = None
        self._read_at = float("-inf")
        self._lock = Lock()

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering does not read the catalogue

    def collect(self) -> Iterable[Metric]:
        work = self._open_work()
        yield _gauge("trr_catalogue_up", "Whether the catalogue could be read", 0.0 if work is None else 1.0)
        if work is None:
            return
        photos = GaugeMetricFamily("trr_open_photos", "Photos with open work", labels=["kind", "state"])
        for (kind, state), count in sorted(work.photos.items()):
            photos.add_metric([kind, state], count)
        yield photos
        failed = GaugeMetricFamily("trr_failed_photos", "Photos that failed", labels=["reason"])
        for reason, count in sorted(work.failed_by_reason.items()):
            failed.add_metric([reason], count)
        yield failed
        yield _gauge("trr_lag_seconds", "Age of the oldest photo that waits for its first variants", work.lag_seconds)
        yield from self._alerts()

    def _alerts(self) -> Iterable[Metric]:
        """Conditions that are open, and how fresh that is: nothing is said where the catalogue went away meanwhile."""
        try:
            standing = self._archive.database.read(alerts.standing)
        except (psycopg.OperationalError, PoolTimeout):
            return
        open_kinds = {alert["kind"] for alert in standing["alerts"]}
        gauge = GaugeMetricFamily("trr_alert_open", "Whether this alert is open", labels=["kind"])
        for kind in alerts.CONDITIONS:
            gauge.add_metric([kind], float(kind in open_kinds))
        yield gauge
        if (seconds := standing["alerts_looked_seconds"]) is not None:
            yield _gauge("trr_alerts_looked_seconds", "How long ago Dagster's sensor looked for alerts", seconds)

    def _open_work(self) -> OpenWork | None:
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                try:
                    self._known = self._archive.database.read(reports.open_work)
                except (psycopg.OperationalError, PoolTimeout):
                    self._known = None
                self._read_at = time.monotonic()
            return self._known


def _gauge(name: str, help_text: str, value: float) -> Metric:
    gauge = GaugeMetricFamily(name, help_text)
    gauge.add_metric([], value)
    return gauge
