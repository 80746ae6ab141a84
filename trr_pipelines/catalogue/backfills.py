"""Backfills in the catalogue: their batches, order and progress.

Which batches are handed to Dagster, and when, is decided in `pipeline.rework.backfill_feed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as
from trr_pipelines.catalogue.dispatches import batch_scope

_queries = load_queries("backfills.sql")

State = Literal["running", "paused", "complete", "cancelled"]
BatchState = Literal["waiting", "fed", "done", "parked", "dropped"]
ACTIVE: tuple[State, ...] = ("running", "paused")

# A longer gap between two ticks does not count as active time: the daemon was down.
IDLE_SECONDS = 60


@dataclass(frozen=True)
class Recipes:
    """The recipe fingerprints at which sets count as complete."""

    base: str
    crop: str

    def parameters(self) -> dict[str, str]:
        return {"base_recipe": self.base, "crop_recipe": self.crop}


@dataclass(frozen=True)
class PlannedBatch:
    """A batch with open photos, and the work that they lack.

    `unfetched` photos have no original, so their bytes are unknown. `views` (in 30 days) and `links` are means over the
    photos, each with its hottest gallery. `taken_by` is the active backfill that contains the batch.
    """

    key: str
    source: str
    day: date
    number: int
    photos: int
    bytes: int
    unfetched: int
    base_sets: int
    crop_sets: int
    views: float
    links: float
    taken_by: int | None


@dataclass(frozen=True)
class Backfill:
    """A backfill. `active_seconds` is the time in which a daemon fed it; `is_fed`: within the last minute."""

    id: int
    state: State
    ordering: str
    source: str | None
    galleries: tuple[UUID, ...]
    gallery_photos: int
    photos: int
    bytes: int
    planned_seconds: float
    active_seconds: float
    is_fed: bool
    author: str
    created_at: datetime
    ended_at: datetime | None

    @property
    def is_active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class BatchWork:
    """Open photos of a batch, those of them that are due, and what keeps a run from being requested."""

    key: str
    open: int
    due: int
    next_attempt_at: datetime | None
    is_held: bool
    failures: int
    not_before: datetime | None


@dataclass(frozen=True)
class Count:
    """Batches of a backfill in one state, and their open photos when last counted."""

    batches: int = 0
    photos: int = 0


def lock(conn: Connection) -> None:
    """Serialise starts of backfills, to the end of the transaction."""
    _queries.lock_backfills(conn)


def sources(conn: Connection) -> list[str]:
    """Sources of all batches; empty when nothing was imported."""
    return [row["source"] for row in _queries.sources(conn)]


def plan(conn: Connection, recipes: Recipes, source: str | None) -> list[PlannedBatch]:
    """Batches with open photos, unordered. Reads every photo of the archive, or of the source."""
    return rows_as(PlannedBatch, _queries.plan(conn, source=source, **recipes.parameters()))


def top_galleries(conn: Connection, limit: int) -> list[UUID]:
    """The galleries with the most views in 30 days, then the most links."""
    return [row["entity_id"] for row in _queries.top_galleries(conn, limit=limit)] if limit else []


def add(
    conn: Connection,
    batches: Sequence[PlannedBatch],
    recipes: Recipes,
    *,
    ordering: str,
    source: str | None,
    galleries: Sequence[UUID],
    planned_seconds: float,
    bytes_to_read: int,
    author: str,
) -> int:
    """Record a running backfill of these batches in this order; returns its id."""
    backfill_id: int = _queries.add_backfill(
        conn,
        ordering=ordering,
        source=source,
        galleries=list(galleries),
        photos=sum(batch.photos for batch in batches),
        bytes=bytes_to_read,
        planned_seconds=planned_seconds,
        author=author,
    )
    _queries.add_batches(
        conn,
        backfill_id=backfill_id,
        keys=[batch.key for batch in batches],
        photos=[batch.photos for batch in batches],
    )
    gallery_photos = len(gallery_work(conn, backfill_id, recipes, sum(batch.photos for batch in batches)))
    _queries.set_gallery_photos(conn, gallery_photos=gallery_photos, backfill_id=backfill_id)
    return backfill_id


def get(conn: Connection, backfill_id: int) -> Backfill | None:
    """The backfill with this id."""
    row = _queries.backfill(conn, backfill_id=backfill_id, idle_seconds=IDLE_SECONDS)
    return row and Backfill(**{**row, "galleries": tuple(row["galleries"])})


def newest(conn: Connection) -> int | None:
    """The id of the newest backfill."""
    backfill_id: int | None = _queries.newest(conn)
    return backfill_id


def active(conn: Connection) -> dict[int, State]:
    """Backfills that have not ended, and their states, the oldest first."""
    return {row["id"]: row["state"] for row in _queries.active(conn)}


def states(conn: Connection, backfill_ids: Sequence[int]) -> dict[int, State]:
    """The states of those of these backfills that exist."""
    return {row["id"]: row["state"] for row in _queries.states(conn, backfill_ids=list(backfill_ids))}


def set_state(conn: Connection, backfill_id: int, state: State, expected: Sequence[State]) -> bool:
    """Change the state of a backfill; False when it is in none of the expected states."""
    return bool(_queries.set_state(conn, backfill_id=backfill_id, state=state, expected=list(expected)))


def drop_batches(conn: Connection, backfill_id: int) -> None:
    """Release every batch that is not done."""
    _queries.drop_batches(conn, backfill_id=backfill_id)


def tick(conn: Connection, backfill_id: int) -> None:
    """Record that a daemon feeds the backfill now."""
    _queries.tick(conn, backfill_id=backfill_id, idle_seconds=IDLE_SECONDS)


def rest(conn: Connection, backfill_id: int) -> None:
    """Record that the backfill is not fed now: the time until the next tick does not count as active."""
    _queries.rest(conn, backfill_id=backfill_id)


def fed(conn: Connection, backfill_id: int) -> list[str]:
    """Batches that were handed to Dagster and are not done, in their order."""
    return [row["batch_key"] for row in _queries.fed(conn, backfill_id=backfill_id)]


def next_waiting(conn: Connection, backfill_id: int, limit: int) -> list[str]:
    """The next waiting batches, in their order."""
    return [row["batch_key"] for row in _queries.next_waiting(conn, backfill_id=backfill_id, limit=limit)]


def batch_work(conn: Connection, keys: Sequence[str], recipes: Recipes) -> list[BatchWork]:
    """Open work of these batches, in the order of `keys`."""
    rows = rows_as(BatchWork, _queries.batch_work(conn, keys=list(keys), **recipes.parameters()))
    by_key = {work.key: work for work in rows}
    return [by_key[key] for key in keys]


def settle_batch(
    conn: Connection,
    backfill_id: int,
    key: str,
    state: BatchState,
    *,
    photos: int = 0,
    not_before: datetime | None = None,
) -> None:
    """Change the state of a batch of a backfill; `photos` are still open in it."""
    _queries.settle_batch(conn, backfill_id=backfill_id, key=key, state=state, photos=photos, not_before=not_before)


def has_batches_left(conn: Connection, backfill_id: int) -> bool:
    """Whether any batch is waiting or fed."""
    return bool(_queries.batches_left(conn, backfill_id=backfill_id))


def gallery_work(conn: Connection, backfill_id: int, recipes: Recipes, limit: int) -> dict[UUID, bool]:
    """Due photos of the galleries that come first, the hottest gallery first, and whether a run has leased each."""
    rows = _queries.gallery_work(conn, backfill_id=backfill_id, limit=limit, **recipes.parameters())
    return {row["id"]: row["is_held"] for row in rows}


def close_galleries(conn: Connection, backfill_id: int, recipes: Recipes) -> None:
    """End the phase of galleries, and count the open photos of the batches again."""
    _queries.close_galleries(conn, backfill_id=backfill_id)
    _queries.recount_waiting(conn, backfill_id=backfill_id, **recipes.parameters())


def recount_batch(conn: Connection, key: str, recipes: Recipes) -> None:
    """Count the open photos of a batch again, after a run of it ended."""
    (work,) = batch_work(conn, [key], recipes)
    _queries.set_open_photos(conn, photos=work.open, key=key)


def count_batches(conn: Connection, backfill_id: int) -> dict[BatchState, Count]:
    """Batches and their open photos by state."""
    rows = _queries.batch_states(conn, backfill_id=backfill_id)
    return {row["state"]: Count(row["batches"], row["photos"]) for row in rows}


def withdraw(conn: Connection, keys: Sequence[str], *scopes: str) -> None:
    """Withdraw requests for these batches and scopes that no run has claimed."""
    _queries.withdraw(conn, keys=[*(batch_scope(key) for key in keys), *scopes])
