"""The archive's operation in figures: what waits, since when, what fails where, what was saved."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

from trr_pipelines.catalogue import backfills, operations, reports, view_counts
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.pipeline.alerting import alerts
from trr_pipelines.pipeline.rework.backfills import backfill_progress
from trr_pipelines.pipeline.rework.reprocessing import recent_reports

Row = dict[str, Any]
MOST_DAYS = 180


def read_operations(database: Database) -> Row:
    """Alerts, queue, lag in seconds, failures by reason and by source, the last retries, bytes saved, and backfills
    that have not ended."""

    def read(conn: Connection) -> Row:
        failures = operations.failures(conn)
        days = operations.saved_by_day(conn)
        return {
            **alerts.open_alerts(conn),
            "retries": [report.report() for report in recent_reports(conn)],
            "queue": operations.queue(conn),
            "lag_seconds": reports.lag_seconds(conn),
            "failures": failures,
            "failed_by_reason": _sums(failures, "reason"),
            "failed_by_source": _sums(failures, "source"),
            "saved": _saved(days),
            "saved_by_day": _growth(days)[-MOST_DAYS:],
            "image_times": view_counts.image_times(conn),
            "backfills": list(backfills.active(conn)),
        }

    told = database.read(read)
    return {**told, "backfills": [backfill_progress(database, one).report() for one in told["backfills"]]}


def _sums(failures: list[Row], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in failures:
        sums[row[name]] = sums.get(row[name], 0) + row["photos"]
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def _saved(days: list[Row]) -> Row:
    sums = {name: sum(day[name] for day in days) for name in ("photos", "bytes_before", "bytes_after")}
    return {**sums, "bytes_saved": sums["bytes_before"] - sums["bytes_after"]}


def _growth(days: list[Row]) -> list[Row]:
    """What one view of every card saved, by the end of each day."""
    saved = accumulate(day["bytes_before"] - day["bytes_after"] for day in days)
    return [{"day": day["day"], "bytes_saved": so_far} for day, so_far in zip(days, saved, strict=True)]
