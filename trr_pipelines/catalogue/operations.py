"""Open, failed and saved over the whole archive, for the operations page and `/metrics`. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("operations.sql")

MAX_FAILURES = 500  # pairs of source and reason
MAX_CARDS = 40_000  # 20,000 photos in two formats


@dataclass(frozen=True)
class QueuedWork:
    """Work of one kind that has not ended well: open, leased by a run, waiting for its next attempt, parked.

    `asked_again` is the open or leased work that was requested by reprocessing.
    """

    waiting: int = 0
    running: int = 0
    retrying: int = 0
    ended_failed: int = 0
    asked_again: int = 0


@dataclass(frozen=True)
class FailureCount:
    """Failed photos of one source and reason."""

    source: str
    reason: str
    photos: int


@dataclass(frozen=True)
class SavedDay:
    """Cards made on one day: photos, bytes of their originals, bytes of their smallest cards."""

    day: date
    photos: int
    bytes_before: int
    bytes_after: int


def queue(conn: Connection) -> dict[str, QueuedWork]:
    """Work that has not ended well, by kind (original, base, crop)."""
    queued = {row.pop("kind"): QueuedWork(**row) for row in _queries.queue(conn)}
    return {kind: queued.get(kind, QueuedWork()) for kind in ("original", "base", "crop")}


def failures(conn: Connection) -> list[FailureCount]:
    """Failed photos by source and reason, the most frequent first."""
    return rows_as(FailureCount, _queries.failures(conn, limit=MAX_FAILURES))


def saved_by_day(conn: Connection) -> list[SavedDay]:
    """Bytes saved by the newest cards, by the day that they were made.

    At most 20,000 cards, so that the cost does not grow with the archive.
    """
    return rows_as(SavedDay, _queries.saved_by_day(conn, cards=MAX_CARDS))
