"""Which runs to request from Dagster: batches and photos with open work that no run holds, and the run_key of each.

Level-triggered: read from the ledger at each tick, with no memory. The requests are made in `defs.sensors`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import dispatches, facebank, imports, ledger
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import InputError, NotFoundError

BATCHES_PER_TICK = 10
KEYS_PER_TICK = 1_000
PHOTOS_PER_RUN = 1_000
PEOPLE_PER_TICK = 10

CROPS_SCOPE = "crops"
RETRIES_SCOPE = "retries"
REMOVALS_SCOPE = facebank.REMOVALS_SCOPE

IsInDagster = Callable[[str], bool]
"""Given a run_key: whether a run with it is queued or running. Given a partition key: whether Dagster knows it."""


@dataclass(frozen=True)
class BatchRequest:
    """A run of one batch."""

    batch: str
    scope: str
    run_key: str


@dataclass(frozen=True)
class PersonRequest:
    """A run that imports one person's changed seeds into the face bank."""

    person_id: UUID
    scope: str
    run_key: str


@dataclass(frozen=True)
class PhotosRequest:
    """One run of listed photos, whatever their batches."""

    photo_ids: tuple[UUID, ...]
    scope: str
    run_key: str


def request_batches(database: Database, has_run: IsInDagster) -> list[BatchRequest]:
    """Runs of batches with open work; the run_key stays the same until the run has started."""

    def find_work(conn: Connection) -> list[dispatches.Dispatch]:
        batches = ledger.batches_with_work(conn, BATCHES_PER_TICK)
        return [dispatches.request(conn, dispatches.batch_scope(batch)) for batch in batches]

    requests = [fresh(database, request, has_run) for request in database.run(find_work)]
    return [BatchRequest(request.scope.removeprefix("batch:"), request.scope, request.run_key) for request in requests]


def request_crops(database: Database, has_run: IsInDagster) -> PhotosRequest | None:
    """One run of all photos whose crop changed."""
    return _request_photos(database, CROPS_SCOPE, ledger.crops_with_work, has_run)


def request_retries(database: Database, has_run: IsInDagster) -> PhotosRequest | None:
    """One run of all photos whose next attempt is due or that were requested for reprocessing."""
    return _request_photos(database, RETRIES_SCOPE, ledger.retries_due, has_run)


def request_people(database: Database, has_run: IsInDagster) -> list[PersonRequest]:
    """Runs for people whose seeds changed since the last import; the run_key stays the same until the run starts."""

    def find_work(conn: Connection) -> list[tuple[UUID, dispatches.Dispatch]]:
        people = facebank.people_to_import(conn, PEOPLE_PER_TICK)
        return [(person, dispatches.request(conn, facebank.scope_of(person))) for person in people]

    people = [(person, fresh(database, request, has_run)) for person, request in database.run(find_work)]
    return [PersonRequest(person, request.scope, request.run_key) for person, request in people]


def request_removals(database: Database, has_run: IsInDagster) -> str | None:
    """The run_key of a run that removes deleted photos from the face bank; None when there are none."""

    def find_work(conn: Connection) -> dispatches.Dispatch | None:
        waiting = facebank.removals(conn, 1) and dispatches.is_free(conn, facebank.REMOVALS_SCOPE)
        return dispatches.request(conn, facebank.REMOVALS_SCOPE) if waiting else None

    request = database.run(find_work)
    return None if request is None else fresh(database, request, has_run).run_key


def _request_photos(
    database: Database, scope: str, find: Callable[[Connection, int], list[UUID]], has_run: IsInDagster
) -> PhotosRequest | None:
    def find_work(conn: Connection) -> tuple[Sequence[UUID], dispatches.Dispatch | None]:
        photo_ids = find(conn, PHOTOS_PER_RUN) if dispatches.is_ready(conn, scope) else []
        return photo_ids, dispatches.request(conn, scope) if photo_ids else None

    photo_ids, request = database.run(find_work)
    if request is None:
        return None
    return PhotosRequest(tuple(photo_ids), scope, fresh(database, request, has_run).run_key)


def fresh(database: Database, request: dispatches.Dispatch, has_run: IsInDagster) -> dispatches.Dispatch:
    """The dispatch, or a new one when Dagster no longer has the run that was requested long ago."""
    if not request.is_stale or has_run(request.run_key):
        return request
    return database.run(lambda conn: dispatches.advance(conn, request))


def batches_to_announce(database: Database, is_known: IsInDagster) -> list[str]:
    """Partition keys to add to Dagster; keys that it already has are marked as announced."""

    def read(conn: Connection) -> list[str]:
        keys = imports.unannounced_batches(conn, KEYS_PER_TICK)
        known = [key for key in keys if is_known(key)]
        imports.announce_batches(conn, known)
        return [key for key in keys if key not in known]

    return database.run(read)


def batches_missing_from(database: Database, known: Sequence[str]) -> list[str]:
    """Keys that were announced and are missing in Dagster: its storage was replaced."""
    present = set(known)
    return [key for key in database.run(imports.all_batches) if key not in present]


def run_failed(database: Database, run_id: str, scope: str | None, *, was_killed: bool = False) -> int | None:
    """Record a failed run: release its leases, and let its scope be requested again after a backoff.

    The wait stays short after a run whose process was killed, which says little about the scope. Returns how many runs
    of the scope failed in a row, if known.
    """

    def record(conn: Connection) -> int | None:
        ledger.release(conn, run_id)
        return None if scope is None else dispatches.fail(conn, scope, run_id, was_killed=was_killed)

    return database.run(record)


def unpark(database: Database, scopes: Sequence[str] = ()) -> list[str]:
    """Request runs of these parked scopes again, or of all; returns them. Raises NotFoundError for one not parked."""

    def lift(conn: Connection) -> list[str]:
        parked = dispatches.parked(conn)
        for scope in scopes:
            if scope not in parked:
                raise NotFoundError(f"no parked scope {scope!r}; parked are: {', '.join(parked) or 'none'}")
        lifted = list(dict.fromkeys(scopes)) or parked
        dispatches.unpark(conn, lifted)
        return lifted

    return database.run(lift)


def batches_with_work(database: Database) -> list[str]:
    """Keys of all batches with open work that no run holds, including work requested by a person."""
    return database.run(lambda conn: ledger.batches_with_work(conn, KEYS_PER_TICK, asked=True))


def require_batches(database: Database, keys: Sequence[str]) -> None:
    """Raise InputError naming the first of these batches that is not in the catalogue."""
    known = database.run(lambda conn: [imports.batch_exists(conn, key) for key in keys])
    for key, exists in zip(keys, known, strict=True):
        if not exists:
            raise InputError(f"no import batch {key!r} in the catalogue")


def hold_batch(database: Database, key: str) -> None:
    """Request no more runs of a batch; a run in progress goes on. Raises InputError for an unknown batch."""
    require_batches(database, [key])
    database.run(lambda conn: dispatches.hold(conn, dispatches.batch_scope(key)))


def release_batch(database: Database, key: str) -> None:
    """Request runs of a batch again that was held, or parked. Raises InputError for an unknown batch."""
    require_batches(database, [key])
    database.run(lambda conn: dispatches.unpark(conn, [dispatches.batch_scope(key)]))
