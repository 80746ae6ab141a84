"""What estimates rest on: how fast runs rendered, how large sets are, and which recipes they were made with."""

from __future__ import annotations

from dataclasses import dataclass

from trr_pipelines.catalogue.backfills import Recipes
from trr_pipelines.catalogue.database import Connection, load_queries

_queries = load_queries("estimates.sql")

# Runs whose speed an estimate rests on.
RATE_RUNS = 20


@dataclass(frozen=True)
class Sizes:
    """Mean bytes of an original and of a photo's base and crop sets; None where the archive has none yet."""

    original: int | None
    base: int | None
    crop: int | None


@dataclass(frozen=True)
class RecipeSets:
    """Complete sets of one kind (base or crop) that were made with one recipe."""

    kind: str
    recipe: str
    photos: int
    original_bytes: int
    set_bytes: int


def set_rate(conn: Connection, run_id: str, photos: int, seconds: float) -> None:
    """Record how long a run took to render its photos, if there were any."""
    if photos and seconds:
        _queries.set_rate(conn, run_id=run_id, photos=photos, seconds=seconds)


def recent_rate(conn: Connection) -> float | None:
    """Photos per second over the last runs; None when no run was recorded."""
    row = _queries.recent_rate(conn, runs=RATE_RUNS)
    return row["photos"] / row["seconds"] if row["seconds"] else None


def mean_sizes(conn: Connection) -> Sizes:
    """Mean bytes of what the archive holds."""
    return Sizes(**_queries.mean_sizes(conn))


def sets_by_recipe(conn: Connection) -> list[RecipeSets]:
    """Complete sets by kind and recipe."""
    return [RecipeSets(**row) for row in _queries.sets_by_recipe(conn)]


def outdated(conn: Connection, recipes: Recipes) -> tuple[int, int]:
    """Photos with a set of another recipe, each once, and the bytes of their originals."""
    row = _queries.outdated_total(conn, **recipes.parameters())
    return row["photos"], row["bytes"]
