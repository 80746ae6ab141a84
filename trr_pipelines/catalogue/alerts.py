"""Alerts in the catalogue: what holds now, since when, what of it the webhook was told, and who looked last.

Which thresholds make a figure an alert is `pipeline.alerts`', what a message says and how it travels
`pipeline.alert_messages`'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from psycopg.types.json import Jsonb

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES

_queries = load_queries("alerts.sql")

Row = dict[str, Any]

# A condition that did not hold at the looks of so long has ended: what wavers around its threshold is one alert.
CALM_SECONDS = 120
# What ended longer ago than this is told to nobody any more, and after 90 days it is forgotten.
TELL_DAYS = 7
KEEP_DAYS = 90
# Failures in a row (30 s, 1 and 2 min apart) after which the webhook counts as down.
MAX_ATTEMPTS = 4


@dataclass(frozen=True)
class OpenAlert:
    """A condition that holds since `opened_at`; `seen_at` is when somebody last found that it does."""

    kind: str
    text: str
    figures: Row
    opened_at: datetime
    seen_at: datetime


@dataclass(frozen=True)
class Notification:
    """An alert as it is to be told: `told` is what was acknowledged of it before."""

    id: int
    kind: str
    subject: str
    text: str
    figures: Row
    opened_at: datetime
    resolved_at: datetime | None
    told: Literal["open"] | None
    attempts: int


def parked_lately(conn: Connection, hours: int) -> dict[str, int]:
    """Photos that ended as failed within the last hours, by reason, the most first."""
    return {row["reason"]: row["photos"] for row in _queries.parked_lately(conn, hours=hours)}


def parked_scopes(conn: Connection) -> list[str]:
    """Batches and other scopes of work whose runs failed too often in a row: nobody asks for them any more."""
    return [row["scope"] for row in _queries.parked_scopes(conn, max_failures=MAX_RUN_FAILURES)]


def undelivered(conn: Connection) -> tuple[int, str]:
    """How many messages the webhook does not take, and why it did not take the last."""
    row = _queries.undelivered(conn, attempts=MAX_ATTEMPTS, days=TELL_DAYS)
    return row["messages"], row["problem"] or ""


def looked(conn: Connection, watcher: str) -> None:
    """Note that somebody has looked at all conditions just now."""
    _queries.looked(conn, watcher=watcher)


def watch(conn: Connection, watcher: str) -> tuple[float, datetime] | None:
    """Seconds since that watcher last looked, and when it did for the first time; None when it never has."""
    row = _queries.watch(conn, watcher=watcher)
    return None if row is None else (row["seconds"], row["first_at"])


def see(conn: Connection, kind: str, text: str, figures: Row) -> bool:
    """A condition holds; returns whether it did not until now."""
    return bool(_queries.see(conn, kind=kind, text=text, figures=Jsonb(figures))["is_new"])


def resolve(conn: Connection, kinds: Sequence[str]) -> list[str]:
    """End the alerts of these kinds that have not held for a while; returns their kinds."""
    return [row["kind"] for row in _queries.resolve(conn, kinds=list(kinds), calm_seconds=CALM_SECONDS)]


def add_failed_run(conn: Connection, run_id: str, text: str, figures: Row) -> bool:
    """Record that a run failed; False when it is recorded already."""
    return _queries.add_failed_run(conn, run_id=run_id, text=text, figures=Jsonb(figures)) is not None


def known_runs(conn: Connection, run_ids: Sequence[str]) -> set[str]:
    """Those of these runs that are recorded as failed."""
    return {row["subject"] for row in _queries.known_runs(conn, run_ids=list(run_ids))}


def open_alerts(conn: Connection) -> list[OpenAlert]:
    """Conditions that hold, as they were last seen, the oldest first."""
    return [OpenAlert(**row) for row in _queries.open_alerts(conn)]


def prune(conn: Connection) -> None:
    """Forget what ended long ago."""
    _queries.prune(conn, days=KEEP_DAYS)


def due(conn: Connection, limit: int) -> list[int]:
    """Ids of alerts of which the webhook is to be told something now, the oldest first."""
    return [row["id"] for row in _queries.due(conn, days=TELL_DAYS, limit=limit)]


def hold(conn: Connection, alert_id: int) -> Notification | None:
    """The alert, locked until the transaction ends; None when somebody else tells it, or has."""
    row = _queries.hold(conn, alert_id=alert_id)
    return None if row is None else Notification(**row)


def acknowledged(conn: Connection, alert_id: int, told: str) -> None:
    """The webhook took the message."""
    _queries.acknowledged(conn, alert_id=alert_id, told=told)


def refused(conn: Connection, alert_id: int, problem: str) -> None:
    """The webhook did not take the message; it is tried again later."""
    _queries.refused(conn, alert_id=alert_id, problem=problem)
