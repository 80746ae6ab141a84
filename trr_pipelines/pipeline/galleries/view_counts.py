"""Views of galleries: what people look at, for what is hot, and how long pictures take, for what was won."""

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
    """Note that somebody saw `photos` photos of a gallery, some of them in so many milliseconds.

    `entity_id` is the show's for a season. Raises NotFoundError for a gallery that is not there.
    """

    def work(conn: Connection) -> None:
        found: UUID | None = entity_id
        if kind == "season":
            found = None if season is None else view_counts.find_season(conn, entity_id, season)
        elif not entities.exists(conn, kind, entity_id):
            found = None
        if found is None:
            raise NotFoundError(f"no {kind} {entity_id}" + (f" {season}" if kind == "season" else ""))
        view_counts.add(conn, kind, found, photos, timings)

    database.run(work)
