"""Status of the whole archive: photos and work by state, bytes, failures, the oldest live work. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from trr_pipelines.catalogue import batches, crops
from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as

_queries = load_queries("status.sql")

CHURN_DAYS = 30
PHOTO_STATES = ("pending", "mirrored", "failed")
WORK_STATES = ("pending", "complete", "failed")


class ObjectTotals(TypedDict):
    """Objects of one kind and their bytes."""

    count: int
    bytes: int


class GridStatus(TypedDict):
    """Median bytes of a photo in a gallery grid, before and after, and the median share saved (0 to 1)."""

    median_bytes_before: int
    median_bytes_after: int
    median_reduction: float


class CropChurn(TypedDict):
    """Crop edits per day over 30 days, signatures per photo, and the share of proposals corrected (0 to 1)."""

    edits_per_day: float
    signatures_per_photo: float
    proposals_corrected: float


class ArchiveStatus(TypedDict):
    """The output of `trr status --json`."""

    assets: dict[str, int]
    generations: dict[str, dict[str, int]]
    originals: ObjectTotals
    variants: ObjectTotals
    grid: GridStatus
    crops: CropChurn
    failed_by_reason: dict[str, int]
    failed_by_source: dict[str, int]
    lag_seconds: float


@dataclass(frozen=True)
class Lag:
    """Seconds that the oldest live work has waited, and photos with open live work."""

    seconds: float
    photos: int


@dataclass(frozen=True)
class _StateCount:
    state: str
    photos: int


@dataclass(frozen=True)
class _WorkCount:
    kind: str
    state: str
    photos: int


def archive_status(conn: Connection) -> ArchiveStatus:
    """The whole archive in figures, as `trr status --json` prints it."""
    failures = batches.failed_photos(conn)
    grid = batches.grid_bytes(conn)
    return {
        "assets": _by_state(rows_as(_StateCount, _queries.assets_by_state(conn)), PHOTO_STATES),
        "generations": {kind: states for kind, states in generations(conn).items() if kind != "original"},
        "originals": _queries.originals_total(conn),
        "variants": _queries.variants_total(conn),
        "grid": {
            "median_bytes_before": grid.median_bytes_before,
            "median_bytes_after": grid.median_bytes_after,
            "median_reduction": grid.median_reduction,
        },
        "crops": crop_churn(conn),
        "failed_by_reason": dict(Counter(photo.reason for photo in failures).most_common()),
        "failed_by_source": dict(Counter(photo.source for photo in failures).most_common()),
        "lag_seconds": lag_seconds(conn),
    }


def generations(conn: Connection) -> dict[str, dict[str, int]]:
    """Photos by kind of work (original, base, crop) and state. Reads the whole ledger."""
    counts = rows_as(_WorkCount, _queries.generations_by_state(conn))
    return {
        kind: _by_state((count for count in counts if count.kind == kind), WORK_STATES)
        for kind in ("original", "base", "crop")
    }


def live_lag(conn: Connection) -> Lag:
    """How long live work waits; costs what is open, not what exists. Work of backfills does not count."""
    lag = row_as(Lag, _queries.live_lag(conn))
    assert lag is not None
    return lag


def lag_seconds(conn: Connection) -> float:
    """Seconds that the oldest live work has waited, to one decimal."""
    return round(live_lag(conn).seconds, 1)


def crop_churn(conn: Connection) -> CropChurn:
    """Crop edits, signatures and corrected proposals, as rates."""
    churn = crops.churn(conn, CHURN_DAYS)
    return {
        "edits_per_day": round(churn.edits / CHURN_DAYS, 2),
        "signatures_per_photo": round(churn.signatures / churn.photos, 2) if churn.photos else 0.0,
        "proposals_corrected": round(churn.corrected / churn.proposed, 4) if churn.proposed else 0.0,
    }


def count_links(conn: Connection) -> int:
    """Links of photos to shows, seasons and people."""
    count: int = _queries.count_links(conn)
    return count


def _by_state(counts: Iterable[_StateCount | _WorkCount], states: Sequence[str]) -> dict[str, int]:
    known = {count.state: count.photos for count in counts}
    return {state: known.get(state, 0) for state in states}
