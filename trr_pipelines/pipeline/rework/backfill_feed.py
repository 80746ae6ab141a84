"""What a backfill asks Dagster for next: a few runs at a time, the next when one is done. Never the whole queue.

Level-triggered: each look compares the batches that were fed with the ledger. A killed daemon, worker or database costs
nothing but the time until the next look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from trr_pipelines.catalogue import backfills, dispatches
from trr_pipelines.catalogue.backfills import ACTIVE, Backfill, BatchWork
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES
from trr_pipelines.pipeline.rework.backfills import backfill_scope
from trr_pipelines.pipeline.rework.estimates import current_recipes
from trr_pipelines.pipeline.scheduling import BatchRequest, IsInDagster, PhotosRequest, fresh
from trr_pipelines.settings import Hours

# Photos of the galleries that come first, as one run: as many as a batch has.
PHOTOS_PER_RUN = 500
# Batches that turn out to be complete are passed by, so many at a look: each costs a look at its 500 photos.
SKIPS_PER_LOOK = 50

End = Literal["waiting", "all"]


@dataclass(frozen=True)
class Feed:
    """What to ask Dagster for, by the backfill that asks."""

    batches: dict[int, list[BatchRequest]] = field(default_factory=dict)
    photos: dict[int, PhotosRequest] = field(default_factory=dict)


@dataclass(frozen=True)
class _Wanted:
    """What one backfill wants run, before it is known whether Dagster has it already."""

    batches: Sequence[dispatches.Dispatch] = ()
    photos: tuple[dispatches.Dispatch, PhotosRequest] | None = None
    held: int = 0

    @property
    def room_taken(self) -> int:
        return len(self.batches) + self.held + (self.photos is not None)


def feed(database: Database, has_run: IsInDagster, *, queue: int, hours: Hours | None = None) -> Feed:
    """Runs that Dagster should have now and has not: at most `queue` at a time over all backfills."""
    wanted = Feed()
    room = queue
    is_on = hours is None or hours.contain(datetime.now(UTC))
    for backfill_id in database.run(backfills.active):
        of_one = database.run(lambda conn, one=backfill_id, room=room: _look(conn, one, room, is_on=is_on))  # type: ignore[misc]
        room -= of_one.room_taken
        asked = [fresh(database, request, has_run) for request in of_one.batches]
        batches = [
            BatchRequest(request.scope.removeprefix("batch:"), request.scope, request.run_key)
            for request in asked
            if not has_run(request.run_key)
        ]
        if batches:
            wanted.batches[backfill_id] = batches
        if of_one.photos is not None:
            request = fresh(database, of_one.photos[0], has_run)
            if not has_run(request.run_key):
                photos = of_one.photos[1]
                wanted.photos[backfill_id] = PhotosRequest(photos.photo_ids, photos.scope, request.run_key)
    return wanted


def runs_to_end(database: Database, backfill_ids: Sequence[int], *, hours: Hours | None = None) -> dict[int, End]:
    """Of these backfills, which must have no run that waits, and which no run at all."""
    states = database.run(lambda conn: backfills.states(conn, backfill_ids))
    is_on = hours is None or hours.contain(datetime.now(UTC))
    ends: dict[int, End] = {}
    for backfill_id in backfill_ids:
        state = states.get(backfill_id, "cancelled")
        if state == "cancelled":
            ends[backfill_id] = "all"
        elif state == "paused" or (state == "running" and not is_on):
            ends[backfill_id] = "waiting"
    return ends


def _look(conn: Connection, backfill_id: int, room: int, *, is_on: bool) -> _Wanted:
    one = backfills.get(conn, backfill_id)
    if one is None or one.state not in ACTIVE:
        return _Wanted()
    fed = backfills.batch_work(conn, backfills.fed(conn, one.id), current_recipes())
    if one.state == "paused" or not is_on:
        _hold_back(conn, one, fed)
        return _Wanted()
    backfills.tick(conn, one.id)
    if one.galleries:
        photos = _galleries(conn, one, room)
        if photos is not None:
            return photos
    current = [work for work in fed if _stays_fed(conn, one, work)]
    held = sum(work.is_held for work in current)
    requests = [dispatches.request(conn, dispatches.batch_scope(work.key)) for work in current if not work.is_held]
    requests += _next(conn, one, room - len(current))
    if not backfills.has_batches_left(conn, one.id):
        backfills.set_state(conn, one.id, "complete", ("running",))
    return _Wanted(requests, held=held)


def _hold_back(conn: Connection, one: Backfill, fed: Sequence[BatchWork]) -> None:
    """Put back what waits for its run; a batch that a run holds is ended by that run."""
    backfills.rest(conn, one.id)
    idle = [work for work in fed if not work.is_held]
    backfills.withdraw(conn, [work.key for work in idle], backfill_scope(one.id))
    for work in idle:
        backfills.settle_batch(conn, one.id, work.key, "waiting", photos=work.open)


def _stays_fed(conn: Connection, one: Backfill, work: BatchWork) -> bool:
    """Whether a run holds the batch or should; otherwise it moves on."""
    if work.open == 0:
        backfills.settle_batch(conn, one.id, work.key, "done")
    elif work.is_held:
        return True
    elif work.failures >= MAX_RUN_FAILURES:
        backfills.settle_batch(conn, one.id, work.key, "parked", photos=work.open)
    elif work.not_before is not None or work.due == 0:
        later = work.not_before or work.next_attempt_at
        backfills.settle_batch(conn, one.id, work.key, "waiting", photos=work.open, not_before=later)
    else:
        return True
    return False


def _next(conn: Connection, one: Backfill, room: int) -> list[dispatches.Dispatch]:
    """As many of the next batches as there is room for, past those that are complete already."""
    requests: list[dispatches.Dispatch] = []
    looks = room + SKIPS_PER_LOOK
    while room > 0 and looks > 0:
        keys = backfills.next_waiting(conn, one.id, min(room, looks))
        looks -= len(keys)
        if not keys:
            break
        for work in backfills.batch_work(conn, keys, current_recipes()):
            if not _stays_fed(conn, one, work):
                continue
            room -= 1
            backfills.settle_batch(conn, one.id, work.key, "fed", photos=work.open)
            if not work.is_held:
                requests.append(dispatches.request(conn, dispatches.batch_scope(work.key)))
    return requests


def _galleries(conn: Connection, one: Backfill, room: int) -> _Wanted | None:
    """The next photos of the galleries that come first; None when they are done, or must not be asked for just now."""
    scope = backfill_scope(one.id)
    due = backfills.gallery_work(conn, one.id, current_recipes(), PHOTOS_PER_RUN)
    if not due:
        backfills.close_galleries(conn, one.id, current_recipes())
        return None
    if not dispatches.is_ready(conn, scope):
        return None
    if room < 1 or any(due.values()):
        return _Wanted()
    request = dispatches.request(conn, scope)
    return _Wanted(photos=(request, PhotosRequest(tuple(due), scope, request.run_key)))
