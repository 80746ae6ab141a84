"""Objects that rows refer to; `pipeline.upkeep.reconcile` compares them with the store. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("reconcile.sql")

ROWS_PER_FETCH = 5_000


@dataclass(frozen=True)
class HostedObject:
    """An object that has a row; `is_served` is False when all its rows are retired."""

    hosted_key: str
    is_served: bool


def hosted_objects(conn: Connection, bucket: str) -> Iterator[HostedObject]:
    """Every object that has a row, by key in byte order; read as it is consumed, inside the transaction."""
    with conn.cursor("hosted_objects") as cursor:
        cursor.itersize = ROWS_PER_FETCH
        cursor.execute(_queries.hosted_objects.sql, {"bucket": bucket})
        for row in cursor:
            yield HostedObject(**row)


def rows_of_objects(conn: Connection, keys: Sequence[str]) -> dict[str, bool]:
    """Those of these objects that have a row now, and whether one of their rows is not retired."""
    is_served: dict[str, bool] = {}
    for row in rows_as(HostedObject, _queries.rows_of_objects(conn, hosted_keys=list(keys))):
        is_served[row.hosted_key] = is_served.get(row.hosted_key, False) or row.is_served
    return is_served
