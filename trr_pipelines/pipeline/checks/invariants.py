"""Invariants: each function checks rows and objects, and reports what violates its claim.

With a batch of None, all rows of the archive and a random sample of objects are checked. Warnings are in `guardrails`;
which findings stop a run is decided in `defs.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import chain

from trr_pipelines.catalogue import batches, checks
from trr_pipelines.catalogue.batches import GridBytes, LeastSaved
from trr_pipelines.catalogue.checks import CropNotRendered, IncompleteSet, RecordedObject, UpscaledVariant
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Kind
from trr_pipelines.errors import InputError, MediaError
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.stored_objects import Damage, damage_of, unreadable

TableRow = dict[str, str | int | float | bool]
"""A row of a table in Dagster: a value for each column title."""

# Objects are sampled: this many of a batch, spread evenly over it, or of this many photos of the whole archive, drawn
# at random. `trr reconcile` checks all.
SAMPLE = 60
STORE_THREADS = 8
EXAMPLES = 10
MIN_GRID_REDUCTION = 0.70


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds, how many places were checked, and where it does not hold.

    `broken` are examples, `worst_batches` the batches with the most violations, `tables` further tables by title.
    """

    passed: bool
    looked_at: int
    broken_count: int
    broken: list[TableRow]
    numbers: dict[str, int | float]
    worst_batches: list[TableRow] = field(default_factory=list)
    tables: dict[str, list[TableRow]] = field(default_factory=dict)


def finding(
    looked_at: int, broken: Iterable[TableRow], tables: dict[str, list[TableRow]] | None = None, **numbers: float
) -> Finding:
    """Count violations by batch and keep a few examples; memory does not grow with the count."""
    by_batch: Counter[str] = Counter()
    examples: list[TableRow] = []
    for row in broken:
        by_batch[str(row["batch"])] += 1
        if len(examples) < EXAMPLES:
            examples.append(row)
    worst: list[TableRow] = [{"batch": batch, "broken": count} for batch, count in by_batch.most_common(EXAMPLES)]
    return Finding(not by_batch, looked_at, by_batch.total(), examples, dict(numbers), worst, tables or {})


def originals_are_intact(archive: Archive, batch: str | None) -> Finding:
    """Every sampled original is in the store, with the size and hash of its row."""
    return _objects_match(archive, batch, "original")


def variant_objects_are_intact(archive: Archive, batch: str | None) -> Finding:
    """Every sampled variant row has its object, with the size and hash of the row."""
    return _objects_match(archive, batch, "base", "crop")


def _objects_match(archive: Archive, batch: str | None, *kinds: Kind) -> Finding:
    recorded_by_kind = archive.database.read(
        lambda conn: [
            checks.sampled_objects(conn, SAMPLE, kind) if batch is None else checks.batch_objects(conn, batch, kind)
            for kind in kinds
        ]
    )
    sample = [row for rows in recorded_by_kind for row in rows[:: max(1, -(-len(rows) // SAMPLE))]]
    with ThreadPoolExecutor(STORE_THREADS) as threads:
        damages = list(threads.map(lambda row: _damage(archive, row), sample))
    broken: list[TableRow] = [
        {"photo": str(row.media_asset_id), "batch": row.batch_key, **asdict(damage)}
        for row, damage in zip(sample, damages, strict=True)
        if damage is not None
    ]
    return finding(len(sample), broken)


def _damage(archive: Archive, row: RecordedObject) -> Damage | None:
    """How the object differs from its row; an object that cannot be read is a violation, and ends no run."""
    try:
        return damage_of(archive.store, row.hosted_key, row.bytes, row.sha256, external_bucket=row.external_bucket)
    except (MediaError, InputError) as error:
        return unreadable(row.hosted_key, row.bytes, row.sha256, error)


def variant_sets_are_complete(archive: Archive, batch: str | None) -> Finding:
    """Every photo called complete has each rendition key, of one recipe and one version of its original."""

    def find(conn: Connection) -> Finding:
        looked_at = batches.work_counts(conn, batch, "base").complete
        rows = checks.incomplete_sets(conn, batch, is_crop=False, keys=len(BASE.targets))
        return finding(looked_at, map(_table_row, rows))

    return archive.database.read(find)


def active_crops_are_rendered(archive: Archive, batch: str | None) -> Finding:
    """Every photo called complete serves the complete set of its active crop."""

    def find(conn: Connection) -> Finding:
        looked_at = batches.work_counts(conn, batch, "crop").complete
        sets = map(_table_row, checks.incomplete_sets(conn, batch, is_crop=True, keys=len(CROP.targets)))
        return finding(looked_at, chain(sets, map(_table_row, checks.crops_not_rendered(conn, batch))))

    return archive.database.read(find)


def nothing_was_upscaled(archive: Archive, batch: str | None) -> Finding:
    """No variant is larger than its source."""

    def find(conn: Connection) -> Finding:
        looked_at = batches.variant_totals(conn, batch, is_crop=None).rows
        return finding(looked_at, map(_table_row, checks.upscaled(conn, batch)))

    return archive.database.read(find)


def grid_bytes_fell(archive: Archive, batch: str | None) -> Finding:
    """In each batch, the median photo of a gallery grid costs at least 70 % fewer bytes than its original."""
    if batch is None:
        return _grids_fell(archive)

    def read(conn: Connection) -> tuple[GridBytes, list[LeastSaved]]:
        grid = batches.grid_bytes(conn, batch)
        fell = grid.photos == 0 or grid.median_reduction >= MIN_GRID_REDUCTION
        return grid, [] if fell else batches.least_saved(conn, batch, EXAMPLES)

    grid, worst = archive.database.read(read)
    broken: list[TableRow] = [
        {"photo": str(photo.id), "batch": batch, "before": photo.before, "after": photo.after} for photo in worst
    ]
    return finding(grid.photos, broken, median_reduction_percent=round(100 * grid.median_reduction, 2))


def _grids_fell(archive: Archive) -> Finding:
    """The batches whose grid did not fall; each by itself, so that a few bad ones do not vanish in one median."""
    grids = archive.database.read(checks.grid_by_batch)
    broken: list[TableRow] = [
        {
            "batch": grid.batch_key,
            "photos": grid.photos,
            "median reduction percent": round(100 * grid.median_reduction, 2),
        }
        for grid in grids
        if grid.median_reduction < MIN_GRID_REDUCTION
    ]
    return finding(sum(grid.photos for grid in grids), broken)


def _table_row(row: IncompleteSet | CropNotRendered | UpscaledVariant) -> TableRow:
    """The row as a row of a table, its photo and batch first."""
    values = asdict(row)
    photo, batch = values.pop("media_asset_id"), values.pop("batch_key")
    return {"photo": str(photo), "batch": batch, **values}
