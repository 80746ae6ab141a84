"""Alerts: which figures are one, what is open now, and runs that failed. Nothing is sent from here.

Level-triggered: each look asks what holds now and compares it with what is open. Dagster's own part is handed in by
whoever has Dagster at hand; the API, which has not, sees by `silent_watch` that nobody looks any more.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from trr_pipelines.catalogue import alerts, reports
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.directory import DirectoryStore

Row = dict[str, Any]

# The sensor that looks from within Dagster's daemon.
SENSOR = "alerts"
PARKED_HOURS = 24
NAMED = 5  # of a list, in a text

LAG = "lag"
PARKED_PHOTOS = "parked_photos"
PARKED_RUNS = "parked_runs"
DISK = "disk_nearly_full"
UNDELIVERED = "alerts_undelivered"
SILENT_WATCH = "silent_watch"
SILENT_DAGSTER = "silent_dagster"
CONDITIONS = (LAG, PARKED_PHOTOS, PARKED_RUNS, DISK, UNDELIVERED, SILENT_WATCH, SILENT_DAGSTER)


@dataclass(frozen=True)
class Condition:
    """Something that holds now and should not: its kind, one line for people, and its figures."""

    kind: str
    text: str
    figures: Row = field(default_factory=dict)

    def report(self) -> Row:
        """The condition in JSON's types."""
        return asdict(self)


@dataclass(frozen=True)
class Silence:
    """A part of Dagster that was last heard of `seconds` ago (None: never) and should be every `limit` seconds."""

    name: str
    seconds: float | None
    limit: float

    def __str__(self) -> str:
        return f"{self.name} ({'never heard of' if self.seconds is None else f'heard of {self.seconds:.0f} s ago'})"


@dataclass(frozen=True)
class AlertChanges:
    """What a look found: all that holds now, and what began and what ended with it."""

    holding: tuple[Condition, ...]
    raised: tuple[str, ...]
    resolved: tuple[str, ...]


@dataclass(frozen=True)
class FailedRun:
    """A run that failed; `error` is whatever Dagster says of it, `failures_in_a_row` of its scope (None: unknown)."""

    run_id: str
    job: str
    scope: str
    partition: str
    lane: str
    error: str
    failures_in_a_row: int | None


def look(archive: Archive, *, silences: Sequence[Silence] | None, watcher: str | None = None) -> AlertChanges:
    """Ask for every condition, open what is new, end what is over.

    `silences` is what of Dagster was not heard of in time; None where Dagster cannot be asked just now, which leaves
    its alert as it is. `watcher` is noted as having looked.
    """
    settings = archive.settings

    def work(conn: Connection) -> AlertChanges:
        if watcher is not None:
            alerts.looked(conn, watcher)
        found = [_lag(conn, settings), _parked_photos(conn, settings), _parked_runs(conn), _disk(archive)]
        found += [_undelivered(conn), _silent_watch(conn, settings, up_seconds=math.inf)]
        kinds = [kind for kind in CONDITIONS if kind != SILENT_DAGSTER or silences is not None]
        if silences:
            found.append(_silent_dagster(silences))
        alerts.prune(conn)
        return _settle(conn, found, kinds)

    return archive.database.run(work)


def look_for_silence(archive: Archive, *, up_seconds: float) -> AlertChanges:
    """From outside of Dagster, and by the catalogue alone: whether the sensor still looks.

    `up_seconds` is how long this process has been there to see it.
    """

    def work(conn: Connection) -> AlertChanges:
        return _settle(conn, [_silent_watch(conn, archive.settings, up_seconds=up_seconds)], (SILENT_WATCH,))

    return archive.database.run(work)


def standing(conn: Connection) -> Row:
    """What is open, the oldest first, and how many seconds ago the sensor last looked (None: never)."""
    watch = alerts.watch(conn, SENSOR)
    return {
        "alerts": [asdict(one) for one in alerts.open_alerts(conn)],
        "alerts_looked_seconds": None if watch is None else round(watch[0], 1),
    }


def last_look(database: Database) -> tuple[float, datetime] | None:
    """Seconds since the sensor last looked, and when it did for the first time; None when it never has."""
    return database.read(lambda conn: alerts.watch(conn, SENSOR))


def unrecorded(database: Database, run_ids: Sequence[str]) -> set[str]:
    """Those of these failed runs that nobody has recorded."""
    return set(run_ids) - database.read(lambda conn: alerts.known_runs(conn, run_ids))


def record_failed_run(database: Database, run: FailedRun) -> bool:
    """Keep a failed run for the webhook; False when it is kept already. `run.error` must hold no secret."""
    where = run.partition or run.scope
    told = ", ".join(
        part
        for part in (
            where,
            f"lane {run.lane}",
            f"{run.failures_in_a_row} in a row" if run.failures_in_a_row is not None else "",
        )
        if part
    )
    text = f"run of {run.job} failed ({told}): {run.error}"
    figures = asdict(run)
    return database.run(lambda conn: alerts.add_failed_run(conn, run.run_id, text, figures))


def _settle(conn: Connection, found: Sequence[Condition | None], kinds: Sequence[str]) -> AlertChanges:
    holding = tuple(one for one in found if one is not None)
    raised = tuple(one.kind for one in holding if alerts.see(conn, one.kind, one.text, one.figures))
    return AlertChanges(holding, raised, tuple(alerts.resolve(conn, kinds)))


def _lag(conn: Connection, settings: Settings) -> Condition | None:
    lag, limit = reports.live_lag(conn), settings.alert_lag_seconds
    if not limit or lag.seconds <= limit:
        return None
    figures = {"seconds": round(lag.seconds), "limit_seconds": limit, "photos": lag.photos}
    return Condition(
        LAG,
        f"the oldest live work waits for {lag.seconds:.0f} s (limit {limit}), {lag.photos} photos are open",
        figures,
    )


def _parked_photos(conn: Connection, settings: Settings) -> Condition | None:
    by_reason, limit = alerts.parked_lately(conn, PARKED_HOURS), settings.alert_parked_photos
    photos = sum(by_reason.values())
    if not limit or photos < limit:
        return None
    reasons = ", ".join(f"{reason} {count}" for reason, count in list(by_reason.items())[:NAMED])
    text = f"{photos} photos were given up within {PARKED_HOURS} h (limit {limit}): {reasons}"
    return Condition(PARKED_PHOTOS, text, {"photos": photos, "limit": limit, "by_reason": by_reason})


def _parked_runs(conn: Connection) -> Condition | None:
    scopes = alerts.parked_scopes(conn)
    if not scopes:
        return None
    text = f"runs failed too often in a row, and are asked for no more: {_some(scopes)}"
    return Condition(PARKED_RUNS, text, {"count": len(scopes), "scopes": scopes[:100]})


def _disk(archive: Archive) -> Condition | None:
    limit = archive.settings.alert_disk_percent
    if not limit or not isinstance(archive.store, DirectoryStore):
        return None
    usage = shutil.disk_usage(archive.store.root)
    free = 100 * usage.free / usage.total
    if free >= limit:
        return None
    text = f"{free:.1f} % of the disk of the originals and derivatives is free (limit {limit:g} %)"
    return Condition(DISK, text, {"free_bytes": usage.free, "free_percent": round(free, 1), "limit_percent": limit})


def _undelivered(conn: Connection) -> Condition | None:
    messages, problem = alerts.undelivered(conn)
    if not messages:
        return None
    return Condition(UNDELIVERED, f"the webhook does not take {messages} alerts: {problem}", {"messages": messages})


def _silent_watch(conn: Connection, settings: Settings, *, up_seconds: float) -> Condition | None:
    watch, limit = alerts.watch(conn, SENSOR), settings.alert_silence_seconds
    seconds = math.inf if watch is None else watch[0]
    if not limit or min(seconds, up_seconds) <= limit:
        return None
    since = "never looked" if watch is None else f"last looked {seconds:.0f} s ago"
    text = (
        f"the sensor {SENSOR} {since} (limit {limit}): Dagster's daemon or code server is down, or it is switched off"
    )
    return Condition(SILENT_WATCH, text, {"seconds": None if watch is None else round(seconds), "limit_seconds": limit})


def _silent_dagster(silences: Sequence[Silence]) -> Condition:
    text = f"silent in Dagster: {_some([str(one) for one in silences])}"
    return Condition(SILENT_DAGSTER, text, {"silent": [asdict(one) for one in silences]})


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
