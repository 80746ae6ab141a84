"""Takedowns in the catalogue: rows of photos are deleted, and hashes keep imports from adding them again.

Objects are deleted in `pipeline.takedown`. No name and no URL is kept: ids and SHA-256 only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from trr_pipelines.catalogue import imports, photos
from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("takedowns.sql")

TAKEN_DOWN: Final = "this photo was taken down; it is not imported again"


@dataclass(frozen=True)
class TakenDownPhoto:
    """A photo before its takedown: state, batch, number of links, and the people linked to it."""

    id: UUID
    state: str
    batch: str
    links: int
    person_ids: tuple[UUID, ...]


@dataclass(frozen=True)
class TakedownExtent:
    """Photos to take down, and the bytes of their objects by key."""

    photos: tuple[TakenDownPhoto, ...]
    objects: dict[str, int]


def photos_of_person(conn: Connection, person_id: UUID, limit: int | None) -> list[UUID]:
    """Photos that are linked to a person, by id."""
    return [row["media_asset_id"] for row in _queries.photos_of_person(conn, person_id=person_id, limit=limit)]


def lock_extent(conn: Connection, bucket: str, photo_ids: Sequence[UUID]) -> TakedownExtent:
    """Rows and objects of these photos, locked to the end of the transaction; unknown photos are left out.

    Imports of their sources wait, and so do arrivals of their bytes.
    """
    ids = list(photo_ids)
    for row in list(_queries.sources(conn, photo_ids=ids)):
        imports.lock_source(conn, row["source"])
    rows = list(_queries.lock_photos(conn, photo_ids=ids))
    for row in list(_queries.contents(conn, photo_ids=ids)):
        photos.hold_bytes(conn, row["sha256"])
    links = {row["media_asset_id"]: row for row in _queries.links(conn, photo_ids=ids)}
    taken_down = []
    for row in rows:
        of_photo = links.get(row["id"], {"links": 0, "person_ids": []})
        people = tuple(of_photo["person_ids"])
        taken_down.append(TakenDownPhoto(row["id"], row["state"], row["batch_key"], of_photo["links"], people))
    objects = {row["hosted_key"]: row["bytes"] for row in _queries.objects(conn, bucket=bucket, photo_ids=ids)}
    return TakedownExtent(tuple(taken_down), objects)


def remove(conn: Connection, bucket: str, extent: TakedownExtent) -> None:
    """Delete every row of locked photos, keep their hashes, and put their objects on the removal list."""
    ids = [photo.id for photo in extent.photos]
    _queries.note_takedowns(conn, photo_ids=ids)
    _queries.forget_addresses(conn, photo_ids=ids)
    forget_contents(conn, [row["sha256"] for row in _queries.contents(conn, photo_ids=ids)])
    _queries.scrub_items(conn, photo_ids=ids, detail=TAKEN_DOWN)
    objects = json.dumps([{"hosted_key": key, "bytes": size} for key, size in extent.objects.items()])
    _queries.list_objects(conn, bucket=bucket, objects=objects)
    _queries.remove_retired(conn, photo_ids=ids)
    _queries.remove_photos(conn, photo_ids=ids)


def forget_contents(conn: Connection, hashes: Sequence[str]) -> None:
    """Keep imports from adding these bytes (SHA-256 in hex) again."""
    _queries.forget_contents(conn, contents=list(hashes))


def reject_photo(conn: Connection, photo_id: UUID) -> None:
    """Delete a photo whose bytes were taken down earlier, and keep the hash of its URL as well."""
    _queries.forget_addresses(conn, photo_ids=[photo_id])
    _queries.scrub_items(conn, photo_ids=[photo_id], detail=TAKEN_DOWN)
    _queries.remove_photos(conn, photo_ids=[photo_id])


def is_taken_down(conn: Connection, photo_id: UUID) -> bool:
    """Whether the photo of this id was taken down."""
    return bool(_queries.is_taken_down(conn, photo_id=photo_id))


def content_is_taken_down(conn: Connection, sha256: str) -> bool:
    """Whether these bytes were taken down."""
    return bool(list(_queries.fingerprints(conn, kind="content", hashes=[sha256])))


def content_is_held(conn: Connection, sha256: str) -> bool:
    """Whether any photo has or had these bytes."""
    return bool(_queries.content_is_held(conn, sha256=sha256))


def taken_down_addresses(conn: Connection, addresses: Sequence[str]) -> set[str]:
    """Those of these URLs whose photos were taken down."""
    by_hash = {hashlib.sha256(address.encode()).hexdigest(): address for address in addresses}
    fingerprints = _queries.fingerprints(conn, kind="address", hashes=list(by_hash))
    return {by_hash[row["sha256"]] for row in fingerprints}
