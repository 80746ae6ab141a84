"""The operations report: alerts, queue, failures, retries, bytes saved, and active backfills."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import date
from itertools import accumulate
from typing import Any, TypedDict

from trr_pipelines.catalogue import backfills, operations, status, view_counts
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.operations import FailureCount, SavedDay
from trr_pipelines.pipeline.alerting import alerts
from trr_pipelines.pipeline.rework.backfills import BackfillProgressReport, backfill_progress
from trr_pipelines.pipeline.rework.reprocessing import ReprocessOutcome, recent_reports

MAX_DAYS = 180


class Failures(TypedDict):
    """Failed photos of one source and reason."""

    source: str
    reason: str
    photos: int


class Saved(TypedDict):
    """Bytes of one view of the newest cards: originals, smallest cards, and the difference."""

    photos: int
    bytes_before: int
    bytes_after: int
    bytes_saved: int


class SavedBy(TypedDict):
    """Bytes saved by the end of a day."""

    day: date
    bytes_saved: int


class ImageTimesReport(TypedDict):
    """Load times of pictures in milliseconds."""

    count: int
    p50_ms: int
    p95_ms: int


class OperationsReport(TypedDict):
    """The operation of the archive in figures; `lag_seconds` is the age of the oldest live work."""

    alerts: list[dict[str, Any]]
    alerts_looked_seconds: float | None
    retries: list[ReprocessOutcome]
    queue: dict[str, dict[str, int]]
    lag_seconds: float
    failures: list[Failures]
    failed_by_reason: dict[str, int]
    failed_by_source: dict[str, int]
    saved: Saved
    saved_by_day: list[SavedBy]
    image_times: dict[str, ImageTimesReport]
    backfills: list[BackfillProgressReport]


def read_operations(database: Database) -> OperationsReport:
    """The operations report, in one snapshot except for the progress of backfills."""

    def read(conn: Connection) -> tuple[OperationsReport, list[int]]:
        failures = operations.failures(conn)
        days = operations.saved_by_day(conn)
        open_alerts = alerts.open_alerts(conn)
        report: OperationsReport = {
            "alerts": open_alerts["alerts"],
            "alerts_looked_seconds": open_alerts["alerts_looked_seconds"],
            "retries": [report.report() for report in recent_reports(conn)],
            "queue": {kind: asdict(work) for kind, work in operations.queue(conn).items()},
            "lag_seconds": status.lag_seconds(conn),
            "failures": [{"source": row.source, "reason": row.reason, "photos": row.photos} for row in failures],
            "failed_by_reason": _sums((row.reason, row) for row in failures),
            "failed_by_source": _sums((row.source, row) for row in failures),
            "saved": _saved(days),
            "saved_by_day": _growth(days)[-MAX_DAYS:],
            "image_times": {
                times.variant_key: {"count": times.count, "p50_ms": times.p50_ms, "p95_ms": times.p95_ms}
                for times in view_counts.image_times(conn)
            },
            "backfills": [],
        }
        return report, list(backfills.active(conn))

    report, active = database.read(read)
    return {**report, "backfills": [backfill_progress(database, number).report() for number in active]}


def _sums(failures: Iterable[tuple[str, FailureCount]]) -> dict[str, int]:
    """Photos by name, the most first."""
    sums: dict[str, int] = {}
    for name, failure in failures:
        sums[name] = sums.get(name, 0) + failure.photos
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _saved(days: list[SavedDay]) -> Saved:
    before, after = sum(day.bytes_before for day in days), sum(day.bytes_after for day in days)
    return {
        "photos": sum(day.photos for day in days),
        "bytes_before": before,
        "bytes_after": after,
        "bytes_saved": before - after,
    }


def _growth(days: list[SavedDay]) -> list[SavedBy]:
    """Bytes that one view of every card saved, by the end of each day."""
    saved = accumulate(day.bytes_before - day.bytes_after for day in days)
    return [{"day": day.day, "bytes_saved": so_far} for day, so_far in zip(days, saved, strict=True)]
