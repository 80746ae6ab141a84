"""What the sensors ask for: which batches and photos have work that nobody is doing, and under which run_key.

Level-triggered: read from the ledger each time, nothing is remembered. How Dagster is asked is `defs.sensors`'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue import dispatches, facebank, imports, ledger
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import InputError

BATCHES_PER_TICK = 10
KEYS_PER_TICK = 1_000
PHOTOS_PER_RUN = 1_000
PEOPLE_PER_TICK = 10

CROPS_SCOPE = "crops"
RETRIES_SCOPE = "retries"
REMOVALS_SCOPE = facebank.REMOVALS_SCOPE

IsInDagster = Callable[[str], bool]
"""Asked with a run_key: whether a run of that key waits or is under way; with a partition key: whether it is known."""


@dataclass(frozen=True)
class BatchRequest:
    """One batch to run."""

    batch: str
    scope: str
    run_key: str


@dataclass(frozen=True)
class PersonRequest:
    """One person whose seeds the face bank has to hear of."""

    person_id: UUID
    scope: str
    run_key: str


@dataclass(frozen=True)
class PhotosRequest:
    """Scattered photos to run as one."""

    photo_ids: tuple[UUID, ...]
    scope: str
    run_key: str


def request_batches(database: Database, has_run: IsInDagster) -> list[BatchRequest]:
    """Batches that wait for a run; the same keys until their run has begun."""

    def ask(conn: Connection) -> list[dispatches.Dispatch]:
        batches = ledger.batches_with_work(conn, BATCHES_PER_TICK)
        return [dispatches.request(conn, dispatches.batch_scope(batch)) for batch in batches]

    requests = [fresh(database, request, has_run) for request in database.run(ask)]
    return [BatchRequest(request.scope.removeprefix("batch:"), request.scope, request.run_key) for request in requests]


def request_crops(database: Database, has_run: IsInDagster) -> PhotosRequest | None:
    """Photos whose crop changed, all as one run."""
    return _request_photos(database, CROPS_SCOPE, ledger.crops_with_work, has_run)


def request_retries(database: Database, has_run: IsInDagster) -> PhotosRequest | None:
    """Photos whose next attempt is due, and those asked to be done again, all as one run."""
    return _request_photos(database, RETRIES_SCOPE, ledger.retries_due, has_run)


def request_people(database: Database, has_run: IsInDagster) -> list[PersonRequest]:
    """People whose seeds changed since the face bank was told; the same keys until their run has begun."""

    def ask(conn: Connection) -> list[tuple[UUID, dispatches.Dispatch]]:
        people = facebank.people_to_import(conn, PEOPLE_PER_TICK)
        return [(person, dispatches.request(conn, facebank.scope_of(person))) for person in people]

    asked = [(person, fresh(database, request, has_run)) for person, request in database.run(ask)]
    return [PersonRequest(person, request.scope, request.run_key) for person, request in asked]


def request_removals(database: Database, has_run: IsInDagster) -> str | None:
    """The run_key under which the face bank is to forget photos that are gone; None where there are none."""

    def ask(conn: Connection) -> dispatches.Dispatch | None:
        waiting = facebank.removals(conn, 1) and dispatches.is_free(conn, facebank.REMOVALS_SCOPE)
        return dispatches.request(conn, facebank.REMOVALS_SCOPE) if waiting else None

    request = database.run(ask)
    return None if request is None else fresh(database, request, has_run).run_key


def _request_photos(
    database: Database, scope: str, find: Callable[[Connection, int], list[UUID]], has_run: IsInDagster
) -> PhotosRequest | None:
    def ask(conn: Connection) -> tuple[Sequence[UUID], dispatches.Dispatch | None]:
        photo_ids = find(conn, PHOTOS_PER_RUN) if dispatches.is_ready(conn, scope) else []
        return photo_ids, dispatches.request(conn, scope) if photo_ids else None

    photo_ids, request = database.run(ask)
    if request is None:
        return None
    return PhotosRequest(tuple(photo_ids), scope, fresh(database, request, has_run).run_key)


def fresh(database: Database, request: dispatches.Dispatch, has_run: IsInDagster) -> dispatches.Dispatch:
    """The request itself, or a new one where Dagster no longer has the run that it asked for long ago."""
    if not request.is_stale or has_run(request.run_key):
        return request
    return database.run(lambda conn: dispatches.advance(conn, request))


def batches_to_announce(database: Database, is_known: IsInDagster) -> list[str]:
    """Keys that Dagster must be told of; those that it turns out to know are noted."""

    def look(conn: Connection) -> list[str]:
        keys = imports.unannounced_batches(conn, KEYS_PER_TICK)
        known = [key for key in keys if is_known(key)]
        imports.announce_batches(conn, known)
        return [key for key in keys if key not in known]

    return database.run(look)


def batches_missing_from(database: Database, known: Sequence[str]) -> list[str]:
    """Keys that Dagster does not know although it was told: its storage is a new one."""
    there = set(known)
    return [key for key in database.run(imports.all_batches) if key not in there]


def run_failed(database: Database, run_id: str, scope: str | None) -> int | None:
    """A run ended without finishing: give its leases back, and let its scope be asked for again after a backoff.

    Returns how many runs of the scope failed in a row, where it is known.
    """

    def record(conn: Connection) -> int | None:
        ledger.release(conn, run_id)
        return None if scope is None else dispatches.fail(conn, scope, run_id)

    return database.run(record)


def batches_with_work(database: Database) -> list[str]:
    """Keys of all batches with open work that nobody is doing, whoever asked for it."""
    return database.run(lambda conn: ledger.batches_with_work(conn, KEYS_PER_TICK, asked=True))


def require_batches(database: Database, keys: Sequence[str]) -> None:
    """Raise InputError naming the first of these batches that the catalogue does not know."""
    known = database.run(lambda conn: [imports.batch_exists(conn, key) for key in keys])
    for key, exists in zip(keys, known, strict=True):
        if not exists:
            raise InputError(f"no import batch {key!r} in the catalogue")
