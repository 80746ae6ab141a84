"""Reading the application: its rows become photos and links here under their own ids, and changes are followed.

A sync reads page by page and writes what is new or different; it can be interrupted and repeated. No byte of an
original is read: runs of the batches do that. What people decide there (crops, seeds) is the truth, unless it was
edited here and is not written back yet.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from psycopg.rows import DictRow

from trr_pipelines.bridge.application import Application, load_queries
from trr_pipelines.bridge.rows import asset_row, link_row
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.catalogue import audit, crops, imports, ledger, seeds
from trr_pipelines.catalogue.application import CropIntent
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.imports import BATCH_SIZE, Lane
from trr_pipelines.errors import ConflictError, NotFoundError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive

logger = logging.getLogger(__name__)

_queries = load_queries("reading.sql")

PAGE = 2_000
FOLLOWING = "following"
"""Name of the state that says whether new rows of the application become photos: true after a sync of everything."""
CURSOR = "cursor:"
"""Beginning of the names of states that say up to where the changes of a table were read."""
TABLES = ("media_assets", "media_links")
"""Tables whose changes are followed, by `updated_at`."""
_FIRST = UUID(int=0)
# A transaction there may commit this long after the time that its rows carry.
OVERLAP = timedelta(minutes=2)
# A running `trr up` holds the lock while it looks for changes, for a part of a second every few seconds.
FOLLOW_SECONDS = 20.0
LOCK_POLL_SECONDS = 0.1
AUTHOR = Author("application", "bridge")


@dataclass(frozen=True)
class Selection:
    """Which rows of the application to take: all of them, or those of one source or show, or some of the largest
    galleries, at most `limit`."""

    limit: int | None = None
    source: str | None = None
    show: str | None = None

    @property
    def is_everything(self) -> bool:
        return self.limit is None and self.source is None and self.show is None


@dataclass
class SyncSummary:
    """The result of a sync: rows read, those new or changed, photos made, links made, and the batches of the photos."""

    assets: int = 0
    links: int = 0
    changed: Counter[str] = field(default_factory=Counter)
    photos: int = 0
    shared: int = 0
    new_links: int = 0
    batches: list[str] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """The summary in the types of JSON."""
        return {**asdict(self), "changed": dict(self.changed)}


@contextmanager
def only_bridge(database: Database, wait_seconds: float = 0) -> Iterator[None]:
    """The lock of the bridge for the block. Raises ConflictError when another sync holds it for longer."""
    deadline = time.monotonic() + wait_seconds
    while True:
        with database.transaction() as conn:
            if catalogue.try_lock(conn):
                yield
                return
        if time.monotonic() >= deadline:
            raise ConflictError("another sync of the bridge is under way on this catalogue; wait for it or stop it")
        time.sleep(LOCK_POLL_SECONDS)


def sync(
    archive: Archive,
    application: Application,
    selection: Selection = Selection(),
    *,
    lane: Lane = "backfill",
    mirror: bool = False,
    day: date | None = None,
    progress: Callable[[str, int], None] = lambda _what, _count: None,
) -> SyncSummary:
    """Take the selected rows of the application; photos of the lane `backfill` wait for a backfill.

    After a sync of everything, new rows are followed. `mirror` also takes rows without an original that have a source
    URL. Raises ConflictError while another sync is under way, NotFoundError when nothing is selected.
    """
    database, bucket = archive.database, archive.store.bucket
    with only_bridge(database, FOLLOW_SECONDS):
        began = application.read(_queries.now)
        summary = SyncSummary()
        _take_entities(database, application)
        ids = None if selection.is_everything else selected(application, selection)
        for rows in _asset_pages(application, ids):
            _take_assets(database, bucket, rows, summary, database.run(catalogue.now))
            summary.assets += len(rows)
            progress("photos", summary.assets)
        for links in _link_pages(application, ids):
            _take_links(database, links, summary, database.run(catalogue.now))
            summary.links += len(links)
            progress("links", summary.links)
        place_photos(database, summary, lane=lane, day=day, mirror=mirror)
        progress("placed", summary.photos)
        for table in TABLES:
            if selection.is_everything or _cursor(database, table) is None:
                _set_cursor(database, table, began - OVERLAP, _FIRST)
        if selection.is_everything:
            database.run(lambda conn: catalogue.set_state(conn, FOLLOWING, {"mirror": mirror}))
        return summary


def follow(archive: Archive, application: Application, *, pages: int = 5) -> SyncSummary:
    """Take rows of the application that are new or changed since the last call, at most `pages` pages of each table.

    Rows that were never taken are left alone until a sync of everything has been done once.
    """
    database, bucket = archive.database, archive.store.bucket
    summary = SyncSummary()
    with only_bridge(database):
        following = database.run(lambda conn: catalogue.state(conn, FOLLOWING))
        only_known = following is None

        def take_assets(rows: Sequence[DictRow], seen_at: datetime) -> None:
            _take_assets(database, bucket, rows, summary, seen_at, only_known=only_known)

        def take_links(rows: Sequence[DictRow], seen_at: datetime) -> None:
            _take_entities_of(database, application, rows)
            _take_links(database, rows, summary, seen_at, only_known=only_known)

        _read_changes(database, application, "media_assets", _queries.changed_assets, take_assets, pages)
        _read_changes(database, application, "media_links", _queries.changed_links, take_links, pages)
        mirror = bool((following or {}).get("mirror"))
        place_photos(database, summary, lane="live", mirror=mirror, all_links=False)
    return summary


def _read_changes(
    database: Database,
    application: Application,
    table: str,
    query: Any,
    take: Callable[[Sequence[DictRow], datetime], None],
    pages: int,
) -> None:
    """Take the changes of a table from where the last call ended, and remember where this one ended.

    A transaction there may commit after a later one, with earlier times: when everything was read, the next call begins
    two minutes before this one.
    """
    began = application.read(_queries.now)
    at, after = _cursor(database, table) or (began - OVERLAP, _FIRST)
    for _ in range(pages):
        seen_at = database.run(catalogue.now)
        rows = application.read(lambda conn: list(query(conn, updated_at=at, after=after, limit=PAGE)))  # noqa: B023
        if rows:
            take(rows, seen_at)
        if len(rows) < PAGE:
            at, after = began - OVERLAP, _FIRST
            break
        at, after = rows[-1]["updated_at"], rows[-1]["id"]
    _set_cursor(database, table, at, after)


def _cursor(database: Database, table: str) -> tuple[datetime, UUID] | None:
    kept = database.run(lambda conn: catalogue.state(conn, f"{CURSOR}{table}"))
    return None if kept is None else (datetime.fromisoformat(kept[0]), UUID(kept[1]))


def _set_cursor(database: Database, table: str, at: datetime, after: UUID) -> None:
    kept = [at.isoformat(), str(after)]
    database.run(lambda conn: catalogue.set_state(conn, f"{CURSOR}{table}", kept))


def has_indexes(application: Application) -> bool:
    """Whether changes can be read by an index on `updated_at`, in both tables."""
    return application.read(lambda conn: all(_queries.has_updated_at_index(conn, table_name=name) for name in TABLES))


def forget_deleted(database: Database, application: Application) -> Counter[str]:
    """Remove rows that the application has deleted; counts them by table, and the photos that were removed with them.

    Originals stay where they are; derivatives of removed photos are retired.
    """
    gone: Counter[str] = Counter()
    tables = {"media_links": _queries.present_links, "media_assets": _queries.present}
    if application.read(lambda conn: _queries.has_table(conn, table_name="cast_photos")):
        tables["cast_photos"] = _queries.present_cast_photos
    for table, present in tables.items():
        after: UUID | None = None
        while page := database.run(lambda conn: _known(conn, table, after)):  # noqa: B023
            there = application.read(lambda conn: {row["id"] for row in present(conn, ids=page)})  # noqa: B023
            missing = [key for key in page if key not in there]
            if missing and table == "media_links":
                database.run(lambda conn: _forget_links(conn, missing))  # noqa: B023
            elif missing:
                removed = database.run(lambda conn: _forget_assets(conn, missing))  # noqa: B023
                gone["photos"] += removed
            gone[table] += len(missing)
            after = page[-1]
    return +gone


def _known(conn: Connection, table: str, after: UUID | None) -> list[UUID]:
    return catalogue.known_ids(conn, table, after, PAGE)


def _forget_links(conn: Connection, ids: Sequence[UUID]) -> None:
    catalogue.want_of_links(conn, ids)
    catalogue.forget_links(conn, ids)


def _forget_assets(conn: Connection, ids: Sequence[UUID]) -> int:
    left = catalogue.forget_assets(conn, ids)
    for photo_id in left:
        catalogue.remove_photo(conn, photo_id)
    return len(left)


def selected(application: Application, selection: Selection) -> list[UUID]:
    """The photos of a selection that is not everything. Raises NotFoundError when there are none."""

    def read(conn: Connection) -> list[UUID]:
        if selection.show is not None:
            rows = _queries.assets_of_show(conn, name=selection.show, slug=selection.show)
        elif selection.source is not None:
            rows = _queries.assets_of_source(conn, source=selection.source)
        else:
            rows = _queries.some_assets(conn, limit=selection.limit)
        return [row["id"] for row in rows]

    ids = application.read(read)[: selection.limit]
    if not ids:
        what = f"show {selection.show!r}" if selection.show else f"source {selection.source!r}"
        raise NotFoundError(f"the application has no photos of {what}")
    return ids


def _asset_pages(application: Application, ids: Sequence[UUID] | None) -> Iterator[list[DictRow]]:
    yield from _pages(application, _queries.assets, "ids", ids, origin="media_assets")
    if application.read(lambda conn: _queries.has_table(conn, table_name="cast_photos")) and ids is None:
        yield from _pages(application, _queries.cast_photos, "ids", None, origin="cast_photos")


def _link_pages(application: Application, ids: Sequence[UUID] | None) -> Iterator[list[DictRow]]:
    yield from _pages(application, _queries.links, "asset_ids", ids)


def _pages(
    application: Application, query: Any, name: str, ids: Sequence[UUID] | None, **added: Any
) -> Iterator[list[DictRow]]:
    after: UUID | None = None
    while True:
        parameters = {name: None if ids is None else list(ids), "after": after, "limit": PAGE}
        rows = application.read(lambda conn: list(query(conn, **parameters)))  # noqa: B023
        if rows:
            yield [{**row, **added} for row in rows]
        if len(rows) < PAGE:
            return
        after = rows[-1]["id"]


def _take_entities(database: Database, application: Application) -> None:
    """All shows, people and seasons: a few thousand names."""
    _put_entities(
        database,
        {kind: application.read(lambda conn, q=query: list(q(conn, ids=None))) for kind, query in _entity_queries()},  # type: ignore[misc]
    )


def _take_entities_of(database: Database, application: Application, links: Sequence[DictRow]) -> None:
    """Shows, people and seasons that changed links name; a season brings its show."""
    ids = sorted({row["entity_id"] for row in links if row["entity_id"] is not None})
    if not ids:
        return
    found = {
        kind: application.read(lambda conn, q=query: list(q(conn, ids=ids)))  # type: ignore[misc]
        for kind, query in _entity_queries()
    }
    shows = sorted({row["show_id"] for row in found["seasons"]})
    found["shows"] += application.read(lambda conn: list(_queries.shows(conn, ids=shows)))
    _put_entities(database, found)


def _entity_queries() -> Iterator[tuple[str, Any]]:
    yield "shows", _queries.shows
    yield "people", _queries.people
    yield "seasons", _queries.seasons


def _put_entities(database: Database, found: dict[str, list[DictRow]]) -> None:
    for kind in ("shows", "people"):
        for part in _parts(found[kind], BATCH_SIZE):
            names = {row["id"]: row["name"] for row in part}
            given: dict[str, Any] = {"shows": {}, "people": {}, kind: names}
            database.run(lambda conn: catalogue.take_entities(conn, seasons={}, **given))  # noqa: B023
    for part in _parts(found["seasons"], PAGE):
        seasons = {row["id"]: (row["show_id"], row["season_number"]) for row in part}
        database.run(lambda conn: catalogue.take_entities(conn, {}, {}, seasons))  # noqa: B023


def _take_assets(
    database: Database,
    bucket: str,
    rows: Sequence[DictRow],
    summary: SyncSummary,
    seen_at: datetime,
    *,
    only_known: bool = False,
) -> None:
    """Record rows; reopen what follows from a change, and make rows due that another writer has changed."""

    def work(conn: Connection) -> Counter[str]:
        known = catalogue.known_assets(conn, [row["id"] for row in rows]) if only_known else None
        kept = [row for row in rows if known is None or row["id"] in known]
        taken = catalogue.take_assets(conn, [asset_row(row, bucket) for row in kept])
        changed: Counter[str] = Counter(photos=len(taken))
        for asset in taken:
            if asset.photo_id is None:
                continue
            if asset.has_other_object:
                if catalogue.follow_object(conn, asset):
                    ledger.reopen(conn, asset.photo_id, "original")
                changed["originals"] += 1
            elif asset.has_other_crop:
                catalogue.render_crops(conn, [asset.photo_id])
                changed["crops"] += 1
            catalogue.want(conn, [asset.id])
        digests = {row["id"]: row["keys_digest"] for row in kept}
        changed["overwritten"] = catalogue.note_overwritten(conn, digests, seen_at)
        return changed

    if rows:
        summary.changed += database.run(work)


def _take_links(
    database: Database,
    rows: Sequence[DictRow],
    summary: SyncSummary,
    seen_at: datetime,
    *,
    only_known: bool = False,
) -> None:
    def work(conn: Connection) -> Counter[str]:
        known = catalogue.known_assets(conn, [row["asset_id"] for row in rows]) if only_known else None
        kept = [row for row in rows if known is None or row["asset_id"] in known]
        taken = catalogue.take_links(conn, [link_row(row) for row in kept])
        changed: Counter[str] = Counter(links=len(taken))
        catalogue.put_links(conn, [link.id for link in taken])
        ids = [link.id for link in taken if link.has_other_crop or link.has_other_seed]
        changed += _apply_intents(conn, ids)
        catalogue.want_of_links(conn, [link.id for link in taken if link.has_other_crop])
        digests = {row["id"]: row["keys_digest"] for row in kept}
        changed["overwritten"] = catalogue.note_overwritten(conn, digests, seen_at, links=True)
        return changed

    if rows:
        summary.changed += database.run(work)


def _apply_intents(conn: Connection, link_ids: Sequence[UUID]) -> Counter[str]:
    """Give links here the crop and the seed that they have there."""
    changed: Counter[str] = Counter()
    for intent in catalogue.link_intents(conn, link_ids):
        changed["crops"] += crops.set_link_crop(conn, intent.id, _crop(intent.crop))
        if intent.facebank_seed != intent.own_seed and intent.person_id is not None:
            seeds.set_seed(conn, intent.id, intent.facebank_seed, author=AUTHOR.actor)
            old, new = (
                {"facebank_seed": flag, "person_id": intent.person_id}
                for flag in (intent.own_seed, intent.facebank_seed)
            )
            audit.record(conn, AUTHOR, "facebank_seed", "link", intent.id, old=old, new=new)
            changed["seeds"] += 1
    return changed


def place_photos(
    database: Database,
    summary: SyncSummary,
    *,
    lane: Lane,
    day: date | None = None,
    mirror: bool = False,
    all_links: bool = True,
) -> None:
    """Make photos and links for rows that lack them, in batches, those of the largest galleries first.

    Without `all_links` only links of rows that get their photo here are made, which costs what is new and not what
    exists.
    """
    batch_day = day or datetime.now(UTC).date()
    shared = database.run(catalogue.share_objects)
    waiting: dict[str, list[UUID]] = {}
    for asset_id, source in database.run(lambda conn: catalogue.unplaced(conn, with_mirror=mirror)):
        waiting.setdefault(source, []).append(asset_id)
    batches: set[str] = set()
    placed: list[UUID] = []
    for source, ids in waiting.items():
        for part in _parts(ids, BATCH_SIZE):
            some = database.run(lambda conn: catalogue.place(conn, source, part, batch_day, lane))  # noqa: B023
            batches |= database.run(lambda conn: imports.batches_of(conn, some))  # noqa: B023
            placed += some
    if placed:
        shared += database.run(catalogue.share_objects)
    summary.photos += len(placed)
    summary.shared += len(shared)
    summary.batches = sorted({*summary.batches, *batches})
    summary.new_links += put_missing_links(database, None if all_links else [*placed, *shared])


def put_missing_links(database: Database, asset_ids: Sequence[UUID] | None = None) -> int:
    """Make the links that the catalogue lacks, of these rows or of all; returns their number."""
    put, after = 0, None
    while page := database.run(lambda conn: catalogue.links_to_put(conn, asset_ids, after, PAGE)):  # noqa: B023
        put += database.run(lambda conn: catalogue.put_links(conn, page))
        after = page[-1]
    return put


def _crop(intent: CropIntent | None) -> Crop | None:
    return None if intent is None else Crop(intent.mode, intent.x, intent.y, intent.zoom)  # type: ignore[arg-type]


def _parts(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while part := list(islice(iterator, size)):
        yield part
