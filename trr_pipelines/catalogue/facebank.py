"""What the face bank has to hear of: changed seeds, photos that are gone, and who is in whose cast.

Triggers note the first two (migration 0007); what the face bank makes of it is Screenalytics'.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.ledger import MAX_RUN_FAILURES

_queries = load_queries("facebank.sql")

REMOVALS_SCOPE = "facebank-removals"


def scope_of(person_id: UUID) -> str:
    """The scope of a person's imports; `people_to_import` looks for it."""
    return f"facebank:{person_id}"


def people_to_import(conn: Connection, limit: int) -> list[UUID]:
    """People whose seeds changed and whom no run holds, those who wait longest first."""
    return [row["person_id"] for row in _queries.people_to_import(conn, limit=limit, max_failures=MAX_RUN_FAILURES)]


def seed_version(conn: Connection, person_id: UUID) -> int:
    """How often a person's seeds have changed."""
    return int(_queries.seed_version(conn, person_id=person_id) or 0)


def acknowledge(conn: Connection, person_id: UUID, version: int) -> None:
    """The face bank has followed up to this version; later changes stay open."""
    _queries.acknowledge(conn, person_id=person_id, version=version)


def removals(conn: Connection, limit: int) -> list[UUID]:
    """Photos that the face bank has yet to forget, those that are gone longest first."""
    return [row["media_asset_id"] for row in _queries.removals(conn, limit=limit)]


def forget_removals(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """The face bank has forgotten these."""
    _queries.forget_removals(conn, photo_ids=list(photo_ids))


def shows_of(conn: Connection, person_id: UUID) -> list[UUID]:
    """Shows whose cast a person belongs to: somebody in a photo of the show or of one of its seasons."""
    return [row["show_id"] for row in _queries.shows_of(conn, person_id=person_id)]


def all_shows(conn: Connection) -> list[UUID]:
    """Every show."""
    return [row["show_id"] for row in _queries.all_shows(conn)]


def show_by_slug(conn: Connection, slug: str) -> UUID | None:
    """The show that has, or once had, this slug."""
    found: UUID | None = _queries.show_by_slug(conn, slug=slug)
    return found


def cast_of(conn: Connection, show_ids: Sequence[UUID]) -> list[dict[str, Any]]:
    """The people of these shows: `id`, `full_name`, and `shows`, the slugs of all shows that each is in."""
    return list(_queries.cast_of(conn, show_ids=list(show_ids)))
