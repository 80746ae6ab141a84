"""Face-bank seeds in the catalogue: the flag on a person's link, and the photos that Screenalytics may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("seeds.sql")


@dataclass(frozen=True)
class ServedPhoto:
    """A served photo of a person; sides in pixels."""

    link_id: UUID
    media_asset_id: UUID
    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    is_external: bool
    sha256: str
    width: int
    height: int
    source: str
    facebank_seed: bool
    caption: str
    updated_at: datetime


def lock_seed(conn: Connection, person_id: UUID, link_id: UUID) -> bool | None:
    """Whether the link is a seed, locked to the end of the transaction; None when the person has no such link."""
    is_seed: bool | None = _queries.lock_link(conn, person_id=person_id, link_id=link_id)
    return is_seed


def set_seed(conn: Connection, link_id: UUID, facebank_seed: bool, *, author: str) -> None:
    """Flag or unflag a link that the caller has locked."""
    _queries.set_seed(conn, link_id=link_id, facebank_seed=facebank_seed, author=author)


def served_photos(
    conn: Connection, person_id: UUID, *, seed_only: bool, after: UUID | None, limit: int | None
) -> list[ServedPhoto]:
    """Served photos of the person, by link, after the link `after`."""
    rows = _queries.served_photos(conn, person_id=person_id, seed_only=seed_only, after=after, limit=limit)
    return rows_as(ServedPhoto, rows)


def unserved(conn: Connection, person_id: UUID, *, seed_only: bool) -> int:
    """The number of linked photos of the person that are not served."""
    return int(_queries.unserved(conn, person_id=person_id, seed_only=seed_only))
