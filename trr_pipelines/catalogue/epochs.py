"""The catalogue's epoch, one per store; `pipeline.epochs` compares it with the store's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("epochs.sql")


@dataclass(frozen=True)
class Epoch:
    """A catalogue's id and epoch; `adopted_at` is when it took over a store that was ahead of it, or None.

    `is_shared`: another program has, or had, objects in the bucket.
    """

    catalogue_id: UUID
    epoch: int
    adopted_at: datetime | None
    is_shared: bool


def current(conn: Connection, bucket: str) -> Epoch:
    """The epoch of the store's catalogue; a catalogue that has none gets an id and epoch 0."""
    return Epoch(**_queries.current(conn, bucket=bucket))


def advance(conn: Connection, bucket: str, *, is_shared: bool = False) -> Epoch:
    """The next epoch. Notes that another program has objects in the bucket, if the caller or any photo says so."""
    return Epoch(**_queries.advance(conn, bucket=bucket, is_shared=is_shared))


def is_shared(conn: Connection, bucket: str) -> bool:
    """Whether another program has, or had, objects in this bucket, as far as the catalogue knows."""
    return bool(_queries.is_shared(conn, bucket=bucket))


def adopt(conn: Connection, bucket: str, epoch: int, *, is_shared: bool) -> Epoch:
    """Set the epoch to at least this one, and note the time, and whether the bucket is shared."""
    return Epoch(**_queries.adopt(conn, bucket=bucket, epoch=epoch, is_shared=is_shared))
