"""What must always hold of a batch. Each function looks at rows and objects and names what is broken.

Which of them stop a run is decided in `defs.checks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.ledger import Kind
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.archive import Archive

# Objects are looked at in samples of this many, spread evenly over a batch: `trr reconcile` looks at all.
SAMPLE = 60
LOOK_THREADS = 8
EXAMPLES = 10
MIN_GRID_REDUCTION = 0.70


@dataclass(frozen=True)
class Finding:
    """Whether a claim holds, in how many places it was looked at, and where it does not (`broken`: examples)."""

    passed: bool
    looked_at: int
    broken_count: int
    broken: list[dict[str, Any]]
    numbers: dict[str, int | float]


def _finding(looked_at: int, broken: Sequence[dict[str, Any]], **numbers: float) -> Finding:
    return Finding(not broken, looked_at, len(broken), [dict(row) for row in broken[:EXAMPLES]], dict(numbers))


def originals_are_intact(archive: Archive, batch: str) -> Finding:
    """Every sampled original stands in the store with the size and hash that its row says."""
    return _objects_match(archive, batch, "original")


def objects_stand_for_rows(archive: Archive, batch: str) -> Finding:
    """Every sampled variant row has its object, with the size and hash that the row says."""
    return _objects_match(archive, batch, "base", "crop")


def _objects_match(archive: Archive, batch: str, *kinds: Kind) -> Finding:
    with archive.database.transaction() as conn:
        rows_by_kind = [reports.batch_objects(conn, batch, kind) for kind in kinds]
    sample = [row for rows in rows_by_kind for row in rows[:: max(1, -(-len(rows) // SAMPLE))]]
    with ThreadPoolExecutor(LOOK_THREADS) as threads:
        objects = list(threads.map(lambda row: archive.store.head(row["hosted_key"]), sample))
    broken = [
        {
            "photo": str(row["media_asset_id"]),
            "key": row["hosted_key"],
            "expected": f"{row['bytes']} bytes, sha256 {row['sha256'][:12]}…",
            "found": "no object" if found is None else f"{found.bytes} bytes, sha256 {found.sha256[:12]}…",
        }
        for row, found in zip(sample, objects, strict=True)
        if found is None or (found.bytes, found.sha256) != (row["bytes"], row["sha256"])
    ]
    return _finding(len(sample), broken)


def variant_sets_are_complete(archive: Archive, batch: str) -> Finding:
    """Every photo called complete has each rendition key, of one recipe and one version of its original."""
    with archive.database.transaction() as conn:
        looked_at = reports.batch_generations(conn, batch, "base")["complete"]
        rows = reports.incomplete_sets(conn, batch, is_crop=False, keys=len(BASE.targets))
    return _finding(looked_at, [_with_photo(row) for row in rows])


def active_crops_are_rendered(archive: Archive, batch: str) -> Finding:
    """Every photo called complete serves the set of its active crop, whole."""
    with archive.database.transaction() as conn:
        looked_at = reports.batch_generations(conn, batch, "crop")["complete"]
        rows = reports.incomplete_sets(conn, batch, is_crop=True, keys=len(CROP.targets))
        rows += reports.crops_not_rendered(conn, batch)
    return _finding(looked_at, [_with_photo(row) for row in rows])


def nothing_was_upscaled(archive: Archive, batch: str) -> Finding:
    """No variant is larger than what it was made from."""
    with archive.database.transaction() as conn:
        looked_at = sum(reports.batch_variants(conn, batch, is_crop=is_crop)["rows"] for is_crop in (False, True))
        rows = reports.upscaled(conn, batch)
    return _finding(looked_at, [_with_photo(row) for row in rows])


def grid_bytes_fell(archive: Archive, batch: str) -> Finding:
    """The median photo of a gallery grid costs at least 70 % fewer bytes than its original."""
    with archive.database.transaction() as conn:
        grid = reports.grid_bytes(conn, batch)
        worst = reports.batch_worst(conn, batch, EXAMPLES)
    fell = grid["photos"] == 0 or grid["median_reduction"] >= MIN_GRID_REDUCTION
    broken = [{"photo": str(row["id"]), "before": row["before"], "after": row["after"]} for row in worst if not fell]
    return _finding(grid["photos"], broken, median_reduction_percent=round(100 * grid["median_reduction"], 2))


def _with_photo(row: dict[str, Any]) -> dict[str, Any]:
    """The row in types that a table can show, its photo first."""
    return {"photo": str(row["media_asset_id"])} | {
        name: value for name, value in row.items() if name != "media_asset_id"
    }
