"""Imports in the catalogue: batches, new photos, shows and people, links, and the outcome of every row.

Manifests and folders are read in `pipeline.imports.importing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
    batch_keys = reserve(conn, source, day, lane, len(new))
    added = _queries.add_photos(conn, source=source, urls=new, batch_keys=batch_keys, lane=lane)
    ids = {row["source_url"]: row["id"] for row in added}
    return Added(known | ids, frozenset(ids))


def reserve(conn: Connection, source: str, day: date, lane: Lane, photos: int) -> list[str]:
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
    return ensure_entities(conn, "show", [name])[name]


def ensure_person(conn: Connection, name: str) -> UUID:
    """The person with this full name, in any spelling that looks the same, or slug; created with a slug if missing."""
    return ensure_entities(conn, "person", [name])[name]


def ensure_entities(conn: Connection, kind: EntityKind, names: Sequence[str]) -> dict[str, UUID]:
    """The show or person of each of these names, as in `ensure_show`.

    If one is missing, this takes the lock of all names to the end of the transaction, which should end with it.
    """
    # The forms cost the most, for long names 0.1 ms each: they are made before the lock is taken.
    forms = {row["name"]: row["form"] for row in _queries.name_forms(conn, names=list(dict.fromkeys(names)))}
    found = _known_entities(conn, kind, forms)
    missing = {name: form for name, form in forms.items() if name not in found}
    if missing:
        slugs.lock(conn)
        # Names that may be slugs come last: they may mean one of the others.
        for may_be_slug in (False, True):
            group = {name: form for name, form in missing.items() if slugs.is_slug(name) == may_be_slug}
            found |= _add_entities(conn, kind, group)
    return found


def _known_entities(conn: Connection, kind: EntityKind, forms: Mapping[str, str]) -> dict[str, UUID]:
    rows = _queries.find_entities(conn, entity_kind=kind, names=list(forms), forms=list(forms.values()))
    return {row["name"]: row["id"] for row in rows}


def _add_entities(conn: Connection, kind: EntityKind, forms: Mapping[str, str]) -> dict[str, UUID]:
    """The entity of each name; created for the first name of each form that is missing. The caller holds the lock."""
    found = _known_entities(conn, kind, forms) if forms else {}
    first: dict[str, str] = {}
    for name, form in forms.items():
        if name not in found:
            first.setdefault(form, name)
    if first:
        add = {"show": _queries.add_shows, "person": _queries.add_people}[kind]
        added = {row["name"]: row["id"] for row in add(conn, names=list(first.values()))}
        slugs.give_new(conn, kind, {added[name]: name for name in first.values()})
        found |= {name: added[first[form]] for name, form in forms.items() if name not in found}
    return found


def ensure_season(conn: Connection, show_id: UUID, number: int) -> UUID:
    """The season of a show with this number; created if missing."""
    return ensure_seasons(conn, [(show_id, number)])[show_id, number]


def ensure_seasons(conn: Connection, wanted: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], UUID]:
    """The season of each show and number; created if missing."""
    parameters = {"show_ids": [show_id for show_id, _ in wanted], "numbers": [number for _, number in wanted]}
    found: dict[tuple[UUID, int], UUID] = {}
    while len(found) < len(set(wanted)):  # the second statement sees what another import has added meanwhile
        rows = _queries.ensure_seasons(conn, **parameters)
        found = {(row["show_id"], row["number"]): row["id"] for row in rows}
    return found


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
