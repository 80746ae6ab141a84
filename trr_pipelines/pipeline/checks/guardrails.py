"""What is allowed and yet not as it should be: originals near the limits, sources that fail, live work that waits.

Every threshold stands here, with its reason. All are warnings: whoever looks after a source hears of it before photos
are refused. What must always hold is in `invariants`. A batch of None is the whole archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from trr_pipelines.catalogue import guardrails
from trr_pipelines.catalogue.guardrails import SizeLimits
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks.invariants import Finding, finding

Row = dict[str, Any]

# The limits above which an original is refused are in `imaging.decode`: 50 MB, 75 Mpx, 30,000 px. These are about half:
# 20 MB is seven times the mean original (3 MB) and more than a camera's finest JPEG of 24 Mpx; above 40 Mpx a photo of
# an unlucky format takes seconds and hundreds of MB to render (docs/rendering.md); a longer side than 15,000 px is a
# panorama, a scroll or a trap, and no photo for a gallery.
GUARDRAILS = SizeLimits(max_bytes=20_000_000, max_pixels=40_000_000, max_side=15_000)

# Of a source that works, one photo in a hundred or so is a dead link or a broken file. One in ten is a source that has
# changed; below 20 photos one or two of them would say nothing.
MAX_FAILED_SHARE = 0.10
MIN_TRIED_PHOTOS = 20

# A batch of 500 takes a few minutes, and the last of a photo's attempts comes 32 minutes after the one before.
MAX_WAIT_SECONDS = 3600.0
WAITS = {"original": "original_images", "base": "base_variants", "crop": "crop_variants"}
WORST = 10


def originals_within_guardrails(archive: Archive, batch: str | None) -> Finding:
    """No original is above 20 MB, 40 megapixels or 15,000 pixels a side: such photos are slow, and near the limits."""
    with archive.database.transaction() as conn:
        by_source = guardrails.sources(conn, batch, GUARDRAILS)
        looked_at = sum(row["originals"] for row in by_source)
        return finding(
            looked_at, map(_oversized, guardrails.oversized(conn, batch, GUARDRAILS)), {"by_source": _sizes(by_source)}
        )


def failure_rate_by_source(archive: Archive, batch: str | None) -> Finding:
    """Of each source with at least 20 photos that were tried, no more than 10 % failed."""
    with archive.database.transaction() as conn:
        rows = guardrails.sources(conn, batch, GUARDRAILS)
        failing = guardrails.failing_batches(conn, WORST) if batch is None else []
    counted = [row for row in rows if row["tried"] >= MIN_TRIED_PHOTOS]
    broken = [
        {
            "source": row["source"],
            "failed percent": _percent(row),
            "limit percent": 100 * MAX_FAILED_SHARE,
            "failed": row["failed"],
            "tried": row["tried"],
            "most frequent reason": row["reason"],
        }
        for row in sorted(counted, key=_percent, reverse=True)
        if row["failed"] > MAX_FAILED_SHARE * row["tried"]
    ]
    worst = [{"batch": row["batch_key"], "failed": row["failed"], "reason": row["reason"]} for row in failing]
    return Finding(not broken, len(counted), len(broken), broken[:WORST], {}, worst, {"by_source": _outcomes(rows)})


def live_work_waits_less_than_an_hour(archive: Archive) -> Finding:
    """No photo of the live lane waits for its original, its variants or a retry for more than an hour."""
    with archive.database.transaction() as conn:
        rows = guardrails.waiting(conn, MAX_WAIT_SECONDS)
    numbers: dict[str, int | float] = {}
    for kind, asset in WAITS.items():
        of_kind = [row for row in rows if row["kind"] == kind]
        numbers[f"{asset}_open"] = sum(row["open"] for row in of_kind)
        numbers[f"{asset}_oldest_minutes"] = _minutes(max((row["oldest_seconds"] for row in of_kind), default=0.0))
    overdue = [
        {
            "asset": WAITS[row["kind"]],
            "batch": row["batch_key"],
            "photos": row["overdue"],
            "oldest minutes": _minutes(row["oldest_seconds"]),
            "limit minutes": _minutes(MAX_WAIT_SECONDS),
            "photo": str(row["media_asset_id"]),
        }
        for row in rows
        if row["overdue"]
    ]
    count = sum(row["photos"] for row in overdue)
    return Finding(not overdue, sum(row["open"] for row in rows), count, overdue[:WORST], numbers)


def archive_figures(archive: Archive) -> tuple[dict[str, int], list[Row]]:
    """The whole archive in numbers, and a row for each source: what it delivers, how much is oversized, what fails."""
    with archive.database.transaction() as conn:
        rows = guardrails.sources(conn, None, GUARDRAILS)
    names = ("photos", "originals", "bytes", "oversized", "tried", "failed")
    sources = [size | outcome for size, outcome in zip(_sizes(rows), _outcomes(rows), strict=True)]
    return {name: sum(row[name] for row in rows) for name in names}, sources


def _oversized(row: Row) -> Row:
    over = " and ".join(f"{value:,} {unit}, above {limit:,}" for value, limit, unit in _over(row))
    return {
        "photo": str(row["media_asset_id"]),
        "batch": row["batch_key"],
        "source": row["source"],
        "what": over,
        "file": row["source_url"],
    }


def _over(row: Row) -> Iterator[tuple[int, int, str]]:
    width, height = row["width"], row["height"]
    for value, limit, unit in (
        (row["bytes"], GUARDRAILS.max_bytes, "bytes"),
        (width * height, GUARDRAILS.max_pixels, "pixels"),
        (max(width, height), GUARDRAILS.max_side, "pixels a side"),
    ):
        if value > limit:
            yield value, limit, unit


def _sizes(rows: list[Row]) -> list[Row]:
    names = ("source", "originals", "oversized", "median_bytes", "largest_bytes", "most_pixels")
    return [{name.replace("_", " "): row[name] for name in names} for row in rows]


def _outcomes(rows: list[Row]) -> list[Row]:
    return [
        {
            "source": row["source"],
            "photos": row["photos"],
            "tried": row["tried"],
            "failed": row["failed"],
            "failed percent": _percent(row),
            "most frequent reason": row["reason"] or "",
        }
        for row in rows
    ]


def _percent(row: Row) -> float:
    return round(100 * row["failed"] / row["tried"], 1) if row["tried"] else 0.0


def _minutes(seconds: float) -> float:
    return round(seconds / 60, 1)
