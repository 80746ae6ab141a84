"""The delivery report: numbers that Dagster plots over time, and tables.

`defs.delivery_metrics` formats them for Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from trr_pipelines.catalogue import delivery_metrics
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.delivery_metrics import Figures
from trr_pipelines.pipeline.reporting.delivery_metrics import measure_delivery

TableRow = dict[str, str | int | float | bool]
"""A row of a table in Dagster: a value for each column title."""
History = dict[date, Figures]

TABLE_DAYS = 14
KEYS = ("original", "thumb", "card", "detail", "crop_card", "crop_detail")

_COUNTS = (
    ("photos_mirrored", "photos", "mirrored"),
    ("photos_pending", "photos", "pending"),
    ("photos_failed", "photos", "failed"),
    ("base_complete", "complete_photos", "base"),
    ("base_failed", "failed_photos", "base"),
    ("crop_complete", "complete_photos", "crop"),
    ("crop_failed", "failed_photos", "crop"),
    ("saved_bytes", "saved_bytes", ""),
    ("saved_bytes_per_picture", "saved_per_picture_bytes", ""),
    *((f"{key}_{name}_bytes", f"delivered_{name}_bytes", key) for key in KEYS for name in ("p50", "p95")),
    ("original_bytes", "stored_bytes", "originals"),
    ("derivative_bytes", "stored_bytes", "derivatives"),
    ("retired_bytes", "stored_bytes", "retired"),
)
_TIMES_AND_RATES = (
    ("lag_seconds", "lag_seconds", ""),
    ("import_to_served_p50_seconds", "import_to_served_p50_seconds", "live"),
    ("import_to_served_p95_seconds", "import_to_served_p95_seconds", "live"),
    ("batch_run_p50_seconds", "batch_run_p50_seconds", ""),
    ("batch_run_p95_seconds", "batch_run_p95_seconds", ""),
    ("photos_per_second", "rendered_photos_per_second", ""),
    ("crop_edits_per_day", "crop_edits_per_day", ""),
    ("crop_signatures_per_photo", "crop_signatures_per_photo", ""),
)


@dataclass(frozen=True)
class DeliveryReport:
    """Numbers that Dagster plots over time; tables by title."""

    numbers: dict[str, int | float]
    tables: dict[str, list[TableRow]]


def report_delivery(database: Database, day: date | None = None) -> DeliveryReport:
    """Compute the figures of `day` (UTC, default today), and report them with the last days."""
    day = day or datetime.now(UTC).date()
    figures = measure_delivery(database, day)
    history = database.read(lambda conn: delivery_metrics.history(conn, day, TABLE_DAYS))
    return DeliveryReport(_numbers(figures, history, day), _tables(figures, history))


def _numbers(figures: Figures, history: History, day: date) -> dict[str, int | float]:
    numbers: dict[str, int | float] = {
        name: round(figures[figure, dimension]) for name, figure, dimension in _COUNTS if (figure, dimension) in figures
    }
    for name, figure, dimension in _TIMES_AND_RATES:
        if (figure, dimension) in figures:
            numbers[name] = round(figures[figure, dimension], 2)
    if ("saved_ratio", "") in figures:
        numbers["saved_percent"] = round(100 * figures["saved_ratio", ""], 2)
    numbers["crop_corrected_percent"] = round(100 * figures["crop_corrected_ratio", ""], 2)
    earlier = [known for known in history if known < day]
    if earlier:
        before = history[earlier[-1]]
        days = (day - earlier[-1]).days
        for kind in ("originals", "derivatives", "retired"):
            grown = figures["stored_bytes", kind] - before.get(("stored_bytes", kind), 0)
            numbers[f"{kind}_growth_bytes_per_day"] = round(grown / days)
    return numbers


def _tables(figures: Figures, history: History) -> dict[str, list[TableRow]]:
    keys = [key for key in KEYS if ("delivered_p50_bytes", key) in figures]
    return {
        "payload_by_key": [
            {
                "key": key,
                "p50 bytes": round(figures["delivered_p50_bytes", key]),
                "p95 bytes": round(figures["delivered_p95_bytes", key]),
            }
            for key in keys
        ],
        "failures_by_reason": [
            {"reason": reason, "photos": round(photos)}
            for reason, photos in sorted(_by(figures, "failures").items(), key=lambda item: -item[1])
        ],
        "failure_rate_by_source": [
            {"source": source, "failed percent": round(100 * ratio, 2)}
            for source, ratio in sorted(_by(figures, "failure_ratio").items(), key=lambda item: -item[1])
        ],
        "last_days": [_day(day, history[day]) for day in sorted(history, reverse=True)[:TABLE_DAYS]],
    }


def _day(day: date, figures: Figures) -> TableRow:
    def value(figure: str, dimension: str = "") -> float | str:
        known = figures.get((figure, dimension))
        return "" if known is None else round(known)

    return {
        "day": str(day),
        "mirrored": value("photos", "mirrored"),
        "failed": value("photos", "failed"),
        "lag seconds": value("lag_seconds"),
        "saved bytes per picture": value("saved_per_picture_bytes"),
        "card p50 bytes": value("delivered_p50_bytes", "card"),
        "card p95 bytes": value("delivered_p95_bytes", "card"),
        "originals bytes": value("stored_bytes", "originals"),
        "derivatives bytes": value("stored_bytes", "derivatives"),
    }


def _by(figures: Figures, name: str) -> dict[str, float]:
    """The values of a metric by dimension."""
    return {dimension: value for (figure, dimension), value in figures.items() if figure == name}
