"""Alerts in the catalogue: open conditions, what the webhook has acknowledged of them, and when they were last checked.

Thresholds are decided in `pipeline.alerting.alerts`; messages are built and sent in `pipeline.alerting.messages`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.types.json import Jsonb

from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as

_queries = load_queries("alerts.sql")

# A condition ends only after it was not found for this long: a value that wavers around its threshold is one alert.
CALM_SECONDS = 120
# No message is sent about an alert that ended earlier than this; after 90 days its row is deleted.
MESSAGE_DAYS = 7
KEEP_DAYS = 90
# A disk's rate of filling is that of this long, at most.
SAMPLE_MINUTES = 5
# Failures in a row (30 s, 1 and 2 min apart) after which the webhook counts as down.
MAX_ATTEMPTS = 4


@dataclass(frozen=True)
class OpenAlert:
    """A condition that holds since `opened_at`; `seen_at` is the last check that found it."""

    kind: str
    text: str
    figures: dict[str, object]
    opened_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class Notification:
    """An alert whose opening or end the webhook has not acknowledged yet."""

    id: int
    kind: str
    subject: str
    text: str
    figures: dict[str, object]
    opened_at: datetime
    resolved_at: datetime | None
    attempts: int


def parked_lately(conn: Connection, hours: int) -> dict[str, int]:
    """Photos that ended as failed within the last hours, by reason, the most frequent first."""
    return {row["reason"]: row["photos"] for row in _queries.parked_lately(conn, hours=hours)}


@dataclass(frozen=True)
class DiskSample:
    """Free bytes and inodes of a disk (None: it has no limit of them), `seconds_ago`."""

    disk: str
    free_bytes: int
    free_inodes: int | None
    seconds_ago: float = 0.0


def failed_lately(conn: Connection, reasons: Sequence[str], minutes: int) -> dict[str, int]:
    """Photos whose last attempt failed for one of these reasons within the last minutes, by reason."""
    rows = _queries.failed_lately(conn, reasons=[str(reason) for reason in reasons], minutes=minutes)
    return {row["reason"]: row["photos"] for row in rows}


def sample_disks(conn: Connection, samples: Sequence[DiskSample]) -> dict[str, DiskSample]:
    """Add these samples; returns the oldest of the last `SAMPLE_MINUTES` for each of their disks that has one."""
    added = json.dumps([asdict(sample) for sample in samples])
    rows = rows_as(DiskSample, _queries.sample_disks(conn, samples=added, minutes=SAMPLE_MINUTES))
    return {row.disk: row for row in rows}


def undelivered(conn: Connection) -> tuple[int, str]:
    """The number of messages that the webhook keeps refusing, and the error of the last."""
    row = _queries.undelivered(conn, attempts=MAX_ATTEMPTS, days=MESSAGE_DAYS)
    return row["messages"], row["problem"] or ""


def record_check(conn: Connection, watcher: str) -> None:
    """Record that a watcher has checked all conditions just now."""
    _queries.record_check(conn, watcher=watcher)


def watch(conn: Connection, watcher: str) -> tuple[float, datetime] | None:
    """Seconds since a watcher's last check, and the time of its first; None when it never checked."""
    row = _queries.watch(conn, watcher=watcher)
    return None if row is None else (row["seconds"], row["first_at"])


def raise_alert(conn: Connection, kind: str, text: str, figures: Mapping[str, object]) -> bool:
    """Open the alert of a condition that holds, or update it; returns whether it is new."""
    return bool(_queries.raise_alert(conn, kind=kind, text=text, figures=Jsonb(figures))["is_new"])


def resolve(conn: Connection, kinds: Sequence[str]) -> list[str]:
    """End the alerts of these kinds that were not found for `CALM_SECONDS`; returns their kinds."""
    return [row["kind"] for row in _queries.resolve(conn, kinds=list(kinds), calm_seconds=CALM_SECONDS)]


def add_failed_run(conn: Connection, run_id: str, text: str, figures: Mapping[str, object]) -> bool:
    """Record a failed run; False when it is recorded already."""
    return _queries.add_failed_run(conn, run_id=run_id, text=text, figures=Jsonb(figures)) is not None


def known_runs(conn: Connection, run_ids: Sequence[str]) -> set[str]:
    """Those of these runs that are recorded as failed."""
    return {row["subject"] for row in _queries.known_runs(conn, run_ids=list(run_ids))}


def open_alerts(conn: Connection) -> list[OpenAlert]:
    """Open alerts, the oldest first."""
    return rows_as(OpenAlert, _queries.open_alerts(conn))


def prune(conn: Connection) -> None:
    """Delete alerts that ended more than `KEEP_DAYS` ago."""
    _queries.prune(conn, days=KEEP_DAYS)


def due(conn: Connection, limit: int) -> list[int]:
    """Ids of alerts with a message to send now, the oldest first."""
    return [row["id"] for row in _queries.due(conn, days=MESSAGE_DAYS, limit=limit)]


def hold(conn: Connection, alert_id: int) -> Notification | None:
    """The alert, locked until the transaction ends; None when another process sends its message, or has sent it."""
    return row_as(Notification, _queries.hold(conn, alert_id=alert_id))


def acknowledged(conn: Connection, alert_id: int, state: str) -> None:
    """Record that the webhook took the message that an alert is now `state` (open or ended)."""
    _queries.acknowledged(conn, alert_id=alert_id, state=state)


def refused(conn: Connection, alert_id: int, problem: str) -> None:
    """Record that the webhook did not take the message; it is sent again later."""
    _queries.refused(conn, alert_id=alert_id, problem=problem)
