"""The removal list: unserved objects are listed, checked once more, then deleted.

Objects are deleted in `pipeline.upkeep.retention`; the queries and the locks against renders and edits are here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as

_queries = load_queries("retention.sql")


@dataclass(frozen=True)
class Listed:
    """An object on the removal list; `why` is superseded (a crop), retired (an older recipe or original) or orphan."""

    hosted_key: str
    why: str
    bytes: int
    listed_at: datetime


@dataclass(frozen=True)
class Total:
    """Objects on the removal list for one reason, and their bytes."""

    objects: int
    bytes: int


def list_unserved(conn: Connection, bucket: str, grace_seconds: float) -> None:
    """List objects that were not served for the grace period; unlist those that are in use again."""
    _queries.unlist_in_use(conn, bucket=bucket)
    _queries.list_superseded(conn, bucket=bucket, grace_seconds=grace_seconds)
    _queries.list_retired(conn, bucket=bucket, grace_seconds=grace_seconds)


def list_orphans(conn: Connection, bucket: str, objects: Sequence[tuple[str, int]]) -> int:
    """List those of the given objects (key, bytes) that have no row; returns the number of new entries."""
    rows = json.dumps([{"hosted_key": key, "bytes": size} for key, size in objects])
    return int(_queries.list_orphans(conn, bucket=bucket, objects=rows))


def unlist(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> None:
    """Take objects off the list; waits while retention is deleting them."""
    _queries.unlist(conn, bucket=bucket, hosted_keys=list(hosted_keys))


def unlist_all(conn: Connection, bucket: str) -> int:
    """Empty the list; returns the number of entries removed."""
    return int(_queries.unlist_all(conn, bucket=bucket))


def listed(conn: Connection, bucket: str) -> list[Listed]:
    """The whole list, oldest first."""
    return rows_as(Listed, _queries.listed(conn, bucket=bucket))


def listed_totals(conn: Connection, bucket: str) -> dict[str, Total]:
    """Objects and bytes on the list, by reason."""
    return {row["why"]: Total(row["objects"], row["bytes"]) for row in _queries.listed_totals(conn, bucket=bucket)}


def referenced(conn: Connection, bucket: str) -> list[str]:
    """Keys of listed objects that are in use: they were listed by mistake, or are in use again."""
    return [row["hosted_key"] for row in _queries.referenced(conn, bucket=bucket)]


def revive(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> int:
    """Protect objects that are about to be stored, or relied on, from retention; returns how many were retired.

    Waits while retention is deleting one of them; the caller then finds no object, and stores it again.
    """
    retired: int = _queries.adopt_retired_objects(conn, bucket=bucket, hosted_keys=list(hosted_keys))
    _queries.unlist(conn, bucket=bucket, hosted_keys=list(hosted_keys))
    return retired


@dataclass(frozen=True)
class Overtaken:
    """What a photo needs of its objects: its original, and the signatures of the crops that are wanted or served.

    `is_proposing`: a run renders a crop now that it chooses itself.
    """

    sha256: str | None
    crops: list[str]
    is_proposing: bool


def lock_overtaken(conn: Connection, photo_id: UUID) -> Overtaken | None:
    """What the photo needs now; no run claims it until the transaction ends. None for a photo that is gone."""
    return row_as(Overtaken, _queries.lock_overtaken(conn, photo_id=photo_id))


def without_rows(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> list[str]:
    """Those of these objects that no row refers to."""
    keys = list(hosted_keys)
    referenced = {row["hosted_key"] for row in _queries.still_referenced(conn, bucket=bucket, hosted_keys=keys)}
    return [key for key in keys if key not in referenced]


def awaiting_deletion(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> set[str]:
    """Those of these objects without rows that are listed for deletion, or belong to a takedown under way."""
    rows = _queries.awaiting_deletion(conn, bucket=bucket, hosted_keys=list(hosted_keys))
    return {row["hosted_key"] for row in rows}


@dataclass(frozen=True)
class Chunk:
    """A part of the list: keys and bytes that may be deleted, keys still referenced, and the last key checked."""

    removable: dict[str, int]
    refused: tuple[str, ...]
    last_key: str


def drop_rows(conn: Connection, bucket: str, *, undo_seconds: float, after: str, limit: int) -> Chunk | None:
    """Delete the rows of the next chunk of listed objects; None at the end of the list.

    Checked again inside this transaction: objects in use are refused, and taken off the list.
    """
    rows = _due(conn, bucket, ["superseded", "retired"], undo_seconds, 0.0, after, limit)
    if not rows:
        return None
    superseded = [key for key, (why, _) in rows.items() if why == "superseded"]
    retired = [key for key, (why, _) in rows.items() if why == "retired"]
    list(_queries.drop_superseded_rows(conn, hosted_keys=superseded))
    list(_queries.drop_retired_rows(conn, bucket=bucket, hosted_keys=retired))
    chunk = _without_referenced(conn, bucket, rows)
    _queries.mark_dropped(conn, bucket=bucket, hosted_keys=list(chunk.removable))
    unlist(conn, bucket, chunk.refused)
    return chunk


def lock_removable(conn: Connection, bucket: str, *, orphan_seconds: float, after: str, limit: int) -> Chunk | None:
    """Lock the next chunk of listed objects without rows; None at the end of the list.

    The caller deletes the objects and unlists the chunk in this transaction.
    """
    rows = _due(conn, bucket, ["orphan", "dropped"], 0.0, orphan_seconds, after, limit)
    return _without_referenced(conn, bucket, rows) if rows else None


def _due(
    conn: Connection,
    bucket: str,
    whys: list[str],
    undo_seconds: float,
    orphan_seconds: float,
    after: str,
    limit: int,
) -> dict[str, tuple[str, int]]:
    """Reason and bytes of the next listed objects that are due, by key, locked."""
    rows = _queries.lock_due(
        conn,
        bucket=bucket,
        whys=whys,
        undo_seconds=undo_seconds,
        orphan_seconds=orphan_seconds,
        after=after,
        limit=limit,
    )
    return {row["hosted_key"]: (row["why"], row["bytes"]) for row in rows}


def _without_referenced(conn: Connection, bucket: str, rows: dict[str, tuple[str, int]]) -> Chunk:
    still_referenced = _queries.still_referenced(conn, bucket=bucket, hosted_keys=list(rows))
    referenced = {row["hosted_key"] for row in still_referenced}
    removable = {key: size for key, (_, size) in rows.items() if key not in referenced}
    return Chunk(removable, tuple(sorted(referenced)), max(rows))
