"""Guardrails: originals near the limits, failing sources, live work that waits too long.

All thresholds are here, with their reasons. All are warnings, so that the owner of a source can act before photos are
refused. What must always hold is in `invariants`. With a batch of None, the whole archive is checked.
"""

from __future__ import annotations

from collections.abc import Iterator

from trr_pipelines.catalogue import guardrails
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.guardrails import OversizedOriginal, SizeLimits, SourceFigures
from trr_pipelines.foreign_text import shown_url
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks.invariants import Finding, TableRow, finding

# The limits above which an original is refused are in `imaging.decode`: 50 MB, 75 Mpx, 30,000 px. These are about half:
# 20 MB is seven times the mean original (3 MB) and more than a camera's finest JPEG of 24 Mpx; above 40 Mpx a photo of
# an expensive format takes seconds and hundreds of MB to render (docs/measurements/rendering.md); a longer side than
# 15,000 px is a panorama, a scroll or an attack, and no photo for a gallery.
GUARDRAILS = SizeLimits(max_bytes=20_000_000, max_pixels=40_000_000, max_side=15_000)

# Of a source that works, about one photo in a hundred is a dead link or a broken file. One in ten is a source that has
# changed; below 20 photos, one or two failures say nothing.
MAX_FAILED_SHARE = 0.10
MIN_TRIED_PHOTOS = 20

# A batch of 500 takes a few minutes, and the last attempt at a photo comes 32 minutes after the one before.
MAX_WAIT_SECONDS = 3600.0
ASSETS = {"original": "original_images", "base": "base_variants", "crop": "crop_variants"}
WORST = 10


def originals_within_guardrails(archive: Archive, batch: str | None) -> Finding:
    """No original is above 20 MB, 40 megapixels or 15,000 pixels a side: such photos are slow, and near the limits."""

    def find(conn: Connection) -> Finding:
        by_source = guardrails.sources(conn, batch, GUARDRAILS)
        looked_at = sum(source.originals for source in by_source)
        oversized = guardrails.oversized(conn, batch, GUARDRAILS)
        return finding(looked_at, map(_oversized, oversized), {"by_source": [_sizes(source) for source in by_source]})

    return archive.database.read(find)


def failure_rate_by_source(archive: Archive, batch: str | None) -> Finding:
    """Of each source with at least 20 photos that were tried, no more than 10 % failed."""
    by_source, failing = archive.database.read(
        lambda conn: (
            guardrails.sources(conn, batch, GUARDRAILS),
            guardrails.failing_batches(conn, WORST) if batch is None else [],
        )
    )
    counted = [source for source in by_source if source.tried >= MIN_TRIED_PHOTOS]
    broken: list[TableRow] = [
        {
            "source": source.source,
            "failed percent": _failed_percent(source),
            "limit percent": 100 * MAX_FAILED_SHARE,
            "failed": source.failed,
            "tried": source.tried,
            "most frequent reason": source.reason or "",
        }
        for source in sorted(counted, key=_failed_percent, reverse=True)
        if source.failed > MAX_FAILED_SHARE * source.tried
    ]
    worst: list[TableRow] = [
        {"batch": batch.batch_key, "failed": batch.failed, "reason": batch.reason} for batch in failing
    ]
    tables = {"by_source": [_outcomes(source) for source in by_source]}
    return Finding(not broken, len(counted), len(broken), broken[:WORST], {}, worst, tables)


def live_work_waits_less_than_an_hour(archive: Archive) -> Finding:
    """No photo of the live lane waits for its original, its variants or a retry for more than an hour."""
    waiting = archive.database.read(lambda conn: guardrails.waiting(conn, MAX_WAIT_SECONDS))
    numbers: dict[str, int | float] = {}
    for kind, asset in ASSETS.items():
        of_kind = [work for work in waiting if work.kind == kind]
        numbers[f"{asset}_open"] = sum(work.open for work in of_kind)
        numbers[f"{asset}_oldest_minutes"] = _minutes(max((work.oldest_seconds for work in of_kind), default=0.0))
    overdue: list[TableRow] = [
        {
            "asset": ASSETS[work.kind],
            "batch": work.batch_key,
            "photos": work.overdue,
            "oldest minutes": _minutes(work.oldest_seconds),
            "limit minutes": _minutes(MAX_WAIT_SECONDS),
            "photo": str(work.media_asset_id),
        }
        for work in waiting
        if work.overdue
    ]
    count = sum(work.overdue for work in waiting)
    return Finding(not overdue, sum(work.open for work in waiting), count, overdue[:WORST], numbers)


def archive_figures(archive: Archive) -> tuple[dict[str, int], list[TableRow]]:
    """Totals of the whole archive, and a table of sources: originals, oversized ones, failures."""
    by_source = archive.database.read(lambda conn: guardrails.sources(conn, None, GUARDRAILS))
    totals = {
        "photos": sum(source.photos for source in by_source),
        "originals": sum(source.originals for source in by_source),
        "bytes": sum(source.bytes for source in by_source),
        "oversized": sum(source.oversized for source in by_source),
        "tried": sum(source.tried for source in by_source),
        "failed": sum(source.failed for source in by_source),
    }
    return totals, [_sizes(source) | _outcomes(source) for source in by_source]


def _oversized(original: OversizedOriginal) -> TableRow:
    over = " and ".join(f"{value:,} {unit}, above {limit:,}" for value, limit, unit in _over(original))
    return {
        "photo": str(original.media_asset_id),
        "batch": original.batch_key,
        "source": original.source,
        "what": over,
        "file": shown_url(original.source_url),
    }


def _over(original: OversizedOriginal) -> Iterator[tuple[int, int, str]]:
    """Each exceeded limit: value, limit, unit."""
    for value, limit, unit in (
        (original.bytes, GUARDRAILS.max_bytes, "bytes"),
        (original.width * original.height, GUARDRAILS.max_pixels, "pixels"),
        (max(original.width, original.height), GUARDRAILS.max_side, "pixels a side"),
    ):
        if value > limit:
            yield value, limit, unit


def _sizes(source: SourceFigures) -> TableRow:
    return {
        "source": source.source,
        "originals": source.originals,
        "oversized": source.oversized,
        "median bytes": source.median_bytes,
        "largest bytes": source.largest_bytes,
        "most pixels": source.most_pixels,
    }


def _outcomes(source: SourceFigures) -> TableRow:
    return {
        "source": source.source,
        "photos": source.photos,
        "tried": source.tried,
        "failed": source.failed,
        "failed percent": _failed_percent(source),
        "most frequent reason": source.reason or "",
    }


def _failed_percent(source: SourceFigures) -> float:
    return round(100 * source.failed / source.tried, 1) if source.tried else 0.0


def _minutes(seconds: float) -> float:
    return round(seconds / 60, 1)
