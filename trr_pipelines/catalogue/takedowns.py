"""Takedowns in the catalogue: rows of photos are deleted, and hashes keep imports from adding them again.

Objects are deleted in `pipeline.takedown`; what it still has to delete is noted here, in the transaction that deletes
the rows. No name and no URL is kept: ids, SHA-256, and keys of objects, which are made of both. Only keys and URLs of
objects of another program are kept, for 30 days: that program, or a further takedown, may delete them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from trr_pipelines.catalogue import imports, photos
from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

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


@dataclass(frozen=True, order=True)
class ExternalObject:
    """An object of another program: its bucket and key as that program has them, and its URL, or an empty one."""

    bucket: str
    key: str
    url: str


@dataclass(frozen=True)
class TakedownExtent:
    """Photos to take down, and the bytes of their objects: by photo and key, and of external originals by object."""

    photos: tuple[TakenDownPhoto, ...]
    objects: dict[UUID, dict[str, int]]
    external: dict[UUID, dict[ExternalObject, int]]


@dataclass(frozen=True)
class Remains:
    """What a takedown has to delete from the store: these objects, and all under the prefixes of photo and batch.

    `batch_key` is None for takedowns of earlier versions, which did not record it. `external_objects` (of the fields of
    `ExternalObject`) stay unless `deletes_external`.
    """

    media_asset_id: UUID
    batch_key: str | None
    hosted_keys: list[str]
    taken_down_at: datetime
    external_objects: list[dict[str, str]]
    deletes_external: bool

    @property
    def external(self) -> list[ExternalObject]:
        return sorted(ExternalObject(**one) for one in self.external_objects)


@dataclass(frozen=True)
class EventTraces:
    """What Dagster's events may hold of a photo: its id, the keys of its objects, pictures of its batch and people."""

    media_asset_id: UUID
    batch_key: str | None
    person_ids: list[UUID]
    hosted_keys: list[str]
    external_objects: list[dict[str, str]]


@dataclass(frozen=True)
class RecordedTakedown:
    """A takedown as the store records it."""

    media_asset_id: UUID
    batch_key: str | None
    person_ids: list[UUID]


@dataclass(frozen=True)
class Fingerprint:
    """SHA-256 of bytes (kind content) or of a source's URL (kind address) that no import may bring back."""

    kind: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """Takedowns and fingerprints, as the store records them."""

    takedowns: list[RecordedTakedown]
    fingerprints: list[Fingerprint]

    def __bool__(self) -> bool:
        return bool(self.takedowns or self.fingerprints)


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
    objects: dict[UUID, dict[str, int]] = {}
    for row in _queries.objects(conn, bucket=bucket, photo_ids=ids):
        objects.setdefault(row["media_asset_id"], {})[row["hosted_key"]] = row["bytes"]
    external: dict[UUID, dict[ExternalObject, int]] = {}
    for row in _queries.external_objects(conn, photo_ids=ids):
        one = ExternalObject(row["hosted_bucket"], row["hosted_key"], row["hosted_url"])
        external.setdefault(row["media_asset_id"], {})[one] = row["bytes"]
    return TakedownExtent(tuple(taken_down), objects, external)


def remove(conn: Connection, bucket: str, extent: TakedownExtent, *, deletes_external: bool) -> None:
    """Delete every row of locked photos, keep their hashes, and note everything that is left to delete elsewhere.

    External originals are to be deleted only with `deletes_external`.
    """
    ids = [photo.id for photo in extent.photos]
    noted = [
        {
            "id": str(id_),
            "hosted_keys": list(extent.objects.get(id_, ())),
            "external_objects": [asdict(one) for one in extent.external.get(id_, ())],
        }
        for id_ in ids
    ]
    _queries.note_takedowns(conn, bucket=bucket, photos=json.dumps(noted), deletes_external=deletes_external)
    _queries.forget_addresses(conn, photo_ids=ids)
    forget_contents(conn, [row["sha256"] for row in _queries.contents(conn, photo_ids=ids)])
    _queries.scrub_items(conn, photo_ids=ids, detail=TAKEN_DOWN)
    _queries.remove_retired(conn, photo_ids=ids)
    _queries.remove_photos(conn, photo_ids=ids)


def unfinished(
    conn: Connection, bucket: str, photo_ids: Sequence[UUID] | None = None, *, limit: int | None = None
) -> list[UUID]:
    """Photos that were taken down and have objects left, the oldest takedown first; of these photos, or of all."""
    ids = None if photo_ids is None else list(photo_ids)
    return [row["media_asset_id"] for row in _queries.unfinished(conn, bucket=bucket, photo_ids=ids, limit=limit)]


def due(conn: Connection, bucket: str, limit: int) -> list[UUID]:
    """Takedowns for the daemon: those with objects left, and those to look at once more after ten minutes.

    A render that began before a takedown, and was killed after it, may have stored objects that no run deletes.
    """
    return [row["media_asset_id"] for row in _queries.due(conn, bucket=bucket, limit=limit)]


def remains(conn: Connection, photo_ids: Sequence[UUID]) -> list[Remains]:
    """What these takedowns have, or had, to delete; unknown photos are left out."""
    return rows_as(Remains, _queries.taken_down(conn, photo_ids=list(photo_ids)))


def taken_down_of_person(conn: Connection, person_id: UUID) -> list[UUID]:
    """Photos of a person that were taken down, with anything left to delete or to purge."""
    return [row["media_asset_id"] for row in _queries.taken_down_of_person(conn, person_id=person_id)]


def add_keys(conn: Connection, photo_ids: Sequence[UUID], hosted_keys: Sequence[str], batch: str | None = None) -> None:
    """Note further objects of these takedowns, or of those among them whose photos were of one batch."""
    if hosted_keys:
        _queries.add_keys(conn, photo_ids=list(photo_ids), batch_key=batch, hosted_keys=list(hosted_keys))


def add_external(conn: Connection, photo_id: UUID, objects: Sequence[ExternalObject]) -> None:
    """Note objects of another program that were found among those of this photo."""
    _queries.add_external(conn, photo_id=photo_id, objects=json.dumps([asdict(one) for one in objects]))


def ask_to_delete_external(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """Reopen takedowns that have left objects to another program: they are to delete them now."""
    _queries.ask_to_delete_external(conn, photo_ids=list(photo_ids))


def objects_are_gone(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """Record that the store has nothing left of these photos."""
    _queries.objects_are_gone(conn, photo_ids=list(photo_ids))


def due_events(conn: Connection, limit: int) -> list[EventTraces]:
    """Takedowns whose traces in Dagster's events are to be removed, the oldest first."""
    return rows_as(EventTraces, _queries.due_events(conn, limit=limit))


def events_are_gone(conn: Connection, photo_ids: Sequence[UUID]) -> None:
    """Record that Dagster's events have nothing left of these photos."""
    _queries.events_are_gone(conn, photo_ids=list(photo_ids))


def forget_keys(conn: Connection, days: int) -> None:
    """Forget the objects of finished takedowns that are this old: no cache has them any more."""
    _queries.forget_keys(conn, days=days)


def unrecorded(conn: Connection, limit: int) -> Record:
    """Takedowns and fingerprints that the store has no record of."""
    return Record(
        rows_as(RecordedTakedown, _queries.unrecorded_takedowns(conn, limit=limit)),
        rows_as(Fingerprint, _queries.unrecorded_fingerprints(conn, limit=limit)),
    )


def mark_recorded(conn: Connection, record: Record) -> None:
    """Note that the store has this record."""
    _queries.mark_recorded(
        conn,
        photo_ids=[one.media_asset_id for one in record.takedowns],
        hashes=[one.sha256 for one in record.fingerprints],
    )


def adopt(conn: Connection, record: Record) -> None:
    """Note takedowns that the store has a record of. Rows of their photos must be gone already."""
    _queries.adopt_takedowns(conn, takedowns=_json(record.takedowns))
    _queries.adopt_fingerprints(conn, fingerprints=_json(record.fingerprints))


def photos_of_record(conn: Connection, record: Record) -> list[UUID]:
    """Photos of this catalogue that were taken down according to the record: by id, by bytes, or by source."""
    hashes: dict[str, list[str]] = {"content": [], "address": []}
    for one in record.fingerprints:
        hashes[one.kind].append(one.sha256)
    found = _queries.photos_of_record(
        conn,
        photo_ids=[one.media_asset_id for one in record.takedowns],
        contents=hashes["content"],
        addresses=hashes["address"],
    )
    return [row["id"] for row in found]


def _json(rows: Sequence[RecordedTakedown] | Sequence[Fingerprint]) -> str:
    return json.dumps([asdict(row) for row in rows], default=str)


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
