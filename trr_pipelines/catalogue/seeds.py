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
    hosted_bucket: str
    hosted_key: str
    hosted_url: str
    is_primary: bool
    is_external: bool
    width: int
    height: int
    kind: str
    sha256: str
    source: str
    facebank_seed: bool
    caption: str
    updated_at: datetime
    rank_primary: bool
    rank_position: int


class Place(NamedTuple):
    """A place in a list of a person's photos: the snapshot in which it was begun, when (microseconds since 1970), and
    the sort key of the last photo: primary ones first, then by position, then by link."""

    snapshot: str
    begun: int
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


def served_photos(conn: Connection, person_id: UUID, *, seed_only: bool, offset: int, limit: int) -> list[ServedPhoto]:
    """Served photos of the person from `offset` on, best first."""
    rows = _queries.served_photos(conn, person_id=person_id, seed_only=seed_only, offset=offset, limit=limit)
    return rows_as(ServedPhoto, rows)


def served_photos_after(
    conn: Connection, person_id: UUID, place: Place, *, seed_only: bool, limit: int
) -> list[ServedPhoto]:
    """Served photos of the person after a place, in the order in which the list was begun."""
    rows = _queries.served_photos_after(
        conn,
        person_id=person_id,
        seed_only=seed_only,
        snapshot=place.snapshot,
        begun=place.begun,
        after_primary=place.is_primary,
        after_position=place.position,
        after_link=place.link_id,
        limit=limit,
    )
    return rows_as(ServedPhoto, rows)


def place_of(conn: Connection, photo: ServedPhoto, before: Place | None) -> Place:
    """The place of a photo, in the list that `before` belongs to, or in one that this transaction begins."""
    if before is not None:
        begun: tuple[str, int] = before.snapshot, before.begun
    else:
        row = _queries.snapshot(conn)
        begun = row["snapshot"], row["begun"]
    return Place(*begun, photo.rank_primary, photo.rank_position, photo.link_id)


def count_photos(conn: Connection, person_id: UUID, *, seed_only: bool) -> PhotoCounts:
    """The numbers of served and unserved photos of the person."""
    return PhotoCounts(**_queries.count_photos(conn, person_id=person_id, seed_only=seed_only))
