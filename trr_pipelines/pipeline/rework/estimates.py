"""What work on many photos will cost: bytes to read, minutes, storage; as the archive measured it, else by defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from trr_pipelines.catalogue import estimates
from trr_pipelines.catalogue.backfills import PlannedBatch, Recipes
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.estimates import RecipeSets, Sizes
from trr_pipelines.imaging.recipes import BASE, CROP

# Where nothing was measured yet: photos of 2 to 24 megapixels on two cores, and what their sets came to.
DEFAULT_PHOTOS_PER_SECOND = 4.0
DEFAULT_ORIGINAL_BYTES = 3_000_000
DEFAULT_BASE_BYTES = 350_000
DEFAULT_CROP_BYTES = 350_000
# Queueing, launching and reporting a run, beside its rendering.
RUN_SECONDS = 5.0


@dataclass(frozen=True)
class Price:
    """What some work costs. `is_measured` says whether `photos_per_second` comes from runs of this archive."""

    photos: int
    bytes_to_read: int
    new_bytes: int
    seconds: float
    photos_per_second: float
    is_measured: bool

    def report(self) -> dict[str, Any]:
        """The report as JSON's types, with minutes for people."""
        return {**asdict(self), "minutes": round(self.seconds / 60, 1)}


@dataclass(frozen=True)
class RecipeDiff:
    """What renders anew when the present recipes are brought to every photo; `sets` are all that stand."""

    recipes: Recipes
    sets: tuple[RecipeSets, ...]
    price: Price

    def is_current(self, one: RecipeSets) -> bool:
        """Whether these sets are of the present recipe."""
        return one.recipe == (self.recipes.base if one.kind == "base" else self.recipes.crop)

    def report(self) -> dict[str, Any]:
        """The report as JSON's types."""
        return {
            "current": asdict(self.recipes),
            "sets": [{**asdict(one), "is_current": self.is_current(one)} for one in self.sets],
            "rerender": self.price.report(),
        }


def current_recipes() -> Recipes:
    """The fingerprints of the recipes of this code."""
    return Recipes(BASE.fingerprint, CROP.fingerprint)


def price_batches(conn: Connection, batches: Sequence[PlannedBatch]) -> Price:
    """The price of everything that these batches lack. What is not fetched yet counts as an average original."""
    sizes = _sizes(conn)
    unfetched = sum(batch.unfetched for batch in batches) * (sizes.original or 0)
    base = sum(batch.base_sets for batch in batches) * (sizes.base or 0)
    crop = sum(batch.crop_sets for batch in batches) * (sizes.crop or 0)
    return _price(
        conn,
        photos=sum(batch.photos for batch in batches),
        runs=len(batches),
        bytes_to_read=sum(batch.bytes for batch in batches) + unfetched,
        new_bytes=unfetched + base + crop,
    )


def recipe_diff(database: Database) -> RecipeDiff:
    """Compare the recipes of this code with those that complete sets were made with. Reads the whole ledger."""
    recipes = current_recipes()
    with database.transaction() as conn:
        sets = tuple(estimates.sets_by_recipe(conn))
        photos, bytes_to_read = estimates.outdated(conn, recipes)
        diff = RecipeDiff(recipes, sets, _price(conn, photos=0, runs=0, bytes_to_read=0, new_bytes=0))
        # The new sets stand beside the old ones until retention removes those, and are of about their size.
        new_bytes = sum(one.set_bytes for one in sets if not diff.is_current(one))
        price = _price(conn, photos=photos, runs=0, bytes_to_read=bytes_to_read, new_bytes=new_bytes)
    return RecipeDiff(recipes, sets, price)


def _price(conn: Connection, *, photos: int, runs: int, bytes_to_read: int, new_bytes: int) -> Price:
    measured = estimates.recent_rate(conn)
    rate = measured or DEFAULT_PHOTOS_PER_SECOND
    seconds = photos / rate + runs * RUN_SECONDS
    return Price(photos, bytes_to_read, new_bytes, round(seconds, 1), round(rate, 2), measured is not None)


def _sizes(conn: Connection) -> Sizes:
    known = estimates.mean_sizes(conn)
    return Sizes(
        known.original or DEFAULT_ORIGINAL_BYTES,
        known.base or DEFAULT_BASE_BYTES,
        known.crop or DEFAULT_CROP_BYTES,
    )
