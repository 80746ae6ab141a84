"""Helpers that import and process photos without Dagster, and snapshots of an archive's state for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.importing import ImportSummary, import_rows
from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import Outputs, render_photos
from trr_pipelines.pipeline.worker import Tally
from trr_pipelines.storage.keys import content_type_of

DAY = date(2026, 2, 12)
EVERYTHING = Outputs()
EDITOR = Author("editor@example.org", "tests")


def query(database: Database, sql: str, *parameters: object) -> list[dict[str, Any]]:
    """Run a statement in its own transaction, retried if the server was just killed; returns its rows.

    Parameters are positional, or one mapping.
    """
    values = parameters[0] if len(parameters) == 1 and isinstance(parameters[0], Mapping) else parameters

    def work(conn: Connection) -> list[dict[str, Any]]:
        cursor = conn.execute(sql, values)  # type: ignore[arg-type]  the tests' own SQL
        return cursor.fetchall() if cursor.description else []

    return database.run(work)


def value(database: Database, sql: str, *parameters: object) -> Any:
    """The single value of the single row."""
    (row,) = query(database, sql, *parameters)
    (only,) = row.values()
    return only


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files by name and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def import_path(archive: Archive, path: Path, *, source: str = "deadline", **defaults: Any) -> ImportSummary:
    """Import a folder or manifest on a fixed day."""
    return import_rows(archive.database, read_rows(path, Defaults(source, **defaults)), day=DAY)


def import_files(archive: Archive, folder: Path, files: Mapping[str, bytes], **defaults: Any) -> str:
    """Write files and import their folder; returns their batch."""
    (batch,) = import_path(archive, write_files(folder, files), **defaults).batches
    return batch


@dataclass(frozen=True)
class Ran:
    """The results of both stages of a run."""

    originals: Tally
    derivatives: Tally


def run(
    archive: Archive, batch: str, run_id: str = "run-1", outputs: Outputs = EVERYTHING, pool: RenderPool | None = None
) -> Ran:
    """Process a batch as a Dagster run does, without Dagster."""
    scope = Scope(batch=batch)
    return Ran(mirror_originals(archive, scope, run_id), render_photos(archive, scope, run_id, outputs, pool=pool))


def photo_ids(archive: Archive) -> dict[str, UUID]:
    """Photo ids by source file name."""
    rows = query(archive.database, "select id, source_url from core.media_assets order by source_url")
    return {row["source_url"].rpartition("/")[2]: row["id"] for row in rows}


def ledger_of(archive: Archive, name: str) -> dict[str, str]:
    """The state or failure reason of each kind of work on a photo."""
    rows = query(
        archive.database,
        "select g.kind, coalesce(g.reason, g.state) as ended from core.variant_generations g"
        " join core.media_assets a on a.id = g.media_asset_id where a.source_url like %s",
        f"%/{name}",
    )
    return {row["kind"]: row["ended"] for row in rows}


def move_to_earlier_keys(archive: Archive) -> None:
    """Move all objects and their rows to the keys that archives had before the present layout."""
    moves = (
        ("media/", "originals/", ("media_assets", "media_asset_versions")),
        ("media-variants/", "crops/", ("media_asset_variants",)),
        ("media-variants/", "variants/", ("media_asset_variants",)),
    )
    for prefix, earlier, tables in moves:
        for item in list(archive.store.list(prefix)):
            if earlier == "crops/" and len(item.key.split("/")[2]) != 64:
                continue
            key = earlier + item.key.removeprefix(prefix)
            type_, data = content_type_of(key), archive.store.get(item.key)
            archive.store.put_if_absent(key, data, content_type=type_)
            archive.store.delete([item.key])
            for table in tables:
                url = (
                    ""
                    if table == "media_asset_versions"
                    else ", hosted_url = replace(hosted_url, %(now)s, %(earlier)s)"
                )
                query(
                    archive.database,
                    f"update core.{table} set hosted_key = %(earlier)s {url} where hosted_key = %(now)s",  # noqa: S608
                    {"earlier": key, "now": item.key},
                )


def final_state(database: Database) -> dict[str, Any]:
    """All rows that must be equal after disturbed and undisturbed runs, without ids, times and attempts.

    Photos are identified by hash, because it is random which of two photos with the same bytes is kept.
    """
    photos = query(
        database,
        "select coalesce(sha256, source_url) as photo, state, reason, bytes, width, height, format, placeholder,"
        " dominant_color from core.media_assets order by 1",
    )
    variants = query(
        database,
        "select a.sha256 as photo, v.variant_key, v.format, v.width, v.height, v.bytes, v.sha256, v.crop_signature,"
        " v.recipe from core.media_asset_variants v join core.media_assets a on a.id = v.media_asset_id"
        " where v.superseded_at is null order by 1, 2, 3",
    )
    ledger = query(
        database,
        "select coalesce(a.sha256, a.source_url) as photo, g.kind, g.state, g.reason, g.wanted, g.served, g.recipe,"
        " g.lease_until is null as is_free"
        " from core.variant_generations g join core.media_assets a on a.id = g.media_asset_id order by 1, 2",
    )
    links = query(
        database,
        "select coalesce(a.sha256, a.source_url) as photo, l.kind, s.title, p.full_name"
        " from core.media_links l join core.media_assets a on a.id = l.media_asset_id"
        " left join core.shows s on s.id = l.show_id left join core.people p on p.id = l.person_id"
        " order by 1, 3, 4, 2",
    )
    return {"photos": photos, "variants": variants, "ledger": ledger, "links": links}


def add_photo(database: Database, person_id: UUID, number: int, *, served: bool, seed: bool) -> UUID:
    """Insert a photo of a person by SQL; returns the link's id."""
    sha = f"{number:064x}"
    key = f"media/{sha[:2]}/{sha}.jpg"
    rows = query(
        database,
        "with batch as (insert into core.import_batches (key, source, day, number)"
        "  values ('20260212-deadline-00001', 'deadline', '2026-02-12', 1) on conflict do nothing),"
        " asset as (insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height,"
        "  format, frames, hosted_bucket, hosted_key, hosted_url)"
        "  values ('deadline', %(url)s, '20260212-deadline-00001', %(state)s, %(sha)s, 1000, 640, 480, 'jpeg', 1,"
        "  'local', %(key)s, %(hosted)s) returning id)"
        " insert into core.media_links (media_asset_id, person_id, kind, position, caption, facebank_seed)"
        " select id, %(person)s, 'photo', %(number)s, %(caption)s, %(seed)s from asset returning id",
        {
            "url": f"https://photos.example/{number}.jpg",
            "state": "mirrored" if served else "pending",
            "sha": sha if served else None,
            "key": key if served else None,
            "hosted": f"http://127.0.0.1:8000/media/{key}" if served else None,
            "person": person_id,
            "number": number,
            "caption": f"photo {number}",
            "seed": seed,
        },
    )
    link_id: UUID = rows[0]["id"]
    return link_id


def add_ended_photos(archive: Archive, source: str, count: int, *, failed: int = 0, pending: int = 0) -> str:
    """Insert photos of a source by SQL: first the failed ones, then pending, then complete; returns their batch."""
    batch = f"20260212-{source}-00001"
    query(
        archive.database,
        "insert into core.import_batches (key, source, day, number) values (%s, %s, '2026-02-12', 1)",
        batch,
        source,
    )
    query(
        archive.database,
        "with photo as (insert into core.media_assets (source, source_url, batch_key, state, reason, sha256, bytes,"
        "  width, height, format, frames, hosted_bucket, hosted_key, hosted_url)"
        "  select %(source)s, 'https://photos.example/' || lpad(n::text, 3, '0'), %(batch)s,"
        "   case when n <= %(failed)s then 'failed' when n <= %(open)s then 'pending' else 'mirrored' end,"
        "   case when n <= %(failed)s then 'truncated' end, sha.hex, 3000000, 4000, 3000, 'jpeg', 1, 'local',"
        "   'media/' || sha.hex || '.jpg', 'http://127.0.0.1:1/' || sha.hex"
        "  from generate_series(1, %(count)s) as n"
        "  cross join lateral (select encode(sha256((%(source)s || n)::bytea), 'hex') as hex) as sha"
        "  returning id, state, reason)"
        " insert into core.variant_generations (media_asset_id, kind, state, reason)"
        " select id, kind, case state when 'mirrored' then 'complete' else state end, reason"
        " from photo, unnest(array['original', 'base']) as kind",
        {"source": source, "batch": batch, "count": count, "failed": failed, "open": failed + pending},
    )
    return batch
