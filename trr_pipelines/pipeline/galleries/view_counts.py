"""Recording views of galleries, and load times of pictures in browsers."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from trr_pipelines.catalogue import entities, view_counts
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.view_counts import GalleryKind
from trr_pipelines.errors import NotFoundError


def record_view(
    database: Database,
    kind: GalleryKind,
    entity_id: UUID,
    season: int | None,
    photos: int,
    timings: Sequence[tuple[str, int]],
) -> None:
    """Record a view of `photos` photos of a gallery; `timings` are rendition keys and load times in milliseconds.

    For a season, `entity_id` is the show's. Raises NotFoundError for an unknown gallery.
    """

    def work(conn: Connection) -> None:
        gallery_id: UUID | None = entity_id
        if kind == "season":
            gallery_id = None if season is None else view_counts.find_season(conn, entity_id, season)
        elif not entities.exists(conn, kind, entity_id):
            gallery_id = None
        if gallery_id is None:
            raise NotFoundError(f"no {kind} {entity_id}" + (f" {season}" if kind == "season" else ""))
        view_counts.add(conn, kind, gallery_id, photos, timings)

    database.run(work)
