"""Backfills as people handle them: planned and priced, started, looked at, paused, resumed, cancelled.

A plan is a list of import batches in an order; nothing is copied or sealed anew. How batches reach Dagster is
`backfill_feed`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from trr_pipelines.catalogue import backfills
from trr_pipelines.catalogue.backfills import ACTIVE, Backfill, BatchState, Count, PlannedBatch, State
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.pipeline.rework.estimates import Price, current_recipes, price_batches
from trr_pipelines.settings import Hours

Ordering = Literal["recency", "hot", "source"]
ORDERINGS: tuple[Ordering, ...] = get_args(Ordering)
TOP_GALLERIES = 10
# Before so many photos are done, what was planned is a better guess than what was seen.
MIN_PHOTOS_SEEN = 20


@dataclass(frozen=True)
class BackfillPlan:
    """Batches with open work in the order in which a backfill takes them, and what that costs."""

    ordering: Ordering
    source: str | None
    batches: tuple[PlannedBatch, ...]
    price: Price

    @property
    def taken(self) -> list[PlannedBatch]:
        """Batches that another backfill has."""
        return [batch for batch in self.batches if batch.taken_by is not None]

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        batches = [{"batch": one.key, "photos": one.photos, "backfill": one.taken_by} for one in self.batches]
        return {"order": self.ordering, "source": self.source, "batches": batches, **self.price.report()}


@dataclass(frozen=True)
class StartedBackfill:
    """What was planned, and the id of the backfill of it; None when there is nothing to do."""

    plan: BackfillPlan
    backfill_id: int | None

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return {"backfill": self.backfill_id, **self.plan.report()}


@dataclass(frozen=True)
class BackfillProgress:
    """How far a backfill is. `parked_photos` are in batches whose runs failed too often; `seconds_left` and `ends_at`
    are known while it runs."""

    backfill: Backfill
    done_photos: int
    left_photos: int
    parked_photos: int
    batches: dict[str, int]
    photos_per_second: float
    seconds_left: float | None
    ends_at: datetime | None
    waits_for_hours: bool

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        one = self.backfill
        return {
            "backfill": one.id,
            "state": one.state,
            "order": one.ordering,
            "source": one.source,
            "phase": "galleries" if one.galleries else "batches",
            "photos": one.photos,
            "done": self.done_photos,
            "left": self.left_photos,
            "parked": self.parked_photos,
            "batches": self.batches,
            "photos_per_second": self.photos_per_second,
            "seconds_left": self.seconds_left,
            "ends_at": self.ends_at,
            "waits_for_hours": self.waits_for_hours,
            "is_fed": one.is_fed,
            "active_seconds": round(one.active_seconds, 1),
            "started_at": one.created_at,
            "ended_at": one.ended_at,
            "author": one.author,
        }


@dataclass(frozen=True)
class StateChange:
    """The state that a backfill is in now, and whether that is new."""

    backfill: int
    state: State
    changed: bool

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return asdict(self)


def plan_backfill(database: Database, *, ordering: str = "recency", source: str | None = None) -> BackfillPlan:
    """What a backfill would do, and its price. Writes nothing.

    Raises InputError for an unknown order and an empty catalogue, NotFoundError for a source that nothing came from.
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

    Raises as `plan_backfill`, and ConflictError where another backfill has one of the batches.
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
            first = plan.taken[0]
            raise ConflictError(
                f"backfill {first.taken_by} has {len(plan.taken)} of these {len(plan.batches)} batches already, such as"
                f" {first.key}; wait for it, or: trr backfill cancel {first.taken_by}"
            )
        backfill_id = backfills.add(
            conn,
            plan.batches,
            current_recipes(),
            ordering=known,
            source=source,
            galleries=backfills.top_galleries(conn, galleries),
            planned_seconds=plan.price.seconds,
            bytes_to_read=plan.price.bytes_to_read,
            author=author,
        )
        return StartedBackfill(plan, backfill_id)

    return database.run(start)


def pause_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """Feed nothing more; the run that is under way ends its batch. Without an id: the one that has not ended."""
    return _change(database, backfill_id, "paused", ("running",))


def resume_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """Go on with a paused backfill."""
    return _change(database, backfill_id, "running", ("paused",))


def cancel_backfill(database: Database, backfill_id: int | None = None) -> StateChange:
    """End a backfill for good, also its run that is under way. What is complete stays."""
    return _change(database, backfill_id, "cancelled", ACTIVE)


def backfill_progress(
    database: Database, backfill_id: int | None = None, *, hours: Hours | None = None
) -> BackfillProgress:
    """How far a backfill is; without an id the one that was started last. Raises NotFoundError."""
    return database.run(lambda conn: _progress(conn, backfill_id, hours))


def _progress(conn: Connection, backfill_id: int | None, hours: Hours | None) -> BackfillProgress:
    if backfill_id is None:
        backfill_id = backfills.newest(conn)
    if backfill_id is None:
        raise NotFoundError("no backfill was started yet: trr backfill start")
    one = _require(conn, backfill_id)
    counts = backfills.count_batches(conn, one.id)
    parked = counts["parked"].photos if "parked" in counts else 0
    left = min(_left(conn, one, counts), one.photos - parked)
    done = one.photos - parked - left
    seen = done >= MIN_PHOTOS_SEEN and one.active_seconds > 0
    rate = done / one.active_seconds if seen else one.photos / max(one.planned_seconds, 0.001)
    now = datetime.now(UTC)
    seconds_left = round(left / rate, 1) if one.state == "running" else None
    return BackfillProgress(
        one,
        done,
        left,
        parked,
        {state: count.batches for state, count in counts.items()},
        round(rate, 2),
        seconds_left,
        None if seconds_left is None else _end(now, timedelta(seconds=seconds_left), hours),
        one.state == "running" and hours is not None and not hours.contain(now),
    )


def _left(conn: Connection, one: Backfill, counts: dict[BatchState, Count]) -> int:
    """Open photos: counted anew in what is under way, as last counted in what waits."""
    recipes = current_recipes()
    if one.galleries:
        first = backfills.gallery_work(conn, one.id, recipes, one.gallery_photos)
        return one.photos - (one.gallery_photos - len(first))
    waiting = sum(counts[state].photos for state in ("waiting", "dropped") if state in counts)
    fed = backfills.batch_work(conn, backfills.fed(conn, one.id), recipes)
    return waiting + sum(work.open for work in fed)


def _end(now: datetime, work: timedelta, hours: Hours | None) -> datetime:
    return now + work if hours is None else hours.end_of(work, now)


def _known(ordering: str) -> Ordering:
    for known in ORDERINGS:
        if known == ordering:
            return known
    raise InputError(f"a backfill goes in the order {', '.join(ORDERINGS)}, not {ordering[:80]!r}")


def _newest_first(batch: PlannedBatch) -> tuple[int, int, str]:
    return -batch.day.toordinal(), -batch.number, batch.source


_SORTED_BY: dict[Ordering, Callable[[PlannedBatch], Any]] = {
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
    batches = sorted(backfills.plan(conn, current_recipes(), source), key=_SORTED_BY[ordering])
    return BackfillPlan(ordering, source, tuple(batches), price_batches(conn, batches))


def _require(conn: Connection, backfill_id: int) -> Backfill:
    found = backfills.get(conn, backfill_id)
    if found is None:
        raise NotFoundError(f"no backfill {backfill_id}")
    return found


def _change(database: Database, backfill_id: int | None, to: State, expected: Sequence[State]) -> StateChange:
    def change(conn: Connection) -> StateChange:
        one = _require(conn, _only_active(conn) if backfill_id is None else backfill_id)
        if not backfills.set_state(conn, one.id, to, expected):
            if one.state == to:
                return StateChange(one.id, to, False)
            raise ConflictError(f"backfill {one.id} is {one.state}; {' or '.join(expected)} is what can become {to}")
        if to == "cancelled":
            fed = backfills.fed(conn, one.id)
            backfills.withdraw(conn, fed, backfill_scope(one.id))
            for key in fed:  # the end of their runs will find them dropped
                backfills.recount_batch(conn, key, current_recipes())
            backfills.drop_batches(conn, one.id)
        return StateChange(one.id, to, True)

    return database.run(change)


def _only_active(conn: Connection) -> int:
    active = backfills.active(conn)
    if not active:
        raise NotFoundError("no backfill is running or paused")
    if len(active) > 1:
        raise InputError(f"backfills {', '.join(map(str, active))} have not ended: say which")
    return next(iter(active))


def backfill_scope(backfill_id: int) -> str:
    """The scope under which a backfill asks for runs of scattered photos."""
    return f"backfill:{backfill_id}"
