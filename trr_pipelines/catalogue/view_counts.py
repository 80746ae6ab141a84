"""Views of galleries and load times of their pictures, as the admin app reports them. Old rows are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("view_counts.sql")

KEPT_DAYS = 90  # the ordering "hot" of backfills reads 30
SHOWN_DAYS = 7
MOST_TIMINGS = 50_000  # sorted for the percentiles in 40 ms
_DELETED_PER_VIEW = 200

GalleryKind = Literal["show", "season", "person"]


@dataclass(frozen=True)
class ImageTimes:
    """Load times of pictures of one rendition key, in milliseconds."""

    variant_key: str
    count: int
    p50_ms: int
    p95_ms: int


def find_season(conn: Connection, show_id: UUID, number: int) -> UUID | None:
    """The season of a show with this number."""
    season_id: UUID | None = _queries.find_season(conn, show_id=show_id, number=number)
    return season_id


def add(conn: Connection, kind: GalleryKind, entity_id: UUID, photos: int, timings: Sequence[tuple[str, int]]) -> None:
    """Record a view, with rendition keys and milliseconds of some of its pictures; delete a few old rows."""
    _queries.add_view(conn, entity_kind=kind, entity_id=entity_id, photos=photos)
    if timings:
        _queries.add_timings(conn, keys=[key for key, _ in timings], ms=[ms for _, ms in timings])
    for prune in (_queries.prune_views, _queries.prune_timings):
        prune(conn, days=KEPT_DAYS, most=_DELETED_PER_VIEW)


def image_times(conn: Connection) -> list[ImageTimes]:
    """Load times by rendition key, of the last seven days."""
    return rows_as(ImageTimes, _queries.image_times(conn, days=SHOWN_DAYS, most=MOST_TIMINGS))
