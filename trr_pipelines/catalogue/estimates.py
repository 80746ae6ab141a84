"""Measurements for estimates: how fast runs rendered, how large originals and sets are, and sets by recipe."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from trr_pipelines.catalogue.backfills import Recipes
from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("estimates.sql")

# Runs of batches whose speed is averaged.
RATE_RUNS = 20
# Derivatives that are measured. A photo has about ten: the newest thousand photos.
SAMPLED_VARIANTS = 10_000
# A longer pause between two photos was idle time: one photo takes 0.2 to 2 s.
IDLE_SECONDS = 30


@dataclass(frozen=True)
class Measurements:
    """Photos per second, and mean bytes of an original, a base set and a crop set; None where nothing was measured."""

    photos_per_second: float | None
    original: float | None
    base_set: float | None
    crop_set: float | None


@dataclass(frozen=True)
class RecipeSets:
    """Complete sets of one kind and recipe."""

    kind: Literal["base", "crop"]
    recipe: str
    photos: int
    original_bytes: int
    set_bytes: int


def set_rate(conn: Connection, run_id: str, photos: int, seconds: float) -> None:
    """Record how long a run took to render its photos, if it rendered any."""
    if photos and seconds:
        _queries.set_rate(conn, run_id=run_id, photos=photos, seconds=seconds)


def measure(conn: Connection) -> Measurements:
    """Speed and sizes of the newest work; costs the same in a larger archive.

    The speed is that of the last runs of batches, which record it; without any, that of the newest derivatives.
    """
    newest = Measurements(**_queries.newest_derivatives(conn, variants=SAMPLED_VARIANTS, idle_seconds=IDLE_SECONDS))
    runs = _queries.recent_rate(conn, runs=RATE_RUNS)
    if not runs["seconds"]:
        return newest
    return replace(newest, photos_per_second=runs["photos"] / runs["seconds"])


def sets_by_recipe(conn: Connection) -> list[RecipeSets]:
    """Complete sets by kind and recipe. Reads the whole ledger."""
    return rows_as(RecipeSets, _queries.sets_by_recipe(conn))


def outdated(conn: Connection, recipes: Recipes) -> tuple[int, int]:
    """Photos with a set of another recipe, each once, and the bytes of their originals."""
    row = _queries.outdated_total(conn, **recipes.parameters())
    return row["photos"], row["bytes"]
