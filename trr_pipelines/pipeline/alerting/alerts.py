"""Alerts: which conditions are alerts, which are open, and failed runs. Nothing is sent from here.

Level-triggered: each evaluation reads the current conditions and compares them with the open alerts. The caller passes
what only Dagster knows. The API, which has no Dagster instance, detects with `silent_watch` that the sensor stopped.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from trr_pipelines.catalogue import alerts, dispatches, status
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import MediaError, Reason
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.alerting import disks
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.directory import DirectoryStore

Row = dict[str, Any]

# The sensor that evaluates alerts in Dagster's daemon.
SENSOR = "alerts"
PARKED_HOURS = 24
# Failures of the store that are an alert: one refusal, or several photos, within some minutes. A single photo may fail
# because its own object is missing.
STORE_MINUTES = 15
STORE_FAILURES = 10
REFUSED = (Reason.STORAGE_DENIED, Reason.DISK_FULL)
STORE_REASONS = (*REFUSED, Reason.STORAGE_UNAVAILABLE, Reason.STORAGE_TIMEOUT)
MAX_NAMES = 5  # of a list in a message

LAG = "lag"
PARKED_PHOTOS = "parked_photos"
PARKED_RUNS = "parked_runs"
DISK = "disk_nearly_full"
STORE = "store_refuses"
RESTORED = "catalogue_restored"
UNDELIVERED = "alerts_undelivered"
SILENT_WATCH = "silent_watch"
SILENT_DAGSTER = "silent_dagster"
FAILING_TICKS = "failing_ticks"
STALLED_RUNS = "stalled_runs"
FAILING_PROCESSES = "failing_processes"
CONDITIONS = (
    LAG,
    PARKED_PHOTOS,
    PARKED_RUNS,
    DISK,
    STORE,
    RESTORED,
    UNDELIVERED,
    SILENT_WATCH,
    SILENT_DAGSTER,
    FAILING_TICKS,
    STALLED_RUNS,
    FAILING_PROCESSES,
)
# `trr up` evaluates these itself, of its own processes; all others only read them.
OF_THE_STACK = (FAILING_PROCESSES,)


@dataclass(frozen=True)
class Condition:
    """A condition that is an alert now: its kind, a one-line text, and its figures."""

    kind: str
    text: str
    figures: Row = field(default_factory=dict)

    def report(self) -> Row:
        """The condition as JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Silence:
    """A part of Dagster whose last heartbeat was `seconds` ago (None: never); more than `limit` is an alert."""

    name: str
    seconds: float | None
    limit: float

    def __str__(self) -> str:
        heartbeat = "no heartbeat yet" if self.seconds is None else f"last heartbeat {self.seconds:.0f} s ago"
        return f"{self.name} ({heartbeat})"


@dataclass(frozen=True)
class FailingTicks:
    """A sensor or schedule whose last `ticks` ticks failed; `error` is that of the newest, in one line, no secrets."""

    name: str
    ticks: int
    error: str

    def __str__(self) -> str:
        return f"{self.name} ({self.error})"


@dataclass(frozen=True)
class WaitingRuns:
    """Queued runs while Dagster has not started or ended a run for long; the oldest has waited `seconds`."""

    runs: int
    seconds: float


@dataclass(frozen=True)
class FailingProcess:
    """A process of `trr up` that ended `ends` times within the last minute; `error` is the last line of its log."""

    name: str
    ends: int
    error: str

    def __str__(self) -> str:
        return f"{self.name} ({self.error})"


@dataclass(frozen=True)
class AlertChanges:
    """The result of an evaluation: all current conditions, and which began and which ended."""

    holding: tuple[Condition, ...]
    raised: tuple[str, ...]
    resolved: tuple[str, ...]


@dataclass(frozen=True)
class FailedRun:
    """A failed run; `error` is Dagster's message, `failures_in_a_row` counts runs of its scope (None: unknown)."""

    run_id: str
    job: str
    scope: str
    partition: str
    lane: str
    error: str
    failures_in_a_row: int | None


def evaluate(
    archive: Archive,
    *,
    silences: Sequence[Silence] | None,
    failing: Sequence[FailingTicks] = (),
    waiting: WaitingRuns | None = None,
    watcher: str | None = None,
) -> AlertChanges:
    """Evaluate every condition: open new alerts, resolve those that ended.

    `silences` lists parts of Dagster without a heartbeat in time; None when Dagster cannot be queried, which leaves its
    alert unchanged. `failing` lists sensors and schedules whose ticks fail, `waiting` is the queue if nothing in it
    moves. The time is recorded for `watcher`.
    """
    settings = archive.settings
    # A network disk or a store may hang; no transaction waits for them.
    outside = [_disks(archive), _store(archive), _restored(archive)]

    def work(conn: Connection) -> AlertChanges:
        if watcher is not None:
            alerts.record_check(conn, watcher)
        found = [_lag(conn, settings), _parked_photos(conn, settings), _parked_runs(conn), *outside]
        found += [_undelivered(conn), _silent_watch(conn, settings, up_seconds=math.inf)]
        found.append(_stalled_runs(conn, waiting))
        kinds = [kind for kind in CONDITIONS if kind != SILENT_DAGSTER or silences is not None]
        if silences:
            found.append(_silent_dagster(silences))
        if failing:
            found.append(_failing_ticks(failing))
        alerts.prune(conn)
        changes = _settle(conn, found, kinds)
        return replace(changes, holding=(*changes.holding, *_of_the_stack(conn)))

    return archive.database.run(work)


def detect_silence(archive: Archive, *, up_seconds: float) -> AlertChanges:
    """Check from outside Dagster, by the catalogue alone, whether the sensor still evaluates alerts.

    `up_seconds` is how long this process has been running.
    """

    def work(conn: Connection) -> AlertChanges:
        return _settle(conn, [_silent_watch(conn, archive.settings, up_seconds=up_seconds)], (SILENT_WATCH,))

    return archive.database.run(work)


def report_processes(database: Database, failing: Sequence[FailingProcess]) -> AlertChanges:
    """Open or update the alert of processes of `trr up` that do not stay up; resolve it some time after the last."""
    found = [_failing_processes(failing)] if failing else []
    return database.run(lambda conn: _settle(conn, found, OF_THE_STACK))


def open_alerts(conn: Connection) -> Row:
    """The open alerts, oldest first, and seconds since the sensor's last evaluation (None: never)."""
    watch = alerts.watch(conn, SENSOR)
    return {
        "alerts": [asdict(one) for one in alerts.open_alerts(conn)],
        "alerts_looked_seconds": None if watch is None else round(watch[0], 1),
    }


def last_evaluation(database: Database) -> tuple[float, datetime] | None:
    """Seconds since the sensor's last evaluation, and the time of its first; None when there was none."""
    return database.read(lambda conn: alerts.watch(conn, SENSOR))


def unrecorded(database: Database, run_ids: Sequence[str]) -> set[str]:
    """The failed runs among these that are not recorded yet."""
    return set(run_ids) - database.read(lambda conn: alerts.known_runs(conn, run_ids))


def record_failed_run(database: Database, run: FailedRun) -> bool:
    """Record a failed run for the webhook; False when it is recorded already. `run.error` must not contain secrets."""
    where = run.partition or run.scope
    facts = ", ".join(
        part
        for part in (
            where,
            f"lane {run.lane}",
            f"{run.failures_in_a_row} in a row" if run.failures_in_a_row is not None else "",
        )
        if part
    )
    text = f"run of {run.job} failed ({facts}): {run.error}"
    figures = asdict(run)
    return database.run(lambda conn: alerts.add_failed_run(conn, run.run_id, text, figures))


def _settle(conn: Connection, found: Sequence[Condition | None], kinds: Sequence[str]) -> AlertChanges:
    holding = tuple(one for one in found if one is not None)
    raised = tuple(one.kind for one in holding if alerts.raise_alert(conn, one.kind, one.text, one.figures))
    return AlertChanges(holding, raised, tuple(alerts.resolve(conn, kinds)))


def _lag(conn: Connection, settings: Settings) -> Condition | None:
    lag, limit = status.live_lag(conn), settings.alert_lag_seconds
    if not limit or lag.seconds <= limit:
        return None
    figures = {"seconds": round(lag.seconds), "limit_seconds": limit, "photos": lag.photos}
    return Condition(
        LAG,
        f"the oldest live work has waited {lag.seconds:.0f} s (limit {limit} s); {lag.photos} photos are open",
        figures,
    )


def _parked_photos(conn: Connection, settings: Settings) -> Condition | None:
    by_reason, limit = alerts.parked_lately(conn, PARKED_HOURS), settings.alert_parked_photos
    photos = sum(by_reason.values())
    if not limit or photos < limit:
        return None
    reasons = ", ".join(f"{reason} {count}" for reason, count in list(by_reason.items())[:MAX_NAMES])
    text = f"{photos} photos were parked within {PARKED_HOURS} h (limit {limit}): {reasons}"
    return Condition(PARKED_PHOTOS, text, {"photos": photos, "limit": limit, "by_reason": by_reason})


def _parked_runs(conn: Connection) -> Condition | None:
    scopes = dispatches.parked(conn)
    if not scopes:
        return None
    text = f"parked after too many failed runs in a row (`trr unpark` requests them again): {_some(scopes)}"
    return Condition(PARKED_RUNS, text, {"count": len(scopes), "scopes": scopes[:100]})


def _disks(archive: Archive) -> Condition | None:
    """Disks that are nearly full, or will be soon; recorded for the estimate, so that every watcher has the same."""
    settings, found = archive.settings, disks.measured(archive)
    if not settings.alert_disk_percent:
        return None
    before = archive.database.run(lambda conn: alerts.sample_disks(conn, [disk.sample for disk in found]))
    problems = [text for disk in found for text in disk.problems(settings, before.get(disk.name))]
    if not problems:
        return None
    fullest = min(found, key=lambda disk: disk.free_percent)
    figures = {
        "disk": fullest.name,
        "free_bytes": fullest.free_bytes,
        "free_percent": round(fullest.free_percent, 1),
        "limit_percent": settings.alert_disk_percent,
    }
    return Condition(DISK, "; ".join(problems), figures)


def _store(archive: Archive) -> Condition | None:
    """A store that refuses writes: a directory that no put can use now, or photos that failed for that reason."""
    if isinstance(archive.store, DirectoryStore):
        try:
            archive.store.probe()
        except OSError as error:
            text = f"nothing can be stored in {archive.store.root}: {error.strerror or error}"
            return Condition(STORE, text, {"photos": 0})
    failed = archive.database.run(lambda conn: alerts.failed_lately(conn, STORE_REASONS, STORE_MINUTES))
    photos = sum(count for reason, count in failed.items() if reason in REFUSED)
    if photos == 0 and sum(failed.values()) < STORE_FAILURES:
        return None
    reasons = ", ".join(f"{reason} {count}" for reason, count in failed.items())
    text = f"the object store failed for {sum(failed.values())} photos within {STORE_MINUTES} min: {reasons}"
    return Condition(STORE, text, {"photos": sum(failed.values()), "by_reason": failed})


def _restored(archive: Archive) -> Condition | None:
    """A catalogue that is older than its store; unknown while the store fails, which is an alert of its own."""
    try:
        problem = epochs.problem_of(archive)
    except MediaError:
        return None
    if not problem:
        return None
    return Condition(RESTORED, f"{problem}: restored from an older copy? Nothing is deleted until: trr gc --adopt")


def _undelivered(conn: Connection) -> Condition | None:
    messages, problem = alerts.undelivered(conn)
    if not messages:
        return None
    return Condition(UNDELIVERED, f"the webhook refuses {messages} alerts: {problem}", {"messages": messages})


def _silent_watch(conn: Connection, settings: Settings, *, up_seconds: float) -> Condition | None:
    watch, limit = alerts.watch(conn, SENSOR), settings.alert_silence_seconds
    seconds = math.inf if watch is None else watch[0]
    if not limit or min(seconds, up_seconds) <= limit:
        return None
    since = "has not run yet" if watch is None else f"last ran {seconds:.0f} s ago"
    text = f"the sensor {SENSOR} {since} (limit {limit}): Dagster's daemon or code server is down, or the sensor is off"
    return Condition(SILENT_WATCH, text, {"seconds": None if watch is None else round(seconds), "limit_seconds": limit})


def _silent_dagster(silences: Sequence[Silence]) -> Condition:
    text = f"no heartbeat from Dagster: {_some([str(one) for one in silences])}"
    return Condition(SILENT_DAGSTER, text, {"silent": [asdict(one) for one in silences]})


def _failing_ticks(failing: Sequence[FailingTicks]) -> Condition:
    most = max(one.ticks for one in failing)
    text = f"the last {most} ticks failed: {_some([str(one) for one in failing])}"
    return Condition(FAILING_TICKS, text, {"failing": [asdict(one) for one in failing]})


def _stalled_runs(conn: Connection, waiting: WaitingRuns | None) -> Condition | None:
    if waiting is None or dispatches.any_is_held(conn):
        return None
    text = f"{waiting.runs} runs are queued, the oldest for {waiting.seconds:.0f} s, while no run works on anything"
    return Condition(STALLED_RUNS, text, asdict(waiting))


def _of_the_stack(conn: Connection) -> list[Condition]:
    return [Condition(one.kind, one.text, one.figures) for one in alerts.open_alerts(conn) if one.kind in OF_THE_STACK]


def _failing_processes(failing: Sequence[FailingProcess]) -> Condition:
    text = f"processes of trr up do not stay up: {_some([str(one) for one in failing])}"
    return Condition(FAILING_PROCESSES, text, {"failing": [asdict(one) for one in failing]})


def _some(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES
    return ", ".join(names[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
