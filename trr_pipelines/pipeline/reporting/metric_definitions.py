"""The figures of delivery: their names, what they are by, and what they mean.

Apart from how they are taken, so that whoever only tells of them imports no pandas (1 s).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure of the history. `label` is what its dimension is, empty where it has none; units stand in its name.

    `is_live` says that `/metrics` reads it off the ledger every few seconds, and not off the history.
    """

    name: str
    label: str
    meaning: str
    is_live: bool = False


METRICS = (
    Metric("photos", "state", "Photos of the catalogue, by state (mirrored, pending, failed)"),
    Metric("complete_photos", "kind", "Photos of which this kind of work is complete"),
    Metric("open_photos", "kind", "Photos of which this kind of work is open", is_live=True),
    Metric("failed_photos", "kind", "Photos of which this kind of work failed", is_live=True),
    Metric("failures", "reason", "Failed photos by the reason of the earliest step that failed", is_live=True),
    Metric("failure_ratio", "source", "Failed photos of a source, of all its photos (0 to 1)"),
    Metric("lag_seconds", "", "For how long the oldest live work waits", is_live=True),
    Metric("stored_bytes", "kind", "Bytes in the store: originals, derivatives, retired (waiting for removal)"),
    Metric("delivered_pictures", "weighting", "Pictures in galleries: views of 30 days, or links where nobody looked"),
    Metric("delivered_p50_bytes", "key", "Median bytes of delivered pictures, by rendition key"),
    Metric("delivered_p95_bytes", "key", "95th percentile of the bytes of delivered pictures, by rendition key"),
    Metric("saved_per_picture_bytes", "", "Bytes that a delivered card saved of its original, on average"),
    Metric("saved_bytes", "", "Bytes that all delivered cards saved of their originals"),
    Metric("saved_ratio", "", "Saved bytes of the bytes of the originals of delivered pictures (0 to 1)"),
    Metric("import_to_served_p50_seconds", "lane", "Median time from import to first served, of the last 7 days"),
    Metric("import_to_served_p95_seconds", "lane", "95th percentile from import to first served, of the last 7 days"),
    Metric("batch_run_p50_seconds", "", "Median time that runs of batches rendered, of the last 7 days"),
    Metric("batch_run_p95_seconds", "", "95th percentile of the time that runs rendered, of the last 7 days"),
    Metric("rendered_photos_per_second", "", "Photos per second while runs rendered, of the last 7 days"),
    Metric("crop_edits_per_day", "", "Crops that people set, a day over the last 30"),
    Metric("crop_signatures_per_photo", "", "Crops that a photo ever had, on average"),
    Metric("crop_corrected_ratio", "", "Proposed crops that somebody corrected, of all proposed (0 to 1)"),
    Metric("image_p50_seconds", "key", "Median time from request to paint in browsers, of the last 7 days"),
    Metric("image_p95_seconds", "key", "95th percentile from request to paint in browsers, of the last 7 days"),
)
