"""Estimates of rework: bytes to read, time and new storage, from measurements of the archive or from defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from trr_pipelines.catalogue import estimates, reprocessing
from trr_pipelines.catalogue.backfills import PlannedBatch, Recipes
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.estimates import Measurements, RecipeSets
from trr_pipelines.catalogue.imports import BATCH_SIZE
from trr_pipelines.catalogue.reprocessing import Matching
from trr_pipelines.imaging.recipes import BASE, CROP

# For an archive without measurements: photos of 2 to 24 megapixels on two cores, and the sizes of their sets.
DEFAULT_PHOTOS_PER_SECOND = 4.0
DEFAULT_ORIGINAL_BYTES = 3_000_000
DEFAULT_BASE_BYTES = 350_000
DEFAULT_CROP_BYTES = 350_000
# Queueing, launching and reporting a run, besides its rendering.
RUN_SECONDS = 5.0


class EstimateReport(TypedDict):
    """An estimate in the types of JSON, with minutes for people."""

    photos: int
    bytes_to_read: int
    new_bytes: int | None
    seconds: float | None
    photos_per_second: float | None
    is_measured: bool
    minutes: float | None


class RecipeSetsReport(TypedDict):
    """Complete sets of one kind and recipe in the types of JSON."""

    kind: str
    recipe: str
    photos: int
    original_bytes: int
    set_bytes: int
    is_current: bool


class RecipeDiffReport(TypedDict):
    """A recipe diff in the types of JSON."""

    current: dict[str, str]
    sets: list[RecipeSetsReport]
    rerender: EstimateReport


@dataclass(frozen=True)
class Estimate:
    """The cost of some work. What was neither measured nor assumed is None.

    `is_measured` says whether `photos_per_second` was measured in this archive.
    """

    photos: int
    bytes_to_read: int
    new_bytes: int | None
    seconds: float | None
    photos_per_second: float | None
    is_measured: bool

    @property
    def minutes(self) -> float | None:
        return None if self.seconds is None else round(self.seconds / 60, 1)

    def report(self) -> EstimateReport:
        """The estimate in the types of JSON."""
        return {
            "photos": self.photos,
            "bytes_to_read": self.bytes_to_read,
            "new_bytes": self.new_bytes,
            "seconds": self.seconds,
            "photos_per_second": self.photos_per_second,
            "is_measured": self.is_measured,
            "minutes": self.minutes,
        }


@dataclass(frozen=True)
class RecipeDiff:
    """What a render of every photo with the present recipes would change; `sets` are all complete sets."""

    recipes: Recipes
    sets: tuple[RecipeSets, ...]
    estimate: Estimate

    def is_current(self, sets: RecipeSets) -> bool:
        """Whether these sets are of the present recipe."""
        return _is_current(sets, self.recipes)

    def report(self) -> RecipeDiffReport:
        """The diff in the types of JSON."""
        return {
            "current": {"base": self.recipes.base, "crop": self.recipes.crop},
            "sets": [
                {
                    "kind": sets.kind,
                    "recipe": sets.recipe,
                    "photos": sets.photos,
                    "original_bytes": sets.original_bytes,
                    "set_bytes": sets.set_bytes,
                    "is_current": self.is_current(sets),
                }
                for sets in self.sets
            ],
            "rerender": self.estimate.report(),
        }


def current_recipes() -> Recipes:
    """The recipe fingerprints of this code."""
    return Recipes(BASE.fingerprint, CROP.fingerprint)


def estimate_batches(conn: Connection, batches: Sequence[PlannedBatch]) -> Estimate:
    """The cost of all open work of these batches; never None. An original not fetched yet counts as an average one."""
    measured = estimates.measure(conn)
    assumed = _with_defaults(measured)
    unfetched = sum(batch.unfetched for batch in batches)
    unfetched_bytes = _new_bytes(assumed, originals=unfetched, base_sets=0, crop_sets=0) or 0
    new_bytes = _new_bytes(
        assumed,
        originals=unfetched,
        base_sets=sum(batch.base_sets for batch in batches),
        crop_sets=sum(batch.crop_sets for batch in batches),
    )
    return _estimate(
        assumed,
        photos=sum(batch.photos for batch in batches),
        runs=len(batches),
        bytes_to_read=sum(batch.bytes for batch in batches) + unfetched_bytes,
        new_bytes=new_bytes,
        is_measured=measured.photos_per_second is not None,
    )


def estimate_photos(conn: Connection, *, photos: int, bytes_to_read: int, base_sets: int, crop_sets: int) -> Estimate:
    """The cost of rendering photos that the catalogue does not have yet, from originals that are in the store."""
    measured = estimates.measure(conn)
    assumed = _with_defaults(measured)
    return _estimate(
        assumed,
        photos=photos,
        runs=-(-photos // BATCH_SIZE),
        bytes_to_read=bytes_to_read,
        new_bytes=_new_bytes(assumed, originals=0, base_sets=base_sets, crop_sets=crop_sets),
        is_measured=measured.photos_per_second is not None,
    )


def estimate_matching(conn: Connection, matching: Matching, *, most_photos: int) -> Estimate:
    """The cost of reprocessing matching work; time and new bytes are None without measurements.

    Existing sets of the present recipe are found and kept, so they cost nothing. Above `most_photos` the count is not
    complete, and above `most_photos`, too.
    """
    measured = estimates.measure(conn)
    extent = reprocessing.extent(conn, matching, current_recipes(), most_photos=most_photos)
    new_bytes = _new_bytes(measured, originals=extent.originals, base_sets=extent.base_sets, crop_sets=extent.crop_sets)
    return _estimate(
        measured,
        photos=extent.photos,
        runs=0,
        bytes_to_read=extent.bytes,
        new_bytes=new_bytes,
        is_measured=measured.photos_per_second is not None,
    )


def recipe_diff(database: Database) -> RecipeDiff:
    """Compare the present recipes with those of complete sets. Reads the whole ledger."""
    recipes = current_recipes()

    def read(conn: Connection) -> RecipeDiff:
        sets = tuple(estimates.sets_by_recipe(conn))
        photos, bytes_to_read = estimates.outdated(conn, recipes)
        measured = estimates.measure(conn)
        # The new sets are about as large as the old ones, which stay until retention removes them.
        new_bytes = sum(outdated.set_bytes for outdated in sets if not _is_current(outdated, recipes))
        estimate = _estimate(
            _with_defaults(measured),
            photos=photos,
            runs=0,
            bytes_to_read=bytes_to_read,
            new_bytes=new_bytes,
            is_measured=measured.photos_per_second is not None,
        )
        return RecipeDiff(recipes, sets, estimate)

    return database.read(read)


def _is_current(sets: RecipeSets, recipes: Recipes) -> bool:
    return sets.recipe == (recipes.base if sets.kind == "base" else recipes.crop)


def _with_defaults(measured: Measurements) -> Measurements:
    return replace(
        measured,
        photos_per_second=measured.photos_per_second or DEFAULT_PHOTOS_PER_SECOND,
        original=measured.original or DEFAULT_ORIGINAL_BYTES,
        base_set=measured.base_set or DEFAULT_BASE_BYTES,
        crop_set=measured.crop_set or DEFAULT_CROP_BYTES,
    )


def _new_bytes(measured: Measurements, *, originals: int, base_sets: int, crop_sets: int) -> int | None:
    if measured.original is None or measured.base_set is None or measured.crop_set is None:
        return None
    return round(originals * measured.original + base_sets * measured.base_set + crop_sets * measured.crop_set)


def _estimate(
    speed: Measurements, *, photos: int, runs: int, bytes_to_read: int, new_bytes: int | None, is_measured: bool
) -> Estimate:
    rate = speed.photos_per_second
    seconds = None if rate is None else round(photos / rate + runs * RUN_SECONDS, 1)
    return Estimate(photos, bytes_to_read, new_bytes, seconds, None if rate is None else round(rate, 2), is_measured)
