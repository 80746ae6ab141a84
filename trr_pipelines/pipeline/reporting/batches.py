"""Reports on a batch after a run: figures over all its photos, and tables of the worst.

Numbers and rows only. Contact sheets are made in `pipeline.rendering.contact_sheets`; `defs.metadata` formats reports
for Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass

from trr_pipelines.catalogue import batches
from trr_pipelines.catalogue.batches import LeastSaved
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.ledger import Kind
from trr_pipelines.foreign_text import file_name_of
from trr_pipelines.pipeline.archive import Archive

MAX_GALLERIES = 10

TableRow = dict[str, str | int | float | bool]
"""A row of a table in Dagster: a value for each column title."""


@dataclass(frozen=True)
class BatchReport:
    """Figures of one asset's partition: `numbers` are plotted over partitions; `failures` and `details` are tables."""

    numbers: dict[str, int | float]
    failures: list[TableRow]
    details: list[TableRow]


@dataclass(frozen=True)
class GalleryLink:
    """A gallery of the admin app: its name, the number of photos of the batch in it, its URL."""

    name: str
    photos: int
    url: str


@dataclass(frozen=True)
class BatchReports:
    """The reports of all assets of a batch, and the galleries that show its photos."""

    originals: BatchReport
    base: BatchReport
    proposals: BatchReport
    crops: BatchReport
    galleries: list[GalleryLink]


def report_batch(archive: Archive, batch: str) -> BatchReports:
    """All reports of a batch, read in one snapshot."""

    def read(conn: Connection) -> BatchReports:
        return BatchReports(
            originals=_originals(conn, batch),
            base=_base(conn, batch),
            proposals=_proposals(conn, batch),
            crops=_crops(conn, batch),
            galleries=_galleries(conn, batch, archive.settings.admin_app_url),
        )

    return archive.database.read(read)


def _originals(conn: Connection, batch: str) -> BatchReport:
    """Mirrored, failed and all photos of a batch, and the bytes of their originals."""
    photos = batches.photo_counts(conn, batch)
    originals = batches.work_counts(conn, batch, "original")
    return BatchReport(
        {
            "photos": photos.photos,
            "mirrored": originals.complete,
            "failed": originals.failed,
            "original_bytes": photos.bytes,
        },
        _failures(conn, batch, "original"),
        [],
    )


def _base(conn: Connection, batch: str) -> BatchReport:
    """Bytes of a gallery grid before and after, and delivered bytes by rendition key."""
    bytes_before = batches.photo_counts(conn, batch).bytes
    card = batches.payloads(conn, batch).get("card")
    bytes_after = 0 if card is None else card.bytes
    grid = batches.grid_bytes(conn, batch)
    base = batches.work_counts(conn, batch, "base")
    saved = 1 - bytes_after / bytes_before if bytes_before else 0.0
    return BatchReport(
        {
            "complete": base.complete,
            "failed": base.failed,
            "grid_bytes_before": bytes_before,
            "grid_bytes_after": bytes_after,
            "grid_reduction_percent": round(100 * saved, 2),
            "median_reduction_percent": round(100 * grid.median_reduction, 2),
            **_payload_numbers(conn, batch, is_crop=False),
        },
        _failures(conn, batch, "base"),
        [_least_saved_row(photo) for photo in batches.least_saved(conn, batch)],
    )


def _crops(conn: Connection, batch: str) -> BatchReport:
    """Complete and failed crop sets, and delivered bytes by rendition key."""
    crop = batches.work_counts(conn, batch, "crop")
    numbers = {
        "complete": crop.complete,
        "failed": crop.failed,
        **_payload_numbers(conn, batch, is_crop=True),
    }
    return BatchReport(numbers, _failures(conn, batch, "crop"), [])


def _proposals(conn: Connection, batch: str) -> BatchReport:
    """Active crops by mode and reason, and how many proposals were corrected."""
    corrections = batches.corrections(conn, batch)
    share = corrections.proposals_corrected / corrections.proposed if corrections.proposed else 0.0
    numbers: dict[str, int | float] = {
        "auto": 0,
        "manual": 0,
        "edits": corrections.edits,
        "signatures": corrections.signatures,
        "proposed": corrections.proposed,
        "proposals_corrected": corrections.proposals_corrected,
        "corrected_percent": round(100 * share, 1),
    }
    details: list[TableRow] = []
    for crops in batches.crop_counts(conn, batch):
        numbers[crops.crop_mode] += crops.photos
        details.append({"crop_mode": crops.crop_mode, "reason": crops.reason, "photos": crops.photos})
    return BatchReport(numbers, [], details)


def _galleries(conn: Connection, batch: str, admin_app_url: str) -> list[GalleryLink]:
    paths = {"show": "trr-shows", "person": "trr-people"}
    return [
        GalleryLink(gallery.name, gallery.photos, f"{admin_app_url}/admin/{paths[gallery.entity_kind]}/{gallery.slug}")
        for gallery in batches.galleries(conn, batch, MAX_GALLERIES)
    ]


def _failures(conn: Connection, batch: str, kind: Kind) -> list[TableRow]:
    return [
        {
            "file": file_name_of(photo.source_url),
            "reason": photo.reason,
            "detail": photo.detail or "",
            "attempts": photo.attempts,
            "next attempt": str(photo.next_attempt_at or "none"),
            "photo": str(photo.media_asset_id),
        }
        for photo in batches.failed_photos(conn, batch)
        if photo.kind == kind
    ]


def _least_saved_row(photo: LeastSaved) -> TableRow:
    return {
        "file": file_name_of(photo.source_url),
        "bytes before": photo.before,
        "bytes after": photo.after,
        "saved percent": round(100 * photo.reduction, 1),
        "original": photo.hosted_url,
        "photo": str(photo.id),
    }


def _payload_numbers(conn: Connection, batch: str, *, is_crop: bool) -> dict[str, int | float]:
    variants = batches.variant_totals(conn, batch, is_crop=is_crop)
    numbers: dict[str, int | float] = {"variant_rows": variants.rows, "variant_bytes": variants.bytes}
    for key, payload in batches.payloads(conn, batch).items():
        if key.startswith("crop_") == is_crop:
            numbers[f"{key}_p50_bytes"] = payload.p50
            numbers[f"{key}_p95_bytes"] = payload.p95
    return numbers
