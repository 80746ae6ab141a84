"""`trr bridge check`: whether the bridge can work on this database and bucket, with a remedy for each fault.

Nothing is written but one object in the bucket, which is deleted again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal
from uuid import uuid4

import httpx
import psycopg
from psycopg.rows import dict_row

from trr_pipelines.bridge.application import Application, first_line, load_queries
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.errors import ConflictError, MediaError, SetupError, TrrError
from trr_pipelines.imaging.decode import MAX_BYTES, inspect
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.keys import variant_key
from trr_pipelines.storage.store import ObjectStore

_queries = load_queries("checking.sql")

State = Literal["ok", "warning", "error"]

MIN_VERSION = 150_000
ORIGINALS = 10
TIMEOUT = httpx.Timeout(10.0, connect=5.0)
# A WebP of 1 x 1 pixel.
PROBE = bytes.fromhex("524946461a000000574542505650384c0e0000002f00000000071011fd0f4444ff03")

COLUMNS: dict[str, dict[str, str]] = {
    "media_assets": {
        "id": "uuid",
        "media_type": "text",
        "source": "text",
        "source_url": "text",
        "hosted_bucket": "text",
        "hosted_key": "text",
        "hosted_url": "text",
        "hosted_etag": "text",
        "hosted_at": "timestamp with time zone",
        "hosted_bytes": "bigint",
        "metadata": "jsonb",
        "archived_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
    },
    "media_links": {
        "id": "uuid",
        "entity_type": "text",
        "entity_id": "uuid",
        "media_asset_id": "uuid",
        "kind": "text",
        "position": "integer",
        "is_primary": "boolean",
        "context": "jsonb",
        "facebank_seed": "boolean",
        "updated_at": "timestamp with time zone",
    },
    "media_asset_variants": {
        "id": "uuid",
        "media_asset_id": "uuid",
        "variant_key": "text",
        "format": "text",
        "width": "integer",
        "height": "integer",
        "bytes": "bigint",
        "hosted_bucket": "text",
        "hosted_key": "text",
        "hosted_url": "text",
        "crop_mode": "text",
        "crop_x": "numeric",
        "crop_y": "numeric",
        "crop_zoom": "numeric",
        "crop_signature": "text",
    },
    "shows": {"id": "uuid", "name": "text", "slug": "text"},
    "seasons": {"id": "uuid", "show_id": "uuid", "season_number": "integer"},
    "episodes": {"id": "uuid", "season_id": "uuid"},
    "people": {"id": "uuid", "full_name": "text"},
}
"""The columns that the bridge uses, with their types."""
OPTIONAL_COLUMNS: dict[str, dict[str, str]] = {
    "cast_photos": {
        "id": "uuid",
        "hosted_bucket": "text",
        "hosted_key": "text",
        "hosted_url": "text",
        "metadata": "jsonb",
    }
}
"""Columns of a table that need not exist."""

GRANTS: tuple[tuple[str, str | None, str], ...] = (
    *((table, None, "select") for table in COLUMNS),
    ("media_assets", "metadata", "update"),
    ("media_links", "context", "update"),
    ("media_links", "facebank_seed", "update"),
    ("media_asset_variants", None, "insert"),
    ("media_asset_variants", None, "update"),
    ("media_asset_variants", None, "delete"),
)
"""Table, column and privilege of each statement that the bridge uses."""

_COUNTS = {
    "media_assets": _queries.count_assets,
    "media_links": _queries.count_links,
    "media_asset_variants": _queries.count_variants,
    "cast_photos": _queries.count_cast_photos,
}


@dataclass(frozen=True)
class BridgeFinding:
    """One thing that was checked; `remedy` is empty when it is in order."""

    name: str
    state: State
    detail: str
    remedy: str = ""

    def report(self) -> dict[str, Any]:
        """The finding in the types of JSON."""
        return asdict(self)


def check_bridge(application: Application, store: ObjectStore | None) -> list[BridgeFinding]:
    """Check the application's database, and the bucket when a store is given. Never raises for what it checks."""
    findings: list[BridgeFinding] = []
    for examine in (_server, _tables, _grants, _visible_rows, _indexes):
        try:
            findings += application.read(lambda conn: list(examine(conn)))  # noqa: B023
        except psycopg.Error as error:
            findings.append(
                BridgeFinding(examine.__name__.strip("_"), "error", first_line(error), "see the findings above")
            )
        if any(finding.state == "error" for finding in findings):
            return findings
    findings.append(_pooler(application))
    if store is not None:
        findings += _bucket(application, store)
    return findings


def require_usable(application: Application, archive: Archive | None = None) -> None:
    """Raise SetupError for the first error of the application's database: nothing is read or written half.

    With an archive also ConflictError when another catalogue works on its store: two would overwrite each other's
    publications.
    """
    if archive is not None and (problem := epochs.problem_of(archive)):
        raise ConflictError(
            f"{problem}: two bridges would overwrite each other's publications. Stop the other one; to take over its"
            " store: trr gc --adopt"
        )
    for finding in check_bridge(application, None):
        if finding.state == "error":
            raise SetupError(f"{finding.name}: {finding.detail}; {finding.remedy}")


def _server(conn: Connection) -> Iterator[BridgeFinding]:
    server = _queries.server(conn)
    version = f"PostgreSQL {server['version'] // 10_000}, database {server['name']}, role {server['role']}"
    if server["version"] < MIN_VERSION:
        yield BridgeFinding("server", "error", version, "the bridge needs PostgreSQL 15 or newer")
    else:
        yield BridgeFinding("server", "ok", version)


def _tables(conn: Connection) -> Iterator[BridgeFinding]:
    if not _queries.may_use_schema(conn):
        yield BridgeFinding(
            "tables",
            "error",
            "there is no schema core, or this role may not use it",
            "give the URL of the application's database; or, as the schema's owner: grant usage on schema core",
        )
        return
    names = [*COLUMNS, *OPTIONAL_COLUMNS]
    found: dict[str, dict[str, str]] = {}
    for row in _queries.columns(conn, names=names):
        found.setdefault(row["table_name"], {})[row["column_name"]] = row["type"]
    problems = []
    for table, columns in {**COLUMNS, **{t: c for t, c in OPTIONAL_COLUMNS.items() if t in found}}.items():
        if table not in found:
            problems.append(f"no table core.{table}")
            continue
        for column, wanted in columns.items():
            has = found[table].get(column)
            if has is None:
                problems.append(f"core.{table} has no column {column}")
            elif _family(has) != _family(wanted):
                problems.append(f"core.{table}.{column} is {has}, not {wanted}")
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        yield BridgeFinding(
            "tables",
            "error",
            "; ".join(problems[:3]) + more,
            "give the URL of the application's database in TRR_APPLICATION_DB_URL, or update the application's schema",
        )
    else:
        yield BridgeFinding("tables", "ok", f"{len(found)} tables with the columns and types that the bridge uses")


def _family(type_name: str) -> str:
    """Types that hold the same values for us."""
    families = {"integer": "number", "bigint": "number", "smallint": "number", "double precision": "number",
                "numeric": "number", "character varying": "text", "timestamp without time zone": "time",
                "timestamp with time zone": "time"}  # fmt: skip
    return families.get(type_name, type_name)


def _grants(conn: Connection) -> Iterator[BridgeFinding]:
    missing = [
        (table, column, privilege)
        for table, column, privilege in GRANTS
        if not _queries.has_grant(conn, table_name=table, column_name=column, privilege=privilege)
    ]
    if missing:
        statements = "; ".join(
            f"grant {privilege}{f' ({column})' if column else ''} on core.{table} to the role"
            for table, column, privilege in missing
        )
        yield BridgeFinding("grants", "error", f"{len(missing)} of {len(GRANTS)} grants are missing", statements)
    else:
        yield BridgeFinding("grants", "ok", f"all {len(GRANTS)} grants that the bridge's statements need")


def _visible_rows(conn: Connection) -> Iterator[BridgeFinding]:
    """A role that row-level security blinds reads an empty archive, and no error says so."""
    remedy = "connect as the owner of the tables or as a role with BYPASSRLS (Supabase: the role postgres)"
    counts: dict[str, int] = {}
    for table in ("media_assets", "media_links", "media_asset_variants"):
        visibility = _queries.visibility(conn, table_name=table)
        counts[table] = _COUNTS[table](conn)
        count, estimate = counts[table], visibility["estimate"]
        if not visibility["is_filtered"]:
            continue
        # Without an estimate there is nothing to compare with: what this role cannot see cannot be known.
        if estimate < 0 or count < estimate * 0.5 or count == 0:
            known = "was never analysed" if estimate < 0 else f"has about {estimate:,} rows by the planner's estimate"
            yield BridgeFinding(
                "visible rows",
                "error",
                f"row-level security is active for this role: it sees {count:,} rows of core.{table}, which {known}",
                remedy,
            )
            return
    if counts["media_assets"] == 0:
        yield BridgeFinding(
            "visible rows", "error", "core.media_assets is empty", "give the URL of the archive's database"
        )
        return
    yield BridgeFinding(
        "visible rows", "ok", f"{counts['media_assets']:,} rows of media_assets, {counts['media_links']:,} links"
    )


def _indexes(conn: Connection) -> Iterator[BridgeFinding]:
    reading = load_queries("reading.sql")
    missing = [
        table for table in ("media_assets", "media_links") if not reading.has_updated_at_index(conn, table_name=table)
    ]
    if missing:
        statements = "; ".join(f"create index concurrently on core.{table} (updated_at)" for table in missing)
        yield BridgeFinding(
            "indexes",
            "warning",
            f"no index on updated_at of {' and '.join(missing)}: changes are looked for once a minute",
            f"optional, by the owner of the tables: {statements}",
        )
    else:
        yield BridgeFinding("indexes", "ok", "changes are found by an index on updated_at")


def _pooler(application: Application) -> BridgeFinding:
    """Two open connections with the same server process share it by turns: a pooler in transaction mode."""
    try:
        with (
            psycopg.connect(application.url, connect_timeout=5, prepare_threshold=None, row_factory=dict_row) as one,
            psycopg.connect(application.url, connect_timeout=5, prepare_threshold=None, row_factory=dict_row) as two,
        ):
            pids = []
            for conn in (one, two):
                pids.append(_queries.backend_pid(conn))
                conn.commit()
    except psycopg.Error as error:
        return BridgeFinding(
            "pooler", "error", f"no second connection: {first_line(error)}", "the bridge needs two connections"
        )
    if pids[0] == pids[1]:
        return BridgeFinding("pooler", "ok", "a pooler in transaction mode, through which everything works")
    return BridgeFinding("pooler", "ok", "direct, or a pooler in session mode; the bridge takes at most 2 connections")


def _bucket(application: Application, store: ObjectStore) -> Iterator[BridgeFinding]:
    originals = application.read(lambda conn: list(_queries.some_originals(conn, limit=ORIGINALS)))
    yield _originals(store, originals)
    yield from _written_object(store)


def _originals(store: ObjectStore, originals: list[dict[str, Any]]) -> BridgeFinding:
    problems = []
    for row in originals:
        try:
            bucket = row["hosted_bucket"] or store.bucket
            inspect(store.get_external(bucket, row["hosted_key"], max_bytes=MAX_BYTES))
        except MediaError as error:
            problems.append(f"{row['hosted_key']}: {error}")
    if not originals:
        return BridgeFinding("originals", "warning", "no row names an original", "photos can be mirrored: --mirror")
    if not problems:
        return BridgeFinding("originals", "ok", f"{len(originals)} originals read from the bucket")
    state: State = "error" if len(problems) == len(originals) else "warning"
    return BridgeFinding(
        "originals",
        state,
        f"{len(problems)} of {len(originals)} originals cannot be used, first {problems[0]}",
        "give the application's bucket in TRR_MEDIA_STORE, with the credentials of its owner"
        if state == "error"
        else "photos without a usable original are reported by `trr status` and left as they are",
    )


def _written_object(store: ObjectStore) -> Iterator[BridgeFinding]:
    key = variant_key(uuid4(), "0" * 64, "0" * 16, "check", "webp")
    try:
        store.put_if_absent(key, PROBE, content_type="image/webp")
    except TrrError as error:
        yield BridgeFinding("bucket", "error", f"no object can be written: {error}", "grant s3:PutObject on the bucket")
        return
    try:
        yield from _public_object(store, key)
    finally:
        try:
            store.delete([key])
        except TrrError as error:
            yield BridgeFinding("deletion", "warning", f"{key} cannot be deleted: {error}", "grant s3:DeleteObject")


def _public_object(store: ObjectStore, key: str) -> Iterator[BridgeFinding]:
    url = store.public_url(key)
    remedy = "give the public URL of the bucket in TRR_MEDIA_BASE_URL, and make its objects readable there"
    try:
        response = httpx.get(url, timeout=TIMEOUT, trust_env=False)
    except httpx.HTTPError as error:
        yield BridgeFinding("public URL", "error", f"{url} cannot be read: {error}", remedy)
        return
    kind = response.headers.get("content-type", "none")
    if response.status_code != httpx.codes.OK or response.content != PROBE:
        yield BridgeFinding("public URL", "error", f"{url} answers {response.status_code}, type {kind}", remedy)
    elif not kind.startswith("image/webp"):
        yield BridgeFinding("public URL", "warning", f"{url} has the type {kind}, not image/webp", remedy)
    else:
        yield BridgeFinding("public URL", "ok", "an object was written, read through its public URL, and deleted")
