"""The catalogue's side of face-bank imports: begin and end of an import, deleted photos, casts.

Screenalytics reaches the backend over HTTP only, and is not imported here: callers pass its functions in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict
from uuid import UUID

from trr_pipelines.catalogue import dispatches, entities, facebank, slugs
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.facebank import CastMember
from trr_pipelines.errors import NotFoundError

REMOVALS_PER_CALL = 1_000


class CastEntry(TypedDict):
    """A person, and the slugs of all shows that they are in."""

    id: UUID
    full_name: str
    shows: list[str]


def begin_import(database: Database, person_id: UUID, run_id: str) -> int:
    """Claim the person for a run; returns the version of the seeds to acknowledge.

    The version is read before the run asks the backend: later changes stay open. Raises NotFoundError.
    """

    def begin(conn: Connection) -> int:
        if not entities.exists(conn, "person", person_id):
            raise NotFoundError(f"no person {person_id}")
        dispatches.claim(conn, facebank.scope_of(person_id), run_id)
        return facebank.seed_version(conn, person_id)

    return database.run(begin)


def end_import(database: Database, person_id: UUID, version: int, run_id: str) -> None:
    """Record that the face bank has followed up to `version`, and release the person."""

    def end(conn: Connection) -> None:
        facebank.acknowledge(conn, person_id, version)
        dispatches.succeed(conn, facebank.scope_of(person_id), run_id)

    database.run(end)


def has_removals(database: Database) -> bool:
    """Whether the face bank may have photos that were deleted from the catalogue."""
    return bool(database.run(lambda conn: facebank.removals(conn, 1)))


def hand_over_removals(
    database: Database, remove: Callable[[Sequence[UUID]], int], *, run_id: str | None = None
) -> tuple[int, int]:
    """Delete photos from the face bank that were deleted from the catalogue.

    `remove` deletes photos by id and returns the number of rows; photos are recorded as deleted only after it returns.
    Returns the numbers of photos and rows.
    """
    if run_id is not None:
        database.run(lambda conn: dispatches.claim(conn, facebank.REMOVALS_SCOPE, run_id))
    photos = rows = 0
    while photo_ids := database.run(lambda conn: facebank.removals(conn, REMOVALS_PER_CALL)):
        rows += remove(photo_ids)
        photos += len(photo_ids)
        _forget(database, photo_ids)
    if run_id is not None:
        database.run(lambda conn: dispatches.succeed(conn, facebank.REMOVALS_SCOPE, run_id))
    return photos, rows


def _forget(database: Database, photo_ids: Sequence[UUID]) -> None:
    database.run(lambda conn: facebank.forget_removals(conn, photo_ids))


def cast_around(database: Database, person_id: UUID) -> list[CastEntry]:
    """The casts of all shows of a person."""
    return _entries(database.read(lambda conn: facebank.cast_of(conn, facebank.shows_of(conn, person_id))))


def cast_of_shows(database: Database, slug: str | None) -> list[CastEntry]:
    """The cast of the show with this present or earlier slug, or of all shows. Raises NotFoundError."""

    def find(conn: Connection) -> list[CastMember]:
        if slug is None:
            return facebank.cast_of(conn, facebank.all_shows(conn))
        show = slugs.find(conn, "show", [slug])
        if show is None:
            raise NotFoundError(f"no show has the slug {slug!r}")
        return facebank.cast_of(conn, [show.entity_id])

    return _entries(database.read(find))


def _entries(cast: Sequence[CastMember]) -> list[CastEntry]:
    return [{"id": member.id, "full_name": member.full_name, "shows": member.shows} for member in cast]
