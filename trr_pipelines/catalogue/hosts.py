"""Hosts of sources in the catalogue: requests under way, and the waits that hosts asked for, shared by all runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("hosts.sql")


@dataclass(frozen=True)
class Turn:
    """Whether a request may begin: `lease` identifies it, or is None. The host asked to wait for `wait_seconds`."""

    lease: datetime | None
    wait_seconds: float


def take(conn: Connection, host: str, *, most: int, lease_seconds: float) -> Turn:
    """Begin a request to a host, if fewer than `most` are under way and the host did not ask to wait.

    A request that is not given back counts for `lease_seconds`.
    """
    row = _queries.take(conn, host=host, most=most, lease_seconds=lease_seconds)
    return Turn(row["lease"], row["wait_seconds"])


def give_back(conn: Connection, host: str, lease: datetime) -> None:
    """End a request to a host."""
    _queries.give_back(conn, host=host, lease=lease)


def wait(conn: Connection, host: str, seconds: float) -> None:
    """Begin no request to a host for this long; an earlier wait that is longer stays."""
    _queries.wait(conn, host=host, seconds=seconds)
