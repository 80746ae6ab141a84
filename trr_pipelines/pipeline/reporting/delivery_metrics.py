"""Delivery metrics: computing the figures of a day. Metrics are defined in `metric_definitions`.

`delivery_report` presents them in Dagster, `api.metrics` in Prometheus.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime

import pandas as pd

from trr_pipelines.catalogue import delivery_metrics, operations, status, view_counts
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.delivery_metrics import Figures

MOST_SOURCES = 100
QUANTILES = {"p50": 0.5, "p95": 0.95}


def measure_delivery(database: Database, day: date | None = None) -> Figures:
    """Compute all figures in one snapshot, and store them as those of `day` (UTC, default today).

    A metric without data (no runs, no views of a key) is left out. Locks no existing row.
    """
    figures = database.read(lambda conn: {name: float(value) for name, value in _figures(conn)})
    database.run(lambda conn: delivery_metrics.replace_day(conn, day or datetime.now(UTC).date(), figures))
    return figures


def _figures(conn: Connection) -> Iterator[tuple[tuple[str, str], float]]:
    yield from _counts(conn)
    yield ("lag_seconds", ""), status.lag_seconds(conn)
    stored = delivery_metrics.stored_bytes(conn)
    for kind, size in asdict(stored).items():
        yield ("stored_bytes", kind), size
    yield from _payloads(conn)
    yield from _times(conn)
    churn = status.crop_churn(conn)
    yield ("crop_edits_per_day", ""), churn["edits_per_day"]
    yield ("crop_signatures_per_photo", ""), churn["signatures_per_photo"]
    yield ("crop_corrected_ratio", ""), churn["proposals_corrected"]


def _counts(conn: Connection) -> Iterator[tuple[tuple[str, str], float]]:
    """Photos by state, work by kind, failures by reason and source."""
    sources = pd.DataFrame(
        [vars(row) for row in delivery_metrics.photos_by_source(conn)],
        columns=["source", "photos", "mirrored", "pending", "failed"],
    ).set_index("source")
    failures = pd.DataFrame([vars(row) for row in operations.failures(conn)], columns=["source", "reason", "photos"])
    for state in ("mirrored", "pending", "failed"):
        yield ("photos", state), float(sources[state].sum())
    for kind, states in status.generations(conn).items():
        yield ("complete_photos", kind), states["complete"]
        yield ("open_photos", kind), states["pending"]
        yield ("failed_photos", kind), states["failed"]
    for reason, photos in failures.groupby("reason")["photos"].sum().items():
        yield ("failures", str(reason)), photos
    failed = failures.groupby("source")["photos"].sum()
    for source, ratio in (failed.reindex(sources.index, fill_value=0) / sources["photos"]).head(MOST_SOURCES).items():
        yield ("failure_ratio", str(source)), ratio


def _payloads(conn: Connection) -> Iterator[tuple[tuple[str, str], float]]:
    """Bytes that galleries deliver, weighted by how often, and bytes that their cards save."""
    delivered = delivery_metrics.delivered(conn)
    weights = pd.Series(delivered.weights, dtype=float)
    rows = delivery_metrics.payloads(conn, list(delivered.weights))
    if not rows:
        return
    files = pd.DataFrame([vars(row) for row in rows])
    photos = files.drop_duplicates("media_asset_id").set_index("media_asset_id")[["original", "is_fit"]]
    by_key = files.dropna(subset="variant_key").pivot(index="media_asset_id", columns="variant_key", values="bytes")
    sizes = photos[["original"]].join(by_key)
    for key in sizes.columns:
        known = sizes[key].dropna()
        for name, quantile in QUANTILES.items():
            value = weighted_quantile(known, weights.reindex(known.index), quantile)
            yield (f"delivered_{name}_bytes", key), value
    # Without a card, or with one larger than an original that may be served directly, the original is delivered.
    card = sizes.get("card", sizes["original"])
    shown = card.where(card.notna() & ((card <= sizes["original"]) | ~photos["is_fit"].eq(True)), sizes["original"])
    weight = weights.reindex(sizes.index)
    before, after = (sizes["original"] * weight).sum(), (shown * weight).sum()
    pictures = delivered.pictures * weight.sum() / weights.sum()
    yield ("delivered_pictures", delivered.weighting), pictures
    yield ("saved_per_picture_bytes", ""), (before - after) / weight.sum()
    yield ("saved_bytes", ""), (before - after) / weight.sum() * pictures
    yield ("saved_ratio", ""), 1 - after / before


def _times(conn: Connection) -> Iterator[tuple[tuple[str, str], float]]:
    for served in delivery_metrics.served_after(conn):
        yield ("import_to_served_p50_seconds", served.lane), served.p50
        yield ("import_to_served_p95_seconds", served.lane), served.p95
    runs = delivery_metrics.run_times(conn)
    if runs is not None:
        yield ("batch_run_p50_seconds", ""), runs.p50
        yield ("batch_run_p95_seconds", ""), runs.p95
        yield ("rendered_photos_per_second", ""), runs.photos_per_second
    for times in view_counts.image_times(conn):
        yield ("image_p50_seconds", times.variant_key), times.p50_ms / 1000
        yield ("image_p95_seconds", times.variant_key), times.p95_ms / 1000


def weighted_quantile(values: pd.Series[float], weights: pd.Series[float], quantile: float) -> float:
    """The smallest value that, with all smaller ones, reaches this share of the weight, like `percentile_disc`."""
    ordered = values.sort_values()
    reached = weights.reindex(ordered.index).cumsum()
    return float(ordered.iloc[int(reached.searchsorted(quantile * reached.iloc[-1]))])
