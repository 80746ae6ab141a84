"""Face-bank seeds in the catalogue: the flag on a person's link, and the photos that Screenalytics may read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("seeds.sql")


def lock_seed(conn: Connection, person_id: UUID, link_id: UUID) -> bool | None:
    """Whether the link is a seed, locked to the end of the transaction; None when it is no link of this person."""
    row = _queries.lock_link(conn, person_id=person_id, link_id=link_id)
    return row and bool(row["facebank_seed"])


def set_seed(conn: Connection, link_id: UUID, facebank_seed: bool, *, author: str) -> None:
    """Flag or unflag a link that the caller holds locked."""
    _queries.set_seed(conn, link_id=link_id, facebank_seed=facebank_seed, author=author)


def person_exists(conn: Connection, person_id: UUID) -> bool:
    """Whether there is a person of this id."""
    return bool(_queries.person_exists(conn, person_id=person_id))


def served_photos(
    conn: Connection, person_id: UUID, *, seed_only: bool, after: UUID | None, limit: int | None
) -> Sequence[dict[str, Any]]:
    """Photos of the person that are served, ordered by link, after the link `after`."""
    return list(_queries.served_photos(conn, person_id=person_id, seed_only=seed_only, after=after, limit=limit))


def unserved(conn: Connection, person_id: UUID, *, seed_only: bool) -> int:
    """How many photos of the person are linked but not served."""
    return int(_queries.unserved(conn, person_id=person_id, seed_only=seed_only))
