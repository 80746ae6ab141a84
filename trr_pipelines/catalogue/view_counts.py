"""Views of galleries and how long their pictures took, as the admin app reports them. Bounded: old ones go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("view_counts.sql")

KEPT_DAYS = 90  # "hot" looks back 30
SHOWN_DAYS = 7
MOST_TIMINGS = 50_000  # what a figure is made of at most: 40 ms of sorting
_FORGOTTEN_AT_ONCE = 200

GalleryKind = Literal["show", "season", "person"]


def find_season(conn: Connection, show_id: UUID, number: int) -> UUID | None:
    """The season of a show with this number."""
    found: UUID | None = _queries.find_season(conn, show_id=show_id, number=number)
    return found


def add(conn: Connection, kind: GalleryKind, entity_id: UUID, photos: int, timings: Sequence[tuple[str, int]]) -> None:
    """Record a view, with some of its pictures' rendition keys and milliseconds; forget a few that are too old."""
    _queries.add_view(conn, entity_kind=kind, entity_id=entity_id, photos=photos)
    if timings:
        _queries.add_timings(conn, keys=[key for key, _ in timings], ms=[ms for _, ms in timings])
    for forget in (_queries.forget_views, _queries.forget_timings):
        forget(conn, days=KEPT_DAYS, most=_FORGOTTEN_AT_ONCE)


def image_times(conn: Connection) -> dict[str, dict[str, Any]]:
    """By rendition key, of the last seven days: how many pictures were timed, p50 and p95 in milliseconds."""
    rows = _queries.image_times(conn, days=SHOWN_DAYS, most=MOST_TIMINGS)
    return {row.pop("variant_key"): row for row in rows}
