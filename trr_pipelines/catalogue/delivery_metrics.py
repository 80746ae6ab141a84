"""Data behind the delivery metrics, and their history: one value per day, metric and dimension.

Metrics are defined in `pipeline.reporting.metric_definitions` and computed in `pipeline.reporting.delivery_metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal
from uuid import UUID

from psycopg.rows import DictRow

from trr_pipelines.catalogue import status
from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("delivery_metrics.sql")

Figures = Mapping[tuple[str, str], float]
"""Values by metric and dimension; the dimension is empty for a metric of the whole archive."""

VIEWED_DAYS = 30
RECENT_DAYS = 7
# Photos whose payloads are read: all of a small archive, a sample of a larger one (p95 within 0.2 percent of ranks).
SAMPLE_PHOTOS = 20_000
MOST_CARDS = 40_000  # 20,000 photos in two formats
MOST_RUNS = 500


@dataclass(frozen=True)
class Newest:
    """The newest figures, their day, and their age."""

    day: date
    figures: Figures
    age_seconds: float


@dataclass(frozen=True)
class SourcePhotos:
    """Photos of a source by state."""

    source: str
    photos: int
    mirrored: int
    pending: int
    failed: int


@dataclass(frozen=True)
class StoredBytes:
    """Bytes of originals (all versions), of served derivatives, and of objects that wait for removal."""

    originals: int
    derivatives: int
    retired: int


@dataclass(frozen=True)
class DeliveredImages:
    """Delivered pictures: photos with how often each is delivered, and the number of pictures."""

    weighting: Literal["views", "links"]
    weights: Mapping[UUID, float]
    pictures: float


@dataclass(frozen=True)
class DeliveredFile:
    """The smallest file of a photo and rendition key; both are None for a photo without derivatives.

    `original` is the bytes of the original; `is_fit` says whether that may be served directly (None: unknown).
    """

    media_asset_id: UUID
    original: int
    is_fit: bool | None
    variant_key: str | None
    bytes: int | None


@dataclass(frozen=True)
class ServedAfter:
    """Seconds from import to first served, of photos of one lane."""

    lane: str
    photos: int
    p50: float
    p95: float


@dataclass(frozen=True)
class RunTimes:
    """Seconds that runs rendered, and photos per second."""

    runs: int
    p50: float
    p95: float
    photos_per_second: float


def photos_by_source(conn: Connection) -> list[SourcePhotos]:
    """Photos of each source by state, the largest source first. Reads all photos."""
    return rows_as(SourcePhotos, _queries.photos_by_source(conn))


def stored_bytes(conn: Connection) -> StoredBytes:
    """Bytes in the store. Reads all rows."""
    return StoredBytes(**_queries.stored_bytes(conn))


def delivered(conn: Connection) -> DeliveredImages:
    """Pictures of galleries, weighted by the views of the last 30 days, or by links when there were no views.

    At most 20,000 photos: a random sample of a larger archive.
    """
    viewed = _weights(_queries.viewed_photos(conn, days=VIEWED_DAYS, most=SAMPLE_PHOTOS))
    if viewed:
        return DeliveredImages("views", viewed, _queries.pictures_viewed(conn, days=VIEWED_DAYS))
    linked = _weights(_queries.linked_photos(conn, most=SAMPLE_PHOTOS))
    return DeliveredImages("links", linked, float(status.count_links(conn)))


def _weights(rows: Iterable[DictRow]) -> dict[UUID, float]:
    return {row["media_asset_id"]: row["weight"] for row in rows}


def payloads(conn: Connection, photo_ids: Sequence[UUID]) -> list[DeliveredFile]:
    """By photo and rendition key the smallest file; one row without a key for a photo without derivatives."""
    return rows_as(DeliveredFile, _queries.payloads(conn, photo_ids=list(photo_ids)))


def served_after(conn: Connection) -> list[ServedAfter]:
    """Times from import to first served, by lane, of photos first served in the last week."""
    return rows_as(ServedAfter, _queries.served_after(conn, days=RECENT_DAYS, most=MOST_CARDS))


def run_times(conn: Connection) -> RunTimes | None:
    """Rendering times of runs of the last week; None without any."""
    row = _queries.run_times(conn, days=RECENT_DAYS, most=MOST_RUNS)
    return RunTimes(**row) if row["runs"] else None


def replace_day(conn: Connection, day: date, figures: Figures) -> None:
    """Replace the figures of a day."""
    _queries.forget_day(conn, day=day)
    _queries.add_figures(
        conn,
        day=day,
        metrics=[metric for metric, _ in figures],
        dimensions=[dimension for _, dimension in figures],
        values=list(figures.values()),
    )


def newest(conn: Connection) -> Newest | None:
    """The newest figures; None before the first. Costs the same with a longer history."""
    rows = list(_queries.newest(conn))
    if not rows:
        return None
    return Newest(rows[0]["day"], _figures(rows), rows[0]["age_seconds"])


def history(conn: Connection, today: date, days: int) -> dict[date, Figures]:
    """The figures of the last days, oldest first."""
    by_day: dict[date, list[DictRow]] = {}
    for row in _queries.history(conn, after=today - timedelta(days=days)):
        by_day.setdefault(row["day"], []).append(row)
    return {day: _figures(rows) for day, rows in by_day.items()}


def _figures(rows: Iterable[DictRow]) -> Figures:
    return {(row["metric"], row["dimension"]): row["value"] for row in rows}
