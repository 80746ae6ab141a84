"""Rows behind the warnings of `pipeline.checks.guardrails`: large originals, failing sources, waiting work. Reads only.

Where a batch may be None, that is the whole archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as, streamed
from trr_pipelines.catalogue.ledger import Kind

_queries = load_queries("guardrails.sql")


@dataclass(frozen=True)
class SizeLimits:
    """An original is oversized above any of these: bytes, pixels, pixels of its longer side."""

    max_bytes: int
    max_pixels: int
    max_side: int


@dataclass(frozen=True)
class OversizedOriginal:
    """An original above the limits; sides in pixels."""

    media_asset_id: UUID
    batch_key: str
    source: str
    source_url: str
    bytes: int
    width: int
    height: int


@dataclass(frozen=True)
class SourceFigures:
    """A source: its photos, the sizes of its originals, photos that were tried and that failed.

    `reason` is the most frequent failure, None without any.
    """

    source: str
    photos: int
    originals: int
    bytes: int
    median_bytes: int
    largest_bytes: int
    most_pixels: int
    oversized: int
    tried: int
    failed: int
    reason: str | None


@dataclass(frozen=True)
class WaitingWork:
    """Open live work of one kind and batch, and the photo that has waited longest."""

    kind: Kind
    batch_key: str
    open: int
    overdue: int
    oldest_seconds: float
    media_asset_id: UUID


@dataclass(frozen=True)
class FailingBatch:
    """A batch with failed photos, and their most frequent reason."""

    batch_key: str
    failed: int
    reason: str


def oversized(conn: Connection, batch: str | None, limits: SizeLimits) -> Iterator[OversizedOriginal]:
    """Originals above the limits, the largest first."""
    return streamed(conn, OversizedOriginal, _queries.oversized, batch=batch, **asdict(limits))


def sources(conn: Connection, batch: str | None, limits: SizeLimits) -> list[SourceFigures]:
    """Every source, by name."""
    return rows_as(SourceFigures, _queries.sources(conn, batch=batch, **asdict(limits)))


def waiting(conn: Connection, seconds: float) -> list[WaitingWork]:
    """Open live work by kind and batch, the oldest first; `overdue` counts work older than `seconds`."""
    return rows_as(WaitingWork, _queries.waiting(conn, seconds=seconds))


def failing_batches(conn: Connection, limit: int) -> list[FailingBatch]:
    """The batches with the most failed photos."""
    return rows_as(FailingBatch, _queries.failing_batches(conn, limit=limit))
