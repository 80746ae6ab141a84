"""What must always hold. Each function looks at rows and objects and names what is broken.

A batch of None is the whole archive: all rows are looked at, and a sample of objects that is another one every time.
What is allowed and yet not as it should be is in `guardrails`; which findings stop a run is decided in `defs.checks`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.ledger import Kind
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive

Row = dict[str, Any]

# Objects are looked at in samples: of this many in a batch, spread evenly over it, or of this many photos of the whole
# archive, drawn at random. `trr reconcile` looks at all.
SAMPLE = 60
LOOK_THREADS = 8
EXAMPLES = 10
MIN_GRID_REDUCTION = 0.70


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds, in how many places it was looked at, and where it does not.

    `broken` are examples, `worst_batches` the batches with the most of them, `tables` whatever else is worth a look.
    """

    passed: bool
    looked_at: int
    broken_count: int
    broken: list[Row]
    numbers: dict[str, int | float]
    worst_batches: list[Row] = field(default_factory=list)
    tables: dict[str, list[Row]] = field(default_factory=dict)


def finding(
    looked_at: int, broken: Iterable[Row], tables: dict[str, list[Row]] | None = None, **numbers: float
) -> Finding:
    """Count what is broken, by batch, and keep a few examples; memory does not grow with the count."""
    batches: Counter[str] = Counter()
    examples: list[Row] = []
    for row in broken:
        batches[row["batch"]] += 1
        if len(examples) < EXAMPLES:
            examples.append(row)
    worst = [{"batch": batch, "broken": count} for batch, count in batches.most_common(EXAMPLES)]
    return Finding(not batches, looked_at, batches.total(), examples, dict(numbers), worst, tables or {})


def originals_are_intact(archive: Archive, batch: str | None) -> Finding:
    """Every sampled original stands in the store with the size and hash that its row says."""
    return _objects_match(archive, batch, "original")


def objects_stand_for_rows(archive: Archive, batch: str | None) -> Finding:
    """Every sampled variant row has its object, with the size and hash that the row says."""
    return _objects_match(archive, batch, "base", "crop")


def _objects_match(archive: Archive, batch: str | None, *kinds: Kind) -> Finding:
    with archive.database.transaction() as conn:
        rows_by_kind = [
            reports.sampled_objects(conn, SAMPLE, kind) if batch is None else reports.batch_objects(conn, batch, kind)
            for kind in kinds
        ]
    sample = [row for rows in rows_by_kind for row in rows[:: max(1, -(-len(rows) // SAMPLE))]]
    with ThreadPoolExecutor(LOOK_THREADS) as threads:
        objects = list(threads.map(lambda row: archive.store.head(row["hosted_key"]), sample))
    broken = [
        {
            "photo": str(row["media_asset_id"]),
            "batch": row["batch_key"],
            "key": row["hosted_key"],
            "expected": f"{row['bytes']} bytes, sha256 {row['sha256'][:12]}…",
            "found": "no object" if found is None else f"{found.bytes} bytes, sha256 {found.sha256[:12]}…",
        }
        for row, found in zip(sample, objects, strict=True)
        if found is None or (found.bytes, found.sha256) != (row["bytes"], row["sha256"])
    ]
    return finding(len(sample), broken)


def variant_sets_are_complete(archive: Archive, batch: str | None) -> Finding:
    """Every photo called complete has each rendition key, of one recipe and one version of its original."""
    with archive.database.transaction() as conn:
        looked_at = reports.batch_generations(conn, batch, "base")["complete"]
        rows = reports.incomplete_sets(conn, batch, is_crop=False, keys=len(BASE.targets))
        return finding(looked_at, map(_told, rows))


def active_crops_are_rendered(archive: Archive, batch: str | None) -> Finding:
    """Every photo called complete serves the set of its active crop, whole."""
    with archive.database.transaction() as conn:
        looked_at = reports.batch_generations(conn, batch, "crop")["complete"]
        sets = reports.incomplete_sets(conn, batch, is_crop=True, keys=len(CROP.targets))
        return finding(looked_at, map(_told, chain(sets, reports.crops_not_rendered(conn, batch))))


def nothing_was_upscaled(archive: Archive, batch: str | None) -> Finding:
    """No variant is larger than what it was made from."""
    with archive.database.transaction() as conn:
        looked_at = reports.batch_variants(conn, batch, is_crop=None)["rows"]
        return finding(looked_at, map(_told, reports.upscaled(conn, batch)))


def grid_bytes_fell(archive: Archive, batch: str | None) -> Finding:
    """In each batch, the median photo of a gallery grid costs at least 70 % fewer bytes than its original."""
    if batch is None:
        return _grids_fell(archive)
    with archive.database.transaction() as conn:
        grid = reports.grid_bytes(conn, batch)
        fell = grid["photos"] == 0 or grid["median_reduction"] >= MIN_GRID_REDUCTION
        worst = [] if fell else reports.batch_worst(conn, batch, EXAMPLES)
    broken = [
        {"photo": str(row["id"]), "batch": batch, "before": row["before"], "after": row["after"]} for row in worst
    ]
    return finding(grid["photos"], broken, median_reduction_percent=round(100 * grid["median_reduction"], 2))


def _grids_fell(archive: Archive) -> Finding:
    """The batches whose grid did not fall; all at once, so that a few bad ones are not lost in the median of all."""
    with archive.database.transaction() as conn:
        batches = reports.grid_by_batch(conn)
    broken = [
        {
            "batch": row["batch_key"],
            "photos": row["photos"],
            "median reduction percent": round(100 * row["median_reduction"], 2),
        }
        for row in batches
        if row["median_reduction"] < MIN_GRID_REDUCTION
    ]
    return finding(sum(row["photos"] for row in batches), broken)


def _told(row: Row) -> Row:
    """The row in types that a table can show, its photo and batch first."""
    rest = {name: value for name, value in row.items() if name not in ("media_asset_id", "batch_key")}
    return {"photo": str(row["media_asset_id"]), "batch": row["batch_key"], **rest}
