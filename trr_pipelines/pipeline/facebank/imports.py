"""The pipeline's side of the face bank: imports begin and end, what is gone is handed over, casts are told.

Screenalytics reaches the backend over HTTP only, and is not imported here: whoever calls brings it along.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import dispatches, facebank, seeds
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.errors import NotFoundError

REMOVALS_AT_ONCE = 1_000


def begin_import(database: Database, person_id: UUID, run_id: str) -> int:
    """Hold the person, so that no second run is asked for; returns the version of the seeds to acknowledge.

    It is read before the backend is asked: what changes after that stays open. Raises NotFoundError.
    """

    def begin(conn: Connection) -> int:
        if not seeds.person_exists(conn, person_id):
            raise NotFoundError(f"no person {person_id}")
        dispatches.claim(conn, facebank.scope_of(person_id), run_id)
        return facebank.seed_version(conn, person_id)

    return database.run(begin)


def end_import(database: Database, person_id: UUID, version: int, run_id: str) -> None:
    """The face bank has followed up to `version`; let go of the person."""

    def end(conn: Connection) -> None:
        facebank.acknowledge(conn, person_id, version)
        dispatches.succeed(conn, facebank.scope_of(person_id), run_id)

    database.run(end)


def hand_over_removals(
    database: Database, remove: Callable[[Sequence[UUID]], int], *, run_id: str | None = None
) -> tuple[int, int]:
    """Have photos that are gone from the catalogue removed from the face bank as well.

    `remove` takes their ids and returns the rows removed; only what it did is crossed off. Returns photos and rows.
    """
    if run_id is not None:
        database.run(lambda conn: dispatches.claim(conn, facebank.REMOVALS_SCOPE, run_id))
    photos = rows = 0
    while gone := database.run(lambda conn: facebank.removals(conn, REMOVALS_AT_ONCE)):
        rows += remove(gone)
        photos += len(gone)
        _cross_off(database, gone)
    if run_id is not None:
        database.run(lambda conn: dispatches.succeed(conn, facebank.REMOVALS_SCOPE, run_id))
    return photos, rows


def _cross_off(database: Database, photo_ids: Sequence[UUID]) -> None:
    database.run(lambda conn: facebank.forget_removals(conn, photo_ids))


def cast_around(database: Database, person_id: UUID) -> list[dict[str, Any]]:
    """The casts of all shows that a person is in: `{"id", "full_name", "shows"}` each."""
    return database.read(lambda conn: facebank.cast_of(conn, facebank.shows_of(conn, person_id)))


def cast_of_shows(database: Database, slug: str | None) -> list[dict[str, Any]]:
    """The cast of one show by its slug, or of all shows. Raises NotFoundError for a slug that nobody has."""

    def find(conn: Connection) -> list[dict[str, Any]]:
        if slug is None:
            return facebank.cast_of(conn, facebank.all_shows(conn))
        show = facebank.show_by_slug(conn, slug)
        if show is None:
            raise NotFoundError(f"no show has the slug {slug!r}")
        return facebank.cast_of(conn, [show])

    return database.read(find)
