"""`trr bridge plan`: what a sync of the application would take, and what rendering and publishing it would cost.

Writes nothing, here or there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.bridge.application import Application, load_queries
from trr_pipelines.bridge.sync import Selection, selected
from trr_pipelines.catalogue.database import Connection, Database, rows_as
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.rework.estimates import Estimate, estimate_photos

_queries = load_queries("checking.sql")

# Files of a set, as rows there: WebP and JPEG of each rendition.
BASE_ROWS = 2 * len(BASE.targets)
CROP_ROWS = 2 * len(CROP.targets)


@dataclass(frozen=True)
class BridgePlan:
    """Counts of the application's rows, and the cost of their derivatives.

    `objects` are distinct originals, `duplicates` rows that share one; `frames` distinct crops by photo.
    `bytes` are those of the originals whose size is recorded. `writes` are statements on their database: one for each
    photo, one for its links with a crop, one for its rows.
    """

    photos: int
    with_original: int
    to_mirror: int
    without_any: int
    objects: int
    duplicates: int
    links: int
    galleries: int
    links_with_crop: int
    photos_with_crop: int
    frames: int
    with_variants: int
    variant_rows: int
    bytes: int
    unknown_bytes: int
    new_rows: int
    writes: int
    cost: Estimate

    def report(self) -> dict[str, Any]:
        """The plan in the types of JSON."""
        return {**asdict(self), "cost": self.cost.report()}


@dataclass(frozen=True)
class GalleryWeight:
    """A gallery of the application: its photos, and the bytes of all its cards (originals where there is no card)."""

    id: UUID
    name: str
    photos: int
    bytes: int


def gallery_weights(application: Application, limit: int = 10) -> list[GalleryWeight]:
    """The largest galleries."""
    return application.read(lambda conn: rows_as(GalleryWeight, _queries.gallery_weights(conn, limit=limit)))


def plan_bridge(database: Database, application: Application, selection: Selection) -> BridgePlan:
    """Count what `selection` names. Raises NotFoundError when it names nothing."""
    ids = None if selection.is_everything else selected(application, selection)
    counts = application.read(lambda conn: _counts(conn, ids))
    frames = counts["frames"] + counts["photos_with_crop"]
    photos = counts["objects"]
    known = counts["bytes"] / max(1, counts["with_original"] - counts["unknown_bytes"])
    bytes_to_read = round(counts["bytes"] + known * counts["unknown_bytes"])
    cost = database.read(
        lambda conn: estimate_photos(
            conn, photos=photos, bytes_to_read=bytes_to_read, base_sets=photos, crop_sets=frames
        )
    )
    return BridgePlan(
        **counts,
        duplicates=counts["with_original"] - counts["objects"],
        new_rows=BASE_ROWS * counts["objects"] + CROP_ROWS * frames,
        writes=3 * counts["with_original"],
        cost=cost,
    )


def _counts(conn: Connection, ids: Sequence[UUID] | None) -> dict[str, int]:
    row = _queries.plan(conn, ids=None if ids is None else list(ids))
    return {name: int(value) for name, value in row.items()}
