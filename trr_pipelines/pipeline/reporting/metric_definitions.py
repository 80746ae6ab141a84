"""Definitions of the delivery metrics: name, dimension and meaning.

Separate from their computation, so that modules that only present metrics do not import pandas (1 s).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric of the history. `label` is its dimension, empty without one; its name includes the unit.

    `is_live` metrics are read from the ledger every few seconds by `/metrics`, not from the history.
    """

    name: str
    label: str
    meaning: str
    is_live: bool = False


METRICS = (
    Metric("photos", "state", "Photos of the catalogue, by state (mirrored, pending, failed)"),
    Metric("complete_photos", "kind", "Photos whose work of this kind is complete"),
    Metric("open_photos", "kind", "Photos whose work of this kind is open", is_live=True),
    Metric("failed_photos", "kind", "Photos whose work of this kind failed", is_live=True),
    Metric("failures", "reason", "Failed photos by the reason of the earliest step that failed", is_live=True),
    Metric("failure_ratio", "source", "Failed photos of a source as a share of all its photos (0 to 1)"),
    Metric("lag_seconds", "", "Seconds that the oldest live work has waited", is_live=True),
    Metric("stored_bytes", "kind", "Bytes in the store: originals, derivatives, retired (waiting for removal)"),
    Metric(
        "delivered_pictures", "weighting", "Pictures in galleries: views of 30 days, or links when there were no views"
    ),
    Metric("delivered_p50_bytes", "key", "Median bytes of delivered pictures, by rendition key"),
    Metric("delivered_p95_bytes", "key", "95th percentile of the bytes of delivered pictures, by rendition key"),
    Metric("saved_per_picture_bytes", "", "Mean bytes that a delivered card saves of its original"),
    Metric("saved_bytes", "", "Bytes that all delivered cards save of their originals"),
    Metric("saved_ratio", "", "Saved bytes as a share of the originals of delivered pictures (0 to 1)"),
    Metric("import_to_served_p50_seconds", "lane", "Median time from import to first served, of the last 7 days"),
    Metric("import_to_served_p95_seconds", "lane", "95th percentile from import to first served, of the last 7 days"),
    Metric("batch_run_p50_seconds", "", "Median rendering time of runs of batches, of the last 7 days"),
    Metric("batch_run_p95_seconds", "", "95th percentile of the rendering time of runs, of the last 7 days"),
    Metric("rendered_photos_per_second", "", "Photos per second of rendering, of the last 7 days"),
    Metric("crop_edits_per_day", "", "Crop edits per day, over the last 30 days"),
    Metric("crop_signatures_per_photo", "", "Mean number of crops that a photo has had"),
    Metric("crop_corrected_ratio", "", "Corrected crop proposals as a share of all proposals (0 to 1)"),
    Metric("image_p50_seconds", "key", "Median time from request to paint in browsers, of the last 7 days"),
    Metric("image_p95_seconds", "key", "95th percentile from request to paint in browsers, of the last 7 days"),
)
