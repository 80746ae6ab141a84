"""The archive's operation in figures: what waits, since when, what fails where, what was saved."""

from __future__ import annotations

from typing import Any

from trr_pipelines.catalogue import backfills, operations, reports
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.pipeline.backfills import backfill_progress

Row = dict[str, Any]


def read_operations(database: Database) -> Row:
    """Queue, lag in seconds, failures by reason and by source, bytes saved, and backfills that have not ended."""

    def read(conn: Connection) -> Row:
        failures = operations.failures(conn)
        saved = operations.saved(conn)
        return {
            "queue": operations.queue(conn),
            "lag_seconds": reports.lag_seconds(conn),
            "failures": failures,
            "failed_by_reason": _sums(failures, "reason"),
            "failed_by_source": _sums(failures, "source"),
            "saved": {**saved, "bytes_saved": saved["bytes_before"] - saved["bytes_after"]},
            "backfills": list(backfills.active(conn)),
        }

    told = database.read(read)
    return {**told, "backfills": [backfill_progress(database, one).report() for one in told["backfills"]]}


def _sums(failures: list[Row], name: str) -> dict[str, int]:
    sums: dict[str, int] = {}
    for row in failures:
        sums[row[name]] = sums.get(row[name], 0) + row["photos"]
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))
