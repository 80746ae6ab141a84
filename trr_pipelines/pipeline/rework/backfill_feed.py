"""The feed of backfills: requests a few runs at a time from Dagster, the next when one is done.

Level-triggered: each tick compares the fed batches with the ledger. A killed daemon, worker or database costs only the
time until the next tick.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from trr_pipelines.catalogue import backfills, dispatches
from trr_pipelines.catalogue.backfills import ACTIVE, Backfill, BatchWork
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES
from trr_pipelines.pipeline.rework.backfills import backfill_scope
from trr_pipelines.pipeline.rework.estimates import current_recipes
from trr_pipelines.pipeline.scheduling import BatchRequest, IsInDagster, PhotosRequest, fresh
from trr_pipelines.settings import Hours

# Photos of one run in the phase of galleries: as many as a batch has.
PHOTOS_PER_RUN = 500
# Complete batches that one tick may skip: each costs reading its 500 photos.
MAX_SKIPS = 50

End = Literal["waiting", "all"]


@dataclass(frozen=True)
class Feed:
    """Requests for Dagster, by backfill."""

    batches: dict[int, list[BatchRequest]] = field(default_factory=dict)
    photos: dict[int, PhotosRequest] = field(default_factory=dict)


@dataclass(frozen=True)
class _Requests:
    """Requests of one backfill, before those that Dagster has already are removed."""

    batches: Sequence[dispatches.Dispatch] = ()
    photos: tuple[dispatches.Dispatch, PhotosRequest] | None = None
    held: int = 0

    @property
    def slots(self) -> int:
        return len(self.batches) + self.held + (self.photos is not None)


def feed(database: Database, has_run: IsInDagster, *, queue: int, hours: Hours | None = None) -> Feed:
    """Requests that Dagster does not have yet: at most `queue` runs at a time over all backfills."""
    result = Feed()
    free_slots = queue
    is_on = hours is None or hours.contain(datetime.now(UTC))
    for backfill_id in database.run(backfills.active):
        requests = database.run(partial(_tick, backfill_id=backfill_id, free_slots=free_slots, is_on=is_on))
        free_slots -= requests.slots
        current = [fresh(database, request, has_run) for request in requests.batches]
        batches = [
            BatchRequest(request.scope.removeprefix("batch:"), request.scope, request.run_key)
            for request in current
            if not has_run(request.run_key)
        ]
        if batches:
            result.batches[backfill_id] = batches
        if requests.photos is not None:
            request = fresh(database, requests.photos[0], has_run)
            if not has_run(request.run_key):
                photos = requests.photos[1]
                result.photos[backfill_id] = PhotosRequest(photos.photo_ids, photos.scope, request.run_key)
    return result


def runs_to_end(database: Database, backfill_ids: Sequence[int], *, hours: Hours | None = None) -> dict[int, End]:
    """Backfills among these that must have no waiting run, or no run at all."""
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


def _tick(conn: Connection, backfill_id: int, free_slots: int, *, is_on: bool) -> _Requests:
    backfill = backfills.get(conn, backfill_id)
    if backfill is None or backfill.state not in ACTIVE:
        return _Requests()
    fed = backfills.batch_work(conn, backfills.fed(conn, backfill.id), current_recipes())
    if backfill.state == "paused" or not is_on:
        _hold_back(conn, backfill, fed)
        return _Requests()
    backfills.tick(conn, backfill.id)
    if backfill.galleries:
        gallery_requests = _galleries(conn, backfill, free_slots)
        if gallery_requests is not None:
            return gallery_requests
    current = [work for work in fed if _stays_fed(conn, backfill, work)]
    held = sum(work.is_held for work in current)
    requests = [dispatches.request(conn, dispatches.batch_scope(work.key)) for work in current if not work.is_held]
    requests += _next(conn, backfill, free_slots - len(current))
    if not backfills.has_batches_left(conn, backfill.id):
        backfills.set_state(conn, backfill.id, "complete", ("running",))
    return _Requests(requests, held=held)


def _hold_back(conn: Connection, backfill: Backfill, fed: Sequence[BatchWork]) -> None:
    """Return fed batches without a run to the waiting ones; a batch with a run is finished by that run."""
    backfills.rest(conn, backfill.id)
    idle = [work for work in fed if not work.is_held]
    backfills.withdraw(conn, [work.key for work in idle], backfill_scope(backfill.id))
    for work in idle:
        backfills.settle_batch(conn, backfill.id, work.key, "waiting", photos=work.open)


def _stays_fed(conn: Connection, backfill: Backfill, work: BatchWork) -> bool:
    """Whether the batch has or needs a run now; otherwise change its state."""
    if work.open == 0:
        backfills.settle_batch(conn, backfill.id, work.key, "done")
    elif work.is_held:
        return True
    elif work.failures >= MAX_RUN_FAILURES:
        backfills.settle_batch(conn, backfill.id, work.key, "parked", photos=work.open)
    elif work.not_before is not None or work.due == 0:
        later = work.not_before or work.next_attempt_at
        backfills.settle_batch(conn, backfill.id, work.key, "waiting", photos=work.open, not_before=later)
    else:
        return True
    return False


def _next(conn: Connection, backfill: Backfill, free_slots: int) -> list[dispatches.Dispatch]:
    """Requests for the next batches, one per free slot; complete batches are skipped."""
    requests: list[dispatches.Dispatch] = []
    reads_left = free_slots + MAX_SKIPS
    while free_slots > 0 and reads_left > 0:
        keys = backfills.next_waiting(conn, backfill.id, min(free_slots, reads_left))
        reads_left -= len(keys)
        if not keys:
            break
        for work in backfills.batch_work(conn, keys, current_recipes()):
            if not _stays_fed(conn, backfill, work):
                continue
            free_slots -= 1
            backfills.settle_batch(conn, backfill.id, work.key, "fed", photos=work.open)
            if not work.is_held:
                requests.append(dispatches.request(conn, dispatches.batch_scope(work.key)))
    return requests


def _galleries(conn: Connection, backfill: Backfill, free_slots: int) -> _Requests | None:
    """The next photos of the galleries that come first; None when they are done, or wait out a backoff."""
    scope = backfill_scope(backfill.id)
    due = backfills.gallery_work(conn, backfill.id, current_recipes(), PHOTOS_PER_RUN)
    if not due:
        backfills.close_galleries(conn, backfill.id, current_recipes())
        return None
    if not dispatches.is_ready(conn, scope):
        return None
    if free_slots < 1 or any(due.values()):
        return _Requests()
    request = dispatches.request(conn, scope)
    return _Requests(photos=(request, PhotosRequest(tuple(due), scope, request.run_key)))
