"""Imports in the catalogue: batches, new photos, shows and people, links, and the outcome of every row.

Manifests and folders are read in `pipeline.imports.importing`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue import slugs
from trr_pipelines.catalogue.database import Connection, load_queries
from trr_pipelines.catalogue.slugs import EntityKind
from trr_pipelines.errors import FETCHED_AGAIN, printable

_queries = load_queries("imports.sql")

# Live batches run as soon as they are imported; batches of the other lane wait for a backfill.
Lane = Literal["live", "backfill"]

BATCH_SIZE = 500  # 100 million photos are 200,000 partitions, and a run's fixed 3.5 s stay below a tenth of its time


@dataclass(frozen=True)
class Target:
    """The entity that a photo is linked to: exactly one of the three is set."""

    show_id: UUID | None = None
    season_id: UUID | None = None
    person_id: UUID | None = None


@dataclass(frozen=True)
class NewLink:
    """A photo's place in one gallery."""

    media_asset_id: UUID
    target: Target
    kind: str
    position: int
    caption: str
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Added:
    """The photos of some URLs, and the URLs that are new with this call."""

    ids: dict[str, UUID]
    created: frozenset[str]


@dataclass(frozen=True)
class Item:
    """The outcome of one row: created, known, duplicate or rejected; `detail` says why."""

    line: int
    source: str
    source_url: str
    outcome: str
    detail: str
    media_asset_id: UUID | None


def lock_source(conn: Connection, source: str) -> None:
    """Serialise imports of a source, and takedowns of its photos, to the end of the transaction."""
    _queries.lock_source(conn, source=source)


def known_photos(conn: Connection, source: str, urls: Sequence[str]) -> dict[str, UUID]:
    """The photos of these URLs of a source in earlier imports."""
    rows = _queries.known_photos(conn, source=source, urls=list(urls))
    return {row["source_url"]: row["media_asset_id"] for row in rows}


def add_photos(conn: Connection, source: str, day: date, urls: Sequence[str], lane: Lane = "live") -> Added:
    """Create pending photos in the open batches of the day and lane; known URLs keep their photo.

    Takes the source's lock to the end of the transaction, so that two imports neither create a URL twice nor overfill a
    batch.
    """
    lock_source(conn, source)
    known = known_photos(conn, source, urls)
    new = [url for url in dict.fromkeys(urls) if url not in known]
    batch_keys = _reserve(conn, source, day, lane, len(new))
    added = _queries.add_photos(conn, source=source, urls=new, batch_keys=batch_keys, lane=lane)
    ids = {row["source_url"]: row["id"] for row in added}
    return Added(known | ids, frozenset(ids))


def _reserve(conn: Connection, source: str, day: date, lane: Lane, photos: int) -> list[str]:
    """A batch key for each of `photos` new photos: the open batch first, then new ones."""
    newest = _queries.newest_batch(conn, source=source, day=day)
    key, number, size = (newest["key"], newest["number"], newest["photos"]) if newest else ("", 0, BATCH_SIZE)
    if newest and (newest["lane"] != lane or newest["is_sealed"]):
        size = BATCH_SIZE
    keys: list[str] = []
    while len(keys) < photos:
        if size >= BATCH_SIZE:
            number, size = number + 1, 0
            key = batch_key(day, source, number)
            _queries.add_batch(conn, key=key, source=source, day=day, number=number, lane=lane)
        taken = min(BATCH_SIZE - size, photos - len(keys))
        _queries.fill_batch(conn, key=key, photos=taken)
        keys += [key] * taken
        size += taken
    return keys


def batch_key(day: date, source: str, number: int) -> str:
    """`YYYYMMDD-source-NNNNN`, of `[a-z0-9-]` only: commas, for example, break selections in Dagster's UI."""
    return f"{day:%Y%m%d}-{source}-{number:05d}"


def add_links(conn: Connection, links: Sequence[NewLink]) -> int:
    """Add photos to galleries; existing links stay as they are. Returns the number of new links."""
    rows = [
        {
            "media_asset_id": str(link.media_asset_id),
            **{name: str(value) for name, value in asdict(link.target).items() if value is not None},
            "kind": link.kind,
            "position": link.position,
            "caption": link.caption,
            "tags": list(link.tags),
        }
        for link in links
    ]
    return int(_queries.add_links(conn, links=json.dumps(rows)))


def first_spellings(conn: Connection, tags: Sequence[str]) -> dict[str, str]:
    """For each tag the spelling that was first given; unknown tags become known."""
    names = sorted(set(tags))
    known = _spellings(conn, names)
    missing = [tag for tag in tags if tag not in known]
    if not missing:
        return known
    _queries.add_tags(conn, names=missing)
    return known | _spellings(conn, missing)


def _spellings(conn: Connection, tags: Sequence[str]) -> dict[str, str]:
    return {row["given"]: row["name"] for row in _queries.known_tags(conn, names=list(tags))}


def add_items(conn: Connection, import_id: UUID, items: Sequence[Item]) -> None:
    """Record the outcome of each row of an import."""
    rows = [
        {
            **asdict(item),
            "source_url": printable(item.source_url),
            "detail": printable(item.detail),
            "media_asset_id": item.media_asset_id and str(item.media_asset_id),
        }
        for item in items
    ]
    _queries.add_items(conn, import_id=import_id, items=json.dumps(rows))


def ensure_show(conn: Connection, name: str) -> UUID:
    """The show with this title, in any spelling that looks the same, or slug; created with its own slug if missing."""
    return _ensure_entity(conn, "show", name)


def ensure_person(conn: Connection, name: str) -> UUID:
    """The person with this full name, in any spelling that looks the same, or slug; created with a slug if missing."""
    return _ensure_entity(conn, "person", name)


def ensure_season(conn: Connection, show_id: UUID, number: int) -> UUID:
    """The season of a show with this number; created if missing."""
    season_id: UUID = _queries.ensure_season(conn, show_id=show_id, number=number)
    return season_id


def _ensure_entity(conn: Connection, kind: EntityKind, name: str) -> UUID:
    entity_id: UUID | None = _queries.find_entity(conn, entity_kind=kind, name=name)
    if entity_id is None:
        slugs.lock(conn)
        entity_id = _queries.find_entity(conn, entity_kind=kind, name=name)
    if entity_id is None:
        add = {"show": _queries.add_show, "person": _queries.add_person}[kind]
        created: UUID = add(conn, name=name)
        slugs.give(conn, kind, created, name)
        return created
    return entity_id


def fetch_again(conn: Connection, photo_ids: Sequence[UUID]) -> set[UUID]:
    """Reopen the originals among these whose fetch ended as failed, or whose bytes could not be rendered."""
    rows = _queries.fetch_again(conn, photo_ids=list(photo_ids), of_bytes=sorted(FETCHED_AGAIN))
    return {row["media_asset_id"] for row in rows}


def batches_of(conn: Connection, photo_ids: Sequence[UUID | None]) -> set[str]:
    """The batches of these photos."""
    return {row["batch_key"] for row in _queries.batches_of(conn, photo_ids=list(photo_ids))}


def unannounced_batches(conn: Connection, limit: int) -> list[str]:
    """Keys of batches that are not registered in Dagster yet."""
    return [row["key"] for row in _queries.unannounced_batches(conn, limit=limit)]


def all_batches(conn: Connection) -> list[str]:
    """Keys of every batch."""
    return [row["key"] for row in _queries.all_batches(conn)]


def announce_batches(conn: Connection, keys: Sequence[str]) -> None:
    """Record that these batches are registered in Dagster."""
    _queries.announce_batches(conn, keys=list(keys))


def batch_exists(conn: Connection, key: str) -> bool:
    """Whether a batch has this key."""
    return bool(_queries.batch_exists(conn, key=key))
