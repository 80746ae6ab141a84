"""Objects that rows refer to; `pipeline.upkeep.reconcile` compares them with the store. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("reconcile.sql")

_NULL = b"\\N"  # of PostgreSQL's text format, in which keys, numbers and hashes have nothing to escape


@dataclass(frozen=True)
class HostedObject:
    """An object that has a row; `is_served` is False when all its rows are retired.

    `bytes` and `sha256` are what the rows record that are not retired; None when all are.
    """

    hosted_key: str
    is_served: bool
    bytes: int | None
    sha256: str | None


def spool_hosted_objects(conn: Connection, bucket: str, file: IO[bytes]) -> None:
    """Copy every object that has a row into `file`, by key in byte order; about 200 bytes each.

    A file, because the store is listed afterwards, for hours in a large archive: no transaction may stay open so long.
    """
    file.seek(0)
    file.truncate()
    statement = f"copy ({_queries.hosted_objects.sql.rstrip().rstrip(';')}) to stdout"
    with conn.cursor().copy(statement, {"bucket": bucket}) as copy:
        for block in copy:
            file.write(block)


def spooled_objects(file: IO[bytes]) -> Iterator[HostedObject]:
    """The objects that `spool_hosted_objects` copied, read as they are consumed."""
    file.seek(0)
    for line in file:
        key, is_served, size, sha256 = line.rstrip(b"\n").split(b"\t")
        yield HostedObject(
            key.decode(),
            is_served == b"t",
            None if size == _NULL else int(size),
            None if sha256 == _NULL else sha256.decode(),
        )


def rows_of_objects(conn: Connection, keys: Sequence[str]) -> dict[str, HostedObject]:
    """Those of these objects that have a row now."""
    rows = rows_as(HostedObject, _queries.rows_of_objects(conn, hosted_keys=list(keys)))
    return {row.hosted_key: row for row in rows}


@dataclass(frozen=True)
class ExternalOriginal:
    """The external original of a photo, as it was when it was read."""

    media_asset_id: UUID
    hosted_bucket: str
    hosted_key: str
    bytes: int
    sha256: str


def external_originals(conn: Connection, after: UUID | None, limit: int) -> list[ExternalOriginal]:
    """The next external originals that were read, by photo."""
    return rows_as(ExternalOriginal, _queries.external_originals(conn, after=after, limit=limit))


def external_keys(conn: Connection, bucket: str, keys: Sequence[str]) -> set[str]:
    """Those of these keys that photos have as external originals, read or not."""
    return {row["hosted_key"] for row in _queries.external_keys(conn, bucket=bucket, hosted_keys=list(keys))}


def known_batches(conn: Connection, keys: Sequence[str]) -> set[str]:
    """Those of these batches that exist."""
    return {row["key"] for row in _queries.batches(conn, keys=list(keys))}
