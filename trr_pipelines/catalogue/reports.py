"""What the catalogue tells people: status of everything, statistics of a batch, what invariants are broken.

Reads only; every function is one or a few named queries. Where a batch may be None, that is the whole archive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import crops
from trr_pipelines.catalogue.database import Connection, load_queries, streamed

_queries = load_queries("reports.sql")

Row = dict[str, Any]
CHURN_DAYS = 30
ROWS_AT_A_TIME = 5_000


def status(conn: Connection) -> Row:
    """The whole archive in figures, as `trr status --json` prints it. Reductions are shares of 1."""
    failures = failed_photos(conn)
    grid = grid_bytes(conn)
    return {
        "assets": _by_state(_queries.assets_by_state(conn), ("pending", "mirrored", "failed")),
        "generations": {kind: states for kind, states in generations(conn).items() if kind != "original"},
        "originals": _queries.originals_total(conn),
        "variants": _queries.variants_total(conn),
        "grid": {name: grid[name] for name in ("median_bytes_before", "median_bytes_after", "median_reduction")},
        "crops": crop_churn(conn),
        "failed_by_reason": dict(Counter(row["reason"] for row in failures).most_common()),
        "failed_by_source": dict(Counter(row["source"] for row in failures).most_common()),
        "lag_seconds": lag_seconds(conn),
    }


def generations(conn: Connection) -> dict[str, dict[str, int]]:
    """Photos by kind of work (original, base, crop) and its state. Reads the whole ledger."""
    rows = list(_queries.generations_by_state(conn))
    return {
        kind: _by_state((row for row in rows if row["kind"] == kind), ("pending", "complete", "failed"))
        for kind in ("original", "base", "crop")
    }


@dataclass(frozen=True)
class Lag:
    """For how many seconds the oldest live work waits, and the photos that have any."""

    seconds: float
    photos: int


def live_lag(conn: Connection) -> Lag:
    """How long live work waits; costs what is open, not what exists. Backfills are nobody's to wait for."""
    return Lag(**_queries.live_lag(conn))


def lag_seconds(conn: Connection) -> float:
    """For how many seconds the oldest live work waits, in tenths."""
    return round(live_lag(conn).seconds, 1)


def crop_churn(conn: Connection) -> dict[str, float]:
    """Edits a day over the last 30, signatures per photo, and the share (0 to 1) of proposals that were corrected."""
    churn = crops.churn(conn, CHURN_DAYS)
    return {
        "edits_per_day": round(churn.edits / CHURN_DAYS, 2),
        "signatures_per_photo": round(churn.signatures / churn.photos, 2) if churn.photos else 0.0,
        "proposals_corrected": round(churn.corrected / churn.proposed, 4) if churn.proposed else 0.0,
    }


def _by_state(rows: Iterator[Row], states: Sequence[str]) -> dict[str, int]:
    counts = {row["state"]: row["photos"] for row in rows}
    return {state: counts.get(state, 0) for state in states}


def failed_photos(conn: Connection, batch: str | None = None) -> list[Row]:
    """Failed photos, each once, with kind, reason, detail, attempts and the time of the next attempt."""
    return list(_queries.failed_photos(conn, batch=batch))


def grid_bytes(conn: Connection, batch: str | None = None) -> Row:
    """Medians of bytes per photo of a gallery grid: originals before, cards after, and the share saved (0 to 1)."""
    row: Row = _queries.grid(conn, batch=batch)
    return {**row, "median_reduction": round(row["median_reduction"], 4)}


def batch_photos(conn: Connection, batch: str) -> Row:
    """Photos of a batch by state, and the bytes of their originals."""
    row: Row = _queries.batch_photos(conn, batch=batch)
    return row


def batch_progress(conn: Connection, batches: Sequence[str]) -> Row:
    """How far the photos of some batches are: all, ended, with an original."""
    row: Row = _queries.batch_progress(conn, batches=list(batches))
    return row


def batch_generations(conn: Connection, batch: str | None, kind: str) -> Row:
    """Photos of a batch by the state of one kind of work."""
    row: Row = _queries.batch_generations(conn, batch=batch, kind=kind)
    return row


def batch_payloads(conn: Connection, batch: str) -> dict[str, Row]:
    """By rendition key: photos, bytes, p50 and p95 of what browsers get."""
    return {row.pop("variant_key"): row for row in _queries.batch_payloads(conn, batch=batch)}


def batch_variants(conn: Connection, batch: str | None, *, is_crop: bool | None) -> Row:
    """Rows and bytes of the base or crop variants of a batch; of both for None."""
    row: Row = _queries.batch_variants(conn, batch=batch, is_crop=is_crop)
    return row


def batch_worst(conn: Connection, batch: str, limit: int = 12) -> list[Row]:
    """The photos whose card saves least."""
    return list(_queries.batch_worst(conn, batch=batch, limit=limit))


def batch_crops(conn: Connection, batch: str) -> list[Row]:
    """Active crops of a batch by mode and reason."""
    return list(_queries.batch_crops(conn, batch=batch))


def batch_thumbs(conn: Connection, batch: str, variant_key: str, limit: int) -> list[Row]:
    """Object keys of one rendition of a batch, in the order of photo ids."""
    return list(_queries.batch_thumbs(conn, batch=batch, variant_key=variant_key, limit=limit))


def batches_of_photos(conn: Connection, photo_ids: Sequence[UUID]) -> list[str]:
    """The batches that these photos are in."""
    return [row["batch_key"] for row in _queries.batches_of_photos(conn, photo_ids=list(photo_ids))]


def hosted_objects(conn: Connection, bucket: str) -> Iterator[Row]:
    """Every object that a row stands for, by key in byte order; read as it is consumed, inside the transaction."""
    with conn.cursor("hosted_objects") as cursor:
        cursor.itersize = ROWS_AT_A_TIME
        cursor.execute(_queries.hosted_objects.sql, {"bucket": bucket})
        yield from cursor


def rows_of_objects(conn: Connection, keys: Sequence[str]) -> dict[str, bool]:
    """Those of these objects that a row stands for now, and whether one of its rows is not retired."""
    found: dict[str, bool] = {}
    for row in _queries.rows_of_objects(conn, hosted_keys=list(keys)):
        found[row["hosted_key"]] = found.get(row["hosted_key"], False) or row["is_served"]
    return found


def batch_objects(conn: Connection, batch: str, kind: str) -> list[Row]:
    """Objects of a batch (kind original, base or crop) with the bytes and sha256 that their rows say."""
    return list(_queries.batch_objects(conn, batch=batch, kind=kind))


def sampled_objects(conn: Connection, photos: int, kind: str) -> list[Row]:
    """As `batch_objects`, of this many photos drawn at random from the whole archive, others every time."""
    return list(_queries.sampled_objects(conn, photos=photos, kind=kind))


def incomplete_sets(conn: Connection, batch: str | None, *, is_crop: bool, keys: int) -> Iterator[Row]:
    """Photos called complete whose set has not all of its `keys` rendition keys, or is mixed of two."""
    return streamed(conn, _queries.incomplete_sets, batch=batch, is_crop=is_crop, keys=keys)


def crops_not_rendered(conn: Connection, batch: str | None) -> Iterator[Row]:
    """Photos called complete whose active crop is not the one that is served."""
    return streamed(conn, _queries.crops_not_rendered, batch=batch)


def upscaled(conn: Connection, batch: str | None) -> Iterator[Row]:
    """Variants larger than their source."""
    return streamed(conn, _queries.upscaled, batch=batch)


def grid_by_batch(conn: Connection) -> list[Row]:
    """Each batch with the share (0 to 1) that its median photo saves in a gallery grid, the worst first."""
    return list(_queries.grid_by_batch(conn))


def batch_galleries(conn: Connection, batch: str, limit: int) -> list[Row]:
    """Galleries that photos of a batch are in, those with the most first: `entity_kind` (show, person), slug, name."""
    return list(_queries.batch_galleries(conn, batch=batch, limit=limit))


def count_not_current(conn: Connection, batch: str, kind: str, recipe: str) -> int:
    """Photos of a batch that are open, or complete at another recipe."""
    count: int = _queries.count_not_current(conn, batch=batch, kind=kind, recipe=recipe)
    return count


def count_links(conn: Connection) -> int:
    """Links of photos to shows, seasons and people."""
    count: int = _queries.count_links(conn)
    return count


def batch_corrections(conn: Connection, batch: str) -> Row:
    """Crop edits of a batch, its signatures, photos with a proposal, and proposals that were corrected."""
    row: Row = _queries.batch_corrections(conn, batch=batch)
    return row
