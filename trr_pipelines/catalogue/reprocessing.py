"""Work asked for again: which ended work matches, what it would cost, and making it open.

Who may ask, and what is too much at once, is `pipeline.reprocessing`'s.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("reprocessing.sql")

# A photo has about ten derivatives: the newest thousand photos.
SAMPLED_VARIANTS = 10_000
# A pause between two photos that is longer than this was no work: one photo takes 0.2 to 2 s.
IDLE_SECONDS = 30


@dataclass(frozen=True)
class Matching:
    """Which photos: None means all. `state` is the photo's (pending, mirrored), or failed for anything that failed."""

    photo_id: UUID | None = None
    state: str | None = None
    reason: str | None = None
    source: str | None = None
    show_id: UUID | None = None


@dataclass(frozen=True)
class Extent:
    """How much matches: photos, bytes of their originals, and originals and sets that do not stand yet."""

    photos: int
    bytes: int
    originals: int
    base_sets: int
    crop_sets: int


@dataclass(frozen=True)
class Measured:
    """What the newest photos took: photos a second, bytes per original and set. None where there are none."""

    photos_per_second: float | None
    original: float | None
    base_set: float | None
    crop_set: float | None


def extent(conn: Connection, matching: Matching, *, base_recipe: str, crop_recipe: str) -> Extent:
    """How much work matches."""
    return Extent(**_queries.price(conn, **asdict(matching), base_recipe=base_recipe, crop_recipe=crop_recipe))


def ask(conn: Connection, matching: Matching) -> dict[UUID, list[str]]:
    """Make what matches work again; returns the kinds of work by photo."""
    asked: dict[UUID, list[str]] = {}
    for row in _queries.ask(conn, **asdict(matching)):
        asked.setdefault(row["media_asset_id"], []).append(row["kind"])
    return asked


def measured(conn: Connection) -> Measured:
    """How fast the newest photos were made, and how large they came out."""
    return Measured(**_queries.measured(conn, variants=SAMPLED_VARIANTS, idle_seconds=IDLE_SECONDS))


def source_is_known(conn: Connection, source: str) -> bool:
    """Whether anything was ever imported from this source."""
    return bool(_queries.source_is_known(conn, source=source))
