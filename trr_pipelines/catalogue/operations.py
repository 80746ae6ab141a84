"""What is open, failed and saved, over the whole archive. Reads only."""

from __future__ import annotations

from typing import Any

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("operations.sql")

Row = dict[str, Any]
MAX_FAILURES = 500  # pairs of source and reason
MAX_CARDS = 40_000  # 20,000 photos in two formats


def queue(conn: Connection) -> dict[str, Row]:
    """Work that has not ended, by kind (original, base, crop)."""
    nothing = dict.fromkeys(("waiting", "running", "retrying", "ended_failed", "asked_again"), 0)
    found = {row.pop("kind"): row for row in _queries.queue(conn)}
    return {kind: found.get(kind, nothing) for kind in ("original", "base", "crop")}


def failures(conn: Connection) -> list[Row]:
    """Failed photos by source and reason, the most first."""
    return list(_queries.failures(conn, limit=MAX_FAILURES))


def saved_by_day(conn: Connection) -> list[Row]:
    """By the day that cards were made: photos, bytes of their originals, bytes of their smallest cards.

    Of the newest 20,000 cards at most, so that it costs the same however many photos there are.
    """
    return list(_queries.saved_by_day(conn, cards=MAX_CARDS))
