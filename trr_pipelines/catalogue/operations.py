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


def saved(conn: Connection) -> Row:
    """The newest photos with a card, 20,000 at most, and the bytes of their originals and of their smallest cards."""
    row: Row = _queries.saved(conn, cards=MAX_CARDS)
    return row
