"""Changes that the face bank must follow: seeds of people, deleted photos, and casts of shows.

Triggers record the first two (migration 0007). The face bank itself is in `screenalytics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES

_queries = load_queries("facebank.sql")

REMOVALS_SCOPE = "facebank-removals"


@dataclass(frozen=True)
class CastMember:
    """A person, and the slugs of all shows that they are in."""

    id: UUID
    full_name: str
    shows: list[str]


def scope_of(person_id: UUID) -> str:
    """The dispatch scope of a person's imports; the query `people_to_import` builds the same."""
    return f"facebank:{person_id}"


def people_to_import(conn: Connection, limit: int) -> list[UUID]:
    """People whose seeds changed and who have no run, the longest waiting first."""
    return [row["person_id"] for row in _queries.people_to_import(conn, limit=limit, max_failures=MAX_RUN_FAILURES)]


def seed_version(conn: Connection, person_id: UUID) -> int:
    """The number of changes of a person's seeds."""
    return int(_queries.seed_version(conn, person_id=person_id) or 0)


def acknowledge(conn: Connection, person_id: UUID, version: int) -> None:
    """Record that the face bank has followed up to this version; later changes stay open."""
    _queries.acknowledge(conn, person_id=person_id, version=version)


def removals(conn: Connection, limit: int) -> list[UUID]:
    """Deleted photos that the face bank still has to delete, the longest waiting first."""
    return [row["media_asset_id"] for row in _queries.removals(conn, limit=limit)]


def forget_removals(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """Record that the face bank has deleted these photos."""
    _queries.forget_removals(conn, photo_ids=list(photo_ids))


def shows_of(conn: Connection, person_id: UUID) -> list[UUID]:
    """Shows with a person in their cast: the person is in a photo of the show or of one of its seasons."""
    return [row["show_id"] for row in _queries.shows_of(conn, person_id=person_id)]


def all_shows(conn: Connection) -> list[UUID]:
    """Every show."""
    return [row["show_id"] for row in _queries.all_shows(conn)]


def cast_of(conn: Connection, show_ids: Sequence[UUID]) -> list[CastMember]:
    """The cast of these shows, by name."""
    return rows_as(CastMember, _queries.cast_of(conn, show_ids=list(show_ids)))
