"""What is allowed and yet not as it should be: originals near the limits, sources that fail, work that waits.

Reads only; where a batch may be None, that is the whole archive. Which figures are too high is `pipeline.guardrails`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from trr_pipelines.catalogue.database import Connection, load_queries, streamed

_queries = load_queries("guardrails.sql")

Row = dict[str, Any]


@dataclass(frozen=True)
class SizeLimits:
    """An original is oversized above any of these: bytes, pixels, pixels of its longer side."""

    max_bytes: int
    max_pixels: int
    max_side: int


def oversized(conn: Connection, batch: str | None, limits: SizeLimits) -> Iterator[Row]:
    """Originals above the limits, the largest first."""
    return streamed(conn, _queries.oversized, batch=batch, **asdict(limits))


def sources(conn: Connection, batch: str | None, limits: SizeLimits) -> list[Row]:
    """Each source: photos, originals and their bytes, those above the limits; photos that were tried, and failed."""
    return list(_queries.sources(conn, batch=batch, **asdict(limits)))


def waiting(conn: Connection, seconds: float) -> list[Row]:
    """Open live work by kind and batch, the oldest first; `overdue` is what is older than so many seconds."""
    return list(_queries.waiting(conn, seconds=seconds))


def failing_batches(conn: Connection, limit: int) -> list[Row]:
    """The batches with the most failed photos, and the most frequent reason in each."""
    return list(_queries.failing_batches(conn, limit=limit))
