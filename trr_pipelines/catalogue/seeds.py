"""Face-bank seeds in the catalogue: the flag on a person's link, and the photos that Screenalytics may read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("seeds.sql")


@dataclass(frozen=True)
class ServedPhoto:
    """A served photo of a person; sides in pixels."""

    link_id: UUID
    media_asset_id: UUID
    hosted_key: str
    hosted_url: str
    is_primary: bool
    position: int
    width: int
    height: int
    kind: str
    sha256: str
    source: str
    facebank_seed: bool
    caption: str
    updated_at: datetime

    @property
    def rank(self) -> Rank:
        """Where this photo stands in the order of the person's photos."""
        return Rank(self.is_primary, self.position, self.link_id)


class Rank(NamedTuple):
    """The sort key of a person's photos: primary ones first, then by position, then by link."""

    is_primary: bool
    position: int
    link_id: UUID


class PhotoCounts(NamedTuple):
    """Photos of a person that are served, and that are linked but not served."""

    served: int
    unserved: int


def lock_seed(conn: Connection, person_id: UUID, link_id: UUID) -> bool | None:
    """Whether the link is a seed, locked to the end of the transaction; None when the person has no such link."""
    is_seed: bool | None = _queries.lock_link(conn, person_id=person_id, link_id=link_id)
    return is_seed


def set_seed(conn: Connection, link_id: UUID, facebank_seed: bool, *, author: str) -> None:
    """Flag or unflag a link that the caller has locked."""
    _queries.set_seed(conn, link_id=link_id, facebank_seed=facebank_seed, author=author)


def served_photos(
    conn: Connection, person_id: UUID, *, seed_only: bool, after: Rank | None, offset: int, limit: int
) -> list[ServedPhoto]:
    """Served photos of the person, best first: those after `after`, or from `offset` on."""
    rows = _queries.served_photos(
        conn,
        person_id=person_id,
        seed_only=seed_only,
        after_primary=after and after.is_primary,
        after_position=after and after.position,
        after_link=after and after.link_id,
        offset=offset,
        limit=limit,
    )
    return rows_as(ServedPhoto, rows)


def count_photos(conn: Connection, person_id: UUID, *, seed_only: bool) -> PhotoCounts:
    """The numbers of served and unserved photos of the person."""
    return PhotoCounts(**_queries.count_photos(conn, person_id=person_id, seed_only=seed_only))
