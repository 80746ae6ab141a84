"""Publishing: what is complete here and not yet what readers of the application find, one transaction per photo there.

Level-triggered: `catalogue.application.due` says what is to be published. What the application had before is kept here
before it is replaced, so that everything can be taken back.
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from trr_pipelines.bridge.application import CONNECTIONS, Application, first_line, load_queries
from trr_pipelines.bridge.publication import Json, Publication, kept_before, publication_of, restoration, restored_link
from trr_pipelines.bridge.vocabulary import intent_json
from trr_pipelines.catalogue import application as catalogue
from trr_pipelines.catalogue.application import EditedLink, PublishableAsset
from trr_pipelines.catalogue.database import Connection, Database

logger = logging.getLogger(__name__)

_queries = load_queries("publishing.sql")

PUBLISHING = "publishing"
"""Name of the state that says whether anything is published: false after `trr bridge unpublish`."""

AT_ONCE = 500
EDITS_AT_ONCE = 100


def is_publishing(database: Database) -> bool:
    """Whether the bridge publishes: true until everything was taken back."""
    return database.run(lambda conn: catalogue.state(conn, PUBLISHING)) is not False


def set_publishing(database: Database, value: bool) -> None:
    """Publish from now on, or stop."""
    database.run(lambda conn: catalogue.set_state(conn, PUBLISHING, value))


def publish_due(
    database: Database,
    application: Application,
    *,
    batch: str | None = None,
    asset_ids: Sequence[UUID] | None = None,
    seconds: float | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Counter[str]:
    """Publish every due row, of a batch, of these ids, or of all; counts how each ended.

    `published`; `gone`: the row no longer exists there; `failed`: it could not be written, and is tried again later;
    `withdrawn`: its photo was taken down or removed, and readers find again what was there before. Nothing is published
    after `unpublish`. `seconds` bounds the time.
    """
    ended: Counter[str] = Counter()
    began = time.monotonic()
    if not is_publishing(database):
        return ended
    ended.update(_withdraw(database, application))
    with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="publish") as threads:
        while seconds is None or time.monotonic() - began < seconds:
            limit = AT_ONCE if seconds is None else 50
            due = database.run(lambda conn: catalogue.due(conn, limit, batch=batch, asset_ids=asset_ids))  # noqa: B023
            if not due:
                break
            results = list(threads.map(lambda asset_id: publish_asset(database, application, asset_id), due))
            ended.update(results)
            progress(ended.total())
            if not set(results) - {"waiting"}:  # nothing of these will change in this call
                break
    return ended


def _withdraw(database: Database, application: Application) -> Counter[str]:
    ended: Counter[str] = Counter()
    while page := database.run(lambda conn: catalogue.withdrawn_page(conn, AT_ONCE)):
        for asset_id, origin, before in page:
            application.run(lambda conn: _take_back(conn, asset_id, origin, before, None))  # noqa: B023
            database.run(lambda conn: catalogue.taken_back(conn, asset_id))  # noqa: B023
            ended["withdrawn"] += 1
    return ended


def publish_asset(database: Database, application: Application, asset_id: UUID) -> str:
    """Publish one row; returns how it ended, as in `publish_due`."""
    asset = database.read(lambda conn: catalogue.to_publish(conn, asset_id))
    publication = None if asset is None else publication_of(asset)
    if asset is None or publication is None:
        database.run(lambda conn: catalogue.not_published(conn, asset_id, "its files are not complete"))
        return "waiting"
    try:
        written = application.run(lambda conn: _write(database, conn, asset, publication), retry_seconds=5)
    except (psycopg.Error, PoolTimeout, _UnusableError) as error:
        problem = first_line(error)
        logger.warning("photo %s was not published: %s", asset_id, problem)
        database.run(lambda conn: catalogue.not_published(conn, asset_id, problem))
        return "failed"
    if written is None:
        database.run(lambda conn: catalogue.not_published(conn, asset_id, "the application has no such row any more"))
        return "gone"
    digest, links = written
    sets = {*publication.sets, *publication.row_sets} | (set(asset.published_sets) - publication.dropped)
    database.run(lambda conn: catalogue.published(conn, asset.id, asset.version, digest, sets, links))
    return "published"


class _UnusableError(Exception):
    """A row of the application that cannot hold our keys."""


def _write(
    database: Database, conn: Connection, asset: PublishableAsset, publication: Publication
) -> tuple[str, dict[UUID, str | None]] | None:
    """Write a publication, and return the digests of the written keys; None when the row no longer exists."""
    is_asset = asset.origin == "media_assets"
    locked = (_queries.lock_asset if is_asset else _queries.lock_cast_photo)(conn, asset_id=asset.id)
    if locked is None:
        return None
    metadata = locked["metadata"]
    if not isinstance(metadata, dict):
        raise _UnusableError(f"metadata of {asset.origin} {asset.id} is no JSON object")
    link_ids = [*publication.link_keys, *publication.cleared_links]
    contexts = {row["id"]: row["context"] for row in _queries.lock_links(conn, ids=link_ids)} if link_ids else {}
    for link_id, context in contexts.items():
        if context is not None and not isinstance(context, dict):
            raise _UnusableError(f"context of link {link_id} is no JSON object")
    names = sorted(publication.row_sets)
    rows = [row["row"] for row in _queries.rows_of(conn, asset_id=asset.id, sets=names)] if names else []
    # Read while the row is locked there: another process may have published it since.
    earlier = database.run(lambda own: catalogue.before_of(own, asset.id))
    hosting = _queries.hosting_of(conn, asset_id=asset.id)["hosting"] if publication.hosting else None
    before = kept_before(earlier, publication, metadata, contexts, rows, hosting)
    if before != earlier:
        # In the catalogue first: if this process dies now, what is replaced below is known already.
        database.run(lambda own: catalogue.keep_before(own, asset.id, before))
    if publication.rows or asset.published_sets:
        _write_rows(conn, asset, publication, before)
    if publication.hosting:
        _queries.put_hosting(conn, asset_id=asset.id, hosting=json.dumps(publication.hosting))
    undone = restoration(before, publication.dropped)
    put = _queries.put_photo if is_asset else _queries.put_cast_photo
    digest: str = put(
        conn,
        asset_id=asset.id,
        keys=json.dumps(dict(publication.keys)),
        removed=list(publication.removed),
        sets=json.dumps({**undone.sets, **publication.sets}),
        dropped=undone.dropped,
    )
    return digest, _write_links(conn, publication, before, contexts)


def _write_rows(conn: Connection, asset: PublishableAsset, publication: Publication, before: Json) -> None:
    if asset.origin != "media_assets":
        return
    if publication.rows:
        rows = json.dumps(publication.rows)
        _queries.remove_rows(conn, asset_id=asset.id, rows=rows)
        _queries.remove_rows_of_keys(conn, hosted_keys=[row["hosted_key"] for row in publication.rows])
        _queries.add_rows(conn, asset_id=asset.id, rows=rows)
    if publication.dropped:
        stale = [row["row"] for row in _queries.rows_of(conn, asset_id=asset.id, sets=list(publication.dropped))]
        _queries.remove_rows(conn, asset_id=asset.id, rows=json.dumps(stale))
        earlier = [row for row in before["rows"] if row["crop_signature"] in publication.dropped]
        _queries.restore_rows(conn, rows=json.dumps(earlier))


def _write_links(
    conn: Connection, publication: Publication, before: Json, contexts: dict[UUID, Json | None]
) -> dict[UUID, str | None]:
    digests: dict[UUID, str | None] = {}
    if publication.cleared_links:
        restored = [restored_link(before, link_id) for link_id in publication.cleared_links]
        _queries.restore_links(conn, links=json.dumps(restored))
        digests |= dict.fromkeys(publication.cleared_links)
    links = [
        {"id": str(link_id), "keys": dict(keys), "removed": []}
        for link_id, keys in publication.link_keys.items()
        if link_id in contexts
    ]
    if links:
        digests |= {row["id"]: row["digest"] for row in _queries.put_links(conn, links=json.dumps(links))}
    return digests


def write_back(database: Database, application: Application) -> int:
    """Write crops and seeds that were edited here to the links there, one statement for each; returns their number."""
    written = 0
    while links := database.run(lambda conn: catalogue.edited(conn, EDITS_AT_ONCE)):
        for link in links:
            application.run(lambda conn, link=link: _write_edit(conn, link))  # type: ignore[misc]

            def record(conn: Connection, link: EditedLink = link) -> None:
                catalogue.written_back(conn, link)
                catalogue.want(conn, [link.asset_id])

            database.run(record)
            written += 1
    return written


def _write_edit(conn: Connection, link: EditedLink) -> None:
    _queries.write_back(
        conn,
        link_id=link.id,
        with_crop=link.has_other_crop,
        crop=None if link.crop is None else json.dumps(intent_json(link.crop)),
        with_seed=link.has_other_seed,
        facebank_seed=link.facebank_seed,
    )


def unpublish(
    database: Database, application: Application, progress: Callable[[int], None] = lambda _: None
) -> Counter[str]:
    """Take everything back to what the application had before; counts rows taken back, and those gone there.

    Nothing is published afterwards until `set_publishing`. May be interrupted and repeated.
    """
    set_publishing(database, False)
    ended: Counter[str] = Counter()
    after: UUID | None = None
    while page := database.run(lambda conn: catalogue.published_page(conn, after, AT_ONCE)):  # noqa: B023
        for asset_id, origin, before, hosted_key in page:
            is_there = application.run(
                lambda conn: _take_back(conn, asset_id, origin, before, hosted_key)  # noqa: B023
            )
            database.run(lambda conn: catalogue.taken_back(conn, asset_id))  # noqa: B023
            ended["taken back" if is_there else "gone"] += 1
        after = page[-1][0]
        progress(ended.total())
    return ended


def _take_back(conn: Connection, asset_id: UUID, origin: str, before: Json, hosted_key: str | None) -> bool:
    is_asset = origin == "media_assets"
    if (_queries.lock_asset if is_asset else _queries.lock_cast_photo)(conn, asset_id=asset_id) is None:
        return False
    undone = restoration(before)
    (_queries.restore_photo if is_asset else _queries.restore_cast_photo)(
        conn,
        asset_id=asset_id,
        keys=json.dumps(undone.keys),
        removed=undone.removed,
        sets=json.dumps(undone.sets),
        dropped=undone.dropped,
        variants=json.dumps(before["variants"]),
        had_variants=before["had_variants"],
    )
    if before.get("hosting") and hosted_key is not None:
        _queries.restore_hosting(conn, asset_id=asset_id, hosted_key=hosted_key, hosting=json.dumps(before["hosting"]))
    if is_asset:
        rows = [row["row"] for row in _queries.rows_of(conn, asset_id=asset_id, sets=before["row_sets"])]
        _queries.remove_rows(conn, asset_id=asset_id, rows=json.dumps(rows))
        _queries.restore_rows(conn, rows=json.dumps(before["rows"]))
    link_ids = [UUID(link_id) for link_id in before["links"]]
    if link_ids:
        list(_queries.lock_links(conn, ids=link_ids))
        _queries.restore_links(conn, links=json.dumps([restored_link(before, link_id) for link_id in link_ids]))
    return True
