"""What the figures of delivery are made of, and their history: one value per day, figure and what it is by.

Which figures there are is `pipeline.figures`', how they are made `pipeline.delivery_metrics`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("delivery_metrics.sql")

Row = dict[str, Any]
Figures = Mapping[tuple[str, str], float]
"""Values by figure and dimension; the dimension is empty where a figure is of the whole archive."""

VIEWED_DAYS = 30
RECENT_DAYS = 7
# Photos that payloads are read of: all of a small archive, of a larger one a sample (p95 within 0.2 percent of ranks).
SAMPLE_PHOTOS = 20_000
MOST_CARDS = 40_000  # 20,000 photos in two formats
MOST_RUNS = 500


@dataclass(frozen=True)
class Newest:
    """The newest figures, the day that they are of, and how many seconds ago they were taken."""

    day: date
    figures: Figures
    age_seconds: float


@dataclass(frozen=True)
class DeliveredImages:
    """Pictures that are delivered: photos with how often each is, and how many pictures there were in all."""

    weighting: str
    weights: Mapping[UUID, float]
    pictures: float


def photos_by_source(conn: Connection) -> list[Row]:
    """Photos of each source by state, the largest source first. Reads all photos."""
    return list(_queries.photos_by_source(conn))


def stored_bytes(conn: Connection) -> dict[str, int]:
    """Bytes of originals (all versions), derivatives that are served, and what waits for removal. Reads all rows."""
    row: dict[str, int] = _queries.stored_bytes(conn)
    return row


def delivered(conn: Connection) -> DeliveredImages:
    """What galleries show: weighted by the views of the last 30 days, and by links where there were none.

    Of at most 20,000 photos, a random sample where there are more.
    """
    viewed = _weights(_queries.viewed_photos(conn, days=VIEWED_DAYS, most=SAMPLE_PHOTOS))
    if viewed:
        return DeliveredImages("views", viewed, _queries.pictures_viewed(conn, days=VIEWED_DAYS))
    linked = _weights(_queries.linked_photos(conn, most=SAMPLE_PHOTOS))
    return DeliveredImages("links", linked, float(reports.count_links(conn)))


def _weights(rows: Any) -> dict[UUID, float]:
    return {row["media_asset_id"]: row["weight"] for row in rows}


def payloads(conn: Connection, photo_ids: Sequence[UUID]) -> list[Row]:
    """By photo and rendition key the bytes of the smallest file; one row without a key where there is none yet."""
    return list(_queries.payloads(conn, photo_ids=list(photo_ids)))


def served_after(conn: Connection) -> dict[str, Row]:
    """By lane: p50 and p95 of the seconds from import to first served, of what came to be served in the last week."""
    return {row.pop("lane"): row for row in _queries.served_after(conn, days=RECENT_DAYS, most=MOST_CARDS)}


def run_times(conn: Connection) -> Row | None:
    """p50 and p95 of the seconds that runs of the last week rendered, and photos per second; None without any."""
    row: Row = _queries.run_times(conn, days=RECENT_DAYS, most=MOST_RUNS)
    return row if row["runs"] else None


def replace_day(conn: Connection, day: date, figures: Figures) -> None:
    """Write the figures of a day in place of those that were taken of it before."""
    _queries.forget_day(conn, day=day)
    _queries.add_figures(
        conn,
        day=day,
        metrics=[metric for metric, _ in figures],
        dimensions=[dimension for _, dimension in figures],
        values=list(figures.values()),
    )


def newest(conn: Connection) -> Newest | None:
    """The newest figures; None before any were taken. Costs the same however many there are."""
    rows = list(_queries.newest(conn))
    if not rows:
        return None
    return Newest(rows[0]["day"], _figures(rows), rows[0]["age_seconds"])


def history(conn: Connection, today: date, days: int) -> dict[date, Figures]:
    """The figures of the last days, oldest first."""
    by_day: dict[date, list[Row]] = {}
    for row in _queries.history(conn, after=today - timedelta(days=days)):
        by_day.setdefault(row["day"], []).append(row)
    return {day: _figures(rows) for day, rows in by_day.items()}


def _figures(rows: Sequence[Row]) -> Figures:
    return {(row["metric"], row["dimension"]): row["value"] for row in rows}
