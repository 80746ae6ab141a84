"""The delivery report: numbers that are plotted over time, tables, and plots of the history.

Numbers, rows and pictures only; `defs.delivery_metrics` formats them for Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from trr_pipelines.catalogue import delivery_metrics
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.delivery_metrics import Figures
from trr_pipelines.pipeline.reporting import plots
from trr_pipelines.pipeline.reporting.delivery_metrics import measure_delivery

TableRow = dict[str, str | int | float | bool]
"""A row of a table in Dagster: a value for each column title."""
History = dict[date, Figures]

SHOWN_DAYS = 90
TABLE_DAYS = 14
PLOTTED_SOURCES = 8
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
    """Numbers that are plotted over time; tables and plots (data URIs of PNG) by title."""

    numbers: dict[str, int | float]
    tables: dict[str, list[TableRow]]
    plots: dict[str, str]


def report_delivery(database: Database, day: date | None = None) -> DeliveryReport:
    """Compute the figures of `day` (UTC, default today), and report them and the last 90 days."""
    day = day or datetime.now(UTC).date()
    figures = measure_delivery(database, day)
    history = database.read(lambda conn: delivery_metrics.history(conn, day, SHOWN_DAYS))
    return DeliveryReport(_numbers(figures, history, day), _tables(figures, history), _plots(figures, history))


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


def _plots(figures: Figures, history: History) -> dict[str, str]:
    keys = [key for key in KEYS if ("delivered_p50_bytes", key) in figures]
    drawn = {}
    if keys:
        payload = {name: [figures[f"delivered_{name}_bytes", key] for key in keys] for name in ("p50", "p95")}
        drawn["payload_by_key"] = plots.bars("Bytes of a delivered picture", keys, payload, _bytes)
        saved = _over_days(history, {"saved": ("saved_per_picture_bytes", "")})
        drawn["saved_per_picture"] = plots.lines("Bytes saved per delivered picture", saved, _bytes)
    stored = _over_days(history, {kind: ("stored_bytes", kind) for kind in ("originals", "derivatives", "retired")})
    drawn["storage"] = plots.layers("Bytes in the store", stored, _bytes)
    rates = sorted(_by(figures, "failure_ratio").items(), key=lambda item: -item[1])[:PLOTTED_SOURCES]
    if rates:
        percents = {"failed": [100 * ratio for _, ratio in rates]}
        drawn["failures"] = plots.bars("Failed photos by source", [name[:24] for name, _ in rates], percents, _percent)
    times = {f"served {name}": (f"import_to_served_{name}_seconds", "live") for name in ("p50", "p95")}
    waiting = _over_days(history, {"lag": ("lag_seconds", ""), **times})
    drawn["waiting"] = plots.lines("From import to served, and the oldest waiting work", waiting, _seconds)
    return drawn


def _by(figures: Figures, name: str) -> dict[str, float]:
    """The values of a metric by dimension."""
    return {dimension: value for (figure, dimension), value in figures.items() if figure == name}


def _over_days(history: History, series: dict[str, tuple[str, str]]) -> dict[str, dict[date, float]]:
    """By name, the values of the days that have this metric."""
    by_name = {
        name: {day: figures[figure] for day, figures in history.items() if figure in figures}
        for name, figure in series.items()
    }
    return {name: values for name, values in by_name.items() if values}


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    size, name = next(((size, name) for size, name in units if abs(value) >= size), units[-1])
    return f"{value / size:.3g} {name}"


def _bytes(value: float) -> str:
    return _scaled(value, ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")))


def _seconds(value: float) -> str:
    return _scaled(value, ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")))


def _percent(value: float) -> str:
    return f"{value:.3g} %"
