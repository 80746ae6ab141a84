"""What may be removed: objects that no row serves any more, listed first, looked at again before they go.

Deleting objects is `pipeline.retention`'s; here is which, and the locks that keep renders and edits away meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("retention.sql")


@dataclass(frozen=True)
class Listed:
    """An object on the removal list: why is superseded (a crop), retired (an older recipe or original) or orphan."""

    hosted_key: str
    why: str
    bytes: int
    listed_at: datetime


@dataclass(frozen=True)
class Total:
    """How much of the removal list is there for one reason."""

    objects: int
    bytes: int


def list_unserved(conn: Connection, bucket: str, grace_seconds: float) -> None:
    """List what has not been served for the grace period; take off what came back into use."""
    _queries.unlist_wanted(conn, bucket=bucket)
    _queries.list_superseded(conn, bucket=bucket, grace_seconds=grace_seconds)
    _queries.list_retired(conn, bucket=bucket, grace_seconds=grace_seconds)


def list_orphans(conn: Connection, bucket: str, objects: Sequence[tuple[str, int]]) -> int:
    """List those of the given objects (key, bytes) that no row stands for; returns how many were new."""
    rows = json.dumps([{"hosted_key": key, "bytes": size} for key, size in objects])
    return int(_queries.list_orphans(conn, bucket=bucket, objects=rows))


def unlist(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> None:
    """Take objects off the list; waits while retention is deleting them."""
    _queries.unlist(conn, bucket=bucket, hosted_keys=list(hosted_keys))


def unlist_all(conn: Connection, bucket: str) -> int:
    """Empty the list; returns how many were on it."""
    return int(_queries.unlist_all(conn, bucket=bucket))


def listed(conn: Connection, bucket: str) -> list[Listed]:
    """The whole list, oldest first."""
    return [Listed(**row) for row in _queries.listed(conn, bucket=bucket)]


def listed_totals(conn: Connection, bucket: str) -> dict[str, Total]:
    """Objects and bytes on the list, by reason."""
    return {row["why"]: Total(row["objects"], row["bytes"]) for row in _queries.listed_totals(conn, bucket=bucket)}


def referenced(conn: Connection, bucket: str) -> list[str]:
    """Listed objects that are served, or wanted back: whatever listed them was wrong, or came too early."""
    return [row["hosted_key"] for row in _queries.referenced(conn, bucket=bucket)]


def revive(conn: Connection, bucket: str, hosted_keys: Sequence[str]) -> None:
    """Keep retention away from objects that are about to be stored or counted on.

    Waits while retention is deleting one of them; after that the object is not there, and is stored anew.
    """
    _queries.adopt_retired_objects(conn, bucket=bucket, hosted_keys=list(hosted_keys))
    _queries.unlist(conn, bucket=bucket, hosted_keys=list(hosted_keys))


@dataclass(frozen=True)
class Chunk:
    """A part of the list: keys and bytes that may go, keys that something refers to, and the last key looked at."""

    removable: dict[str, int]
    refused: tuple[str, ...]
    last_key: str


def drop_rows(conn: Connection, bucket: str, *, undo_seconds: float, after: str, limit: int) -> Chunk | None:
    """Drop the rows of the next chunk of listed objects that had rows; None at the end of the list.

    Looked at again inside this transaction: what is served or wanted by now is refused, and taken off the list.
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
    """Lock the next chunk of listed objects that no row stands for; None at the end of the list.

    The caller deletes the objects and takes the chunk off the list in this transaction.
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
    """Reason and bytes of the next listed objects whose time has come, by key, locked."""
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
    found = _queries.still_referenced(conn, bucket=bucket, hosted_keys=list(rows))
    referenced = {row["hosted_key"] for row in found}
    removable = {key: size for key, (_, size) in rows.items() if key not in referenced}
    return Chunk(removable, tuple(sorted(referenced)), max(rows))
