"""Backfills: plan and estimate, start, progress, pause, resume, cancel.

A plan is an ordered list of existing import batches. Batches are handed to Dagster in `backfill_feed`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, TypedDict, get_args

from trr_pipelines.catalogue import backfills
from trr_pipelines.catalogue.backfills import ACTIVE, Backfill, BatchState, Count, PlannedBatch, State
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.pipeline.rework.estimates import Estimate, EstimateReport, current_recipes, estimate_batches
from trr_pipelines.settings import Hours

Ordering = Literal["recency", "hot", "source"]
ORDERINGS: tuple[Ordering, ...] = get_args(Ordering)
TOP_GALLERIES = 10
# Until this many photos are done, the planned speed is a better guess than the measured one.
MIN_PHOTOS_SEEN = 20


class PlannedBatchReport(TypedDict):
    """A planned batch in the types of JSON; `backfill` is the number of the backfill that contains it already."""

    batch: str
    photos: int
    backfill: int | None


class BackfillPlanReport(EstimateReport):
    """A plan in the types of JSON."""

    order: Ordering
    source: str | None
    batches: list[PlannedBatchReport]


class StartedBackfillReport(BackfillPlanReport):
    """A started backfill in the types of JSON; `backfill` is null when there was nothing to do."""

    backfill: int | None


class BackfillProgressReport(TypedDict):
    """Progress of a backfill in the types of JSON, except for times, which are `datetime`."""

    backfill: int
    state: State
    order: str
    source: str | None
    phase: Literal["galleries", "batches"]
    photos: int
    done: int
    left: int
    parked: int
    batches: dict[str, int]
    photos_per_second: float
    seconds_left: float | None
    ends_at: datetime | None
    waits_for_hours: bool
    is_fed: bool
    active_seconds: float
    started_at: datetime
    ended_at: datetime | None
    author: str


class StateChangeReport(TypedDict):
    """A change of state in the types of JSON."""

    backfill: int
    state: State
    changed: bool


@dataclass(frozen=True)
class BackfillPlan:
    """Batches with open work in the order of the backfill, and their cost."""

    ordering: Ordering
    source: str | None
    batches: tuple[PlannedBatch, ...]
    estimate: Estimate

    @property
    def taken(self) -> list[PlannedBatch]:
        """Batches of another active backfill."""
        return [batch for batch in self.batches if batch.taken_by is not None]

    def report(self) -> BackfillPlanReport:
        """The plan in the types of JSON."""
        return {
            "order": self.ordering,
            "source": self.source,
            "batches": [
                {"batch": batch.key, "photos": batch.photos, "backfill": batch.taken_by} for batch in self.batches
            ],
            **self.estimate.report(),
        }


@dataclass(frozen=True)
class StartedBackfill:
    """A plan, and the id of its backfill; None when there is nothing to do."""

    plan: BackfillPlan
    backfill_id: int | None

    def report(self) -> StartedBackfillReport:
        """The started backfill in the types of JSON."""
        return {"backfill": self.backfill_id, **self.plan.report()}


@dataclass(frozen=True)
class BackfillProgress:
    """Progress of a backfill. `parked_photos` are in batches whose runs failed too often; `seconds_left` and `ends_at`
    are None unless it is running."""

    backfill: Backfill
    done_photos: int
    left_photos: int
    parked_photos: int
    batches: dict[str, int]
    photos_per_second: float
    seconds_left: float | None
    ends_at: datetime | None
    waits_for_hours: bool

    def report(self) -> BackfillProgressReport:
        """The progress in the types of JSON, except for times."""
        backfill = self.backfill
        return {
            "backfill": backfill.id,
            "state": backfill.state,
            "order": backfill.ordering,
            "source": backfill.source,
            "phase": "galleries" if backfill.galleries else "batches",
            "photos": backfill.photos,
            "done": self.done_photos,
            "left": self.left_photos,
            "parked": self.parked_photos,
            "batches": self.batches,
            "photos_per_second": self.photos_per_second,
            "seconds_left": self.seconds_left,
            "ends_at": self.ends_at,
            "waits_for_hours": self.waits_for_hours,
            "is_fed": backfill.is_fed,
            "active_seconds": round(backfill.active_seconds, 1),
            "started_at": backfill.created_at,
            "ended_at": backfill.ended_at,
            "author": backfill.author,
        }


@dataclass(frozen=True)
class StateChange:
    """The present state of a backfill, and whether it changed."""

    backfill: int
    state: State
    changed: bool

    def report(self) -> StateChangeReport:
        """The change in the types of JSON."""
        return {"backfill": self.backfill, "state": self.state, "changed": self.changed}


def plan_backfill(database: Database, *, ordering: str = "recency", source: str | None = None) -> BackfillPlan:
    """The batches of a backfill, and their cost. Writes nothing.

    Raises InputError for an unknown order or an empty catalogue, NotFoundError for an unknown source.
    """
    known = _known(ordering)
    return database.run(lambda conn: _plan(conn, known, source))


def start_backfill(
    database: Database,
    *,
    ordering: str = "recency",
    source: str | None = None,
    galleries: int = TOP_GALLERIES,
    author: str,
) -> StartedBackfill:
    """Start a backfill of all batches with open work; photos of the hottest `galleries` come first.

    Raises as `plan_backfill`, and ConflictError when one of the batches is in another active backfill.
    """
    if galleries < 0:
        raise InputError(f"the number of galleries that come first is 0 or more, not {galleries}")
    known = _known(ordering)

    def start(conn: Connection) -> StartedBackfill:
        backfills.lock(conn)
        plan = _plan(conn, known, source)
        if not plan.batches:
            return StartedBackfill(plan, None)
        if plan.taken:
            example = plan.taken[0]
            raise ConflictError(
                f"backfill {example.taken_by} has {len(plan.taken)} of these {len(plan.batches)} batches already,"
                f" such as {example.key}; wait for it, or: trr backfill cancel {example.taken_by}"
            )
        backfill_id = backfills.add(
            conn,
            plan.batches,
            current_recipes(),
            ordering=known,
            source=source,
            galleries=backfills.top_galleries(conn, galleries),
            planned_seconds=plan.estimate.seconds or 0.0,
            bytes_to_read=plan.estimate.bytes_to_read,
            author=author,
        )
        return StartedBackfill(plan, backfill_id)

    return database.run(start)


def pause_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """Stop feeding; the current run finishes its batch. Without an id: the only backfill that has not ended."""
    return _change(database, backfill_id, "paused", ("running",))


def resume_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """Resume a paused backfill. Without an id: the only backfill that has not ended."""
    return _change(database, backfill_id, "running", ("paused",))


def cancel_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """End a backfill and its current run for good. Complete work stays."""
    return _change(database, backfill_id, "cancelled", ACTIVE)


def backfill_progress(
    database: Database, backfill_id: int | None = None, *, hours: Hours | None = None
) -> BackfillProgress:
    """Progress of a backfill, without an id of the newest. Raises NotFoundError."""
    return database.run(lambda conn: _progress(conn, backfill_id, hours))


def _progress(conn: Connection, backfill_id: int | None, hours: Hours | None) -> BackfillProgress:
    if backfill_id is None:
        backfill_id = backfills.newest(conn)
    if backfill_id is None:
        raise NotFoundError("no backfill was started yet: trr backfill start")
    backfill = _require(conn, backfill_id)
    counts = backfills.count_batches(conn, backfill.id)
    parked = counts["parked"].photos if "parked" in counts else 0
    left = min(_left(conn, backfill, counts), backfill.photos - parked)
    done = backfill.photos - parked - left
    is_measured = done >= MIN_PHOTOS_SEEN and backfill.active_seconds > 0
    rate = done / backfill.active_seconds if is_measured else backfill.photos / max(backfill.planned_seconds, 0.001)
    now = datetime.now(UTC)
    seconds_left = round(left / rate, 1) if backfill.state == "running" else None
    return BackfillProgress(
        backfill,
        done,
        left,
        parked,
        {state: count.batches for state, count in counts.items()},
        round(rate, 2),
        seconds_left,
        None if seconds_left is None else _end(now, timedelta(seconds=seconds_left), hours),
        backfill.state == "running" and hours is not None and not hours.contain(now),
    )


def _left(conn: Connection, backfill: Backfill, counts: dict[BatchState, Count]) -> int:
    """Open photos: counted now in fed batches, as last counted in waiting ones."""
    recipes = current_recipes()
    if backfill.galleries:
        due = backfills.gallery_work(conn, backfill.id, recipes, backfill.gallery_photos)
        return backfill.photos - (backfill.gallery_photos - len(due))
    waiting = sum(counts[state].photos for state in ("waiting", "dropped") if state in counts)
    fed = backfills.batch_work(conn, backfills.fed(conn, backfill.id), recipes)
    return waiting + sum(work.open for work in fed)


def _end(now: datetime, work: timedelta, hours: Hours | None) -> datetime:
    return now + work if hours is None else hours.end_of(work, now)


def _known(ordering: str) -> Ordering:
    for known in ORDERINGS:
        if known == ordering:
            return known
    raise InputError(f"unknown order {ordering[:80]!r}; known are {', '.join(ORDERINGS)}")


def _newest_first(batch: PlannedBatch) -> tuple[int, int, str]:
    return -batch.day.toordinal(), -batch.number, batch.source


_SORT_KEYS: dict[Ordering, Callable[[PlannedBatch], tuple[str | float, ...]]] = {
    "recency": _newest_first,
    "hot": lambda batch: (-batch.views, -batch.links, *_newest_first(batch)),
    "source": lambda batch: (batch.source, *_newest_first(batch)),
}


def _plan(conn: Connection, ordering: Ordering, source: str | None) -> BackfillPlan:
    sources = backfills.sources(conn)
    if not sources:
        raise InputError("the catalogue holds no photos, so there is nothing to backfill; trr import brings them in")
    if source is not None and source not in sources:
        raise NotFoundError(f"no photos came from source {source[:80]!r}; the catalogue has {', '.join(sources[:20])}")
    batches = sorted(backfills.plan(conn, current_recipes(), source), key=_SORT_KEYS[ordering])
    return BackfillPlan(ordering, source, tuple(batches), estimate_batches(conn, batches))


def _require(conn: Connection, backfill_id: int) -> Backfill:
    backfill = backfills.get(conn, backfill_id)
    if backfill is None:
        raise NotFoundError(f"no backfill {backfill_id}")
    return backfill


def _change(database: Database, backfill_id: int | None, to: State, expected: Sequence[State]) -> StateChange:
    def change(conn: Connection) -> StateChange:
        backfill = _require(conn, _only_active(conn) if backfill_id is None else backfill_id)
        if not backfills.set_state(conn, backfill.id, to, expected):
            if backfill.state == to:
                return StateChange(backfill.id, to, False)
            raise ConflictError(
                f"backfill {backfill.id} is {backfill.state}; only {' or '.join(expected)} can become {to}"
            )
        if to == "cancelled":
            fed = backfills.fed(conn, backfill.id)
            backfills.withdraw(conn, fed, backfill_scope(backfill.id))
            for key in fed:  # counted now: dropped batches are not counted when their runs end
                backfills.recount_batch(conn, key, current_recipes())
            backfills.drop_batches(conn, backfill.id)
        return StateChange(backfill.id, to, True)

    return database.run(change)


def _only_active(conn: Connection) -> int:
    active = backfills.active(conn)
    if not active:
        raise NotFoundError("no backfill is running or paused")
    if len(active) > 1:
        raise InputError(f"backfills {', '.join(map(str, active))} have not ended: give the number of one")
    return next(iter(active))


def backfill_scope(backfill_id: int) -> str:
    """The dispatch scope of a backfill's runs of listed photos."""
    return f"backfill:{backfill_id}"
