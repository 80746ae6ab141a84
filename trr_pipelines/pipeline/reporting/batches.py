"""Reports on a batch after a run: figures over all its photos, and tables of the worst.

Numbers and rows only. Contact sheets are made in `pipeline.rendering.contact_sheets`; `defs.metadata` formats reports
for Dagster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.database import Connection
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


def originals_report(archive: Archive, batch: str) -> BatchReport:
    """Originals of a batch: mirrored, failed and all photos, and the bytes of the originals."""
    return archive.database.read(lambda conn: _originals(conn, batch))


def base_report(archive: Archive, batch: str) -> BatchReport:
    """Base variants of a batch: bytes of a gallery grid before and after, and delivered bytes by rendition key."""
    return archive.database.read(lambda conn: _base(conn, batch))


def crops_report(archive: Archive, batch: str) -> BatchReport:
    """Crop variants of a batch: complete and failed photos, and delivered bytes by rendition key."""
    return archive.database.read(lambda conn: _crops(conn, batch))


def proposals_report(archive: Archive, batch: str) -> BatchReport:
    """Active crops of a batch by mode and reason, and the number of proposals that people corrected."""
    return archive.database.read(lambda conn: _proposals(conn, batch))


def batch_links(archive: Archive, batch: str) -> list[GalleryLink]:
    """The galleries of the admin app that show photos of a batch, those with the most first."""
    return archive.database.read(lambda conn: _galleries(conn, batch, archive.settings.admin_app_url))


def _originals(conn: Connection, batch: str) -> BatchReport:
    photos = reports.batch_photos(conn, batch)
    originals = reports.batch_generations(conn, batch, "original")
    return BatchReport(
        {
            "photos": photos["photos"],
            "mirrored": originals["complete"],
            "failed": originals["failed"],
            "original_bytes": photos["bytes"],
        },
        _failures(conn, batch, "original"),
        [],
    )


def _base(conn: Connection, batch: str) -> BatchReport:
    before = reports.batch_photos(conn, batch)
    card = reports.batch_payloads(conn, batch).get("card", {"bytes": 0, "photos": 0})
    grid = reports.grid_bytes(conn, batch)
    generations = reports.batch_generations(conn, batch, "base")
    saved = 1 - card["bytes"] / before["bytes"] if before["bytes"] else 0.0
    return BatchReport(
        {
            "complete": generations["complete"],
            "failed": generations["failed"],
            "grid_bytes_before": before["bytes"],
            "grid_bytes_after": card["bytes"],
            "grid_reduction_percent": round(100 * saved, 2),
            "median_reduction_percent": round(100 * grid["median_reduction"], 2),
            **_payload_numbers(conn, batch, is_crop=False),
        },
        _failures(conn, batch, "base"),
        [_least_saved_row(row) for row in reports.batch_worst(conn, batch)],
    )


def _crops(conn: Connection, batch: str) -> BatchReport:
    payloads = _payload_numbers(conn, batch, is_crop=True)
    generations = reports.batch_generations(conn, batch, "crop")
    numbers = {"complete": generations["complete"], "failed": generations["failed"], **payloads}
    return BatchReport(numbers, _failures(conn, batch, "crop"), [])


def _proposals(conn: Connection, batch: str) -> BatchReport:
    crops = reports.batch_crops(conn, batch)
    corrections = reports.batch_corrections(conn, batch)
    numbers: dict[str, int | float] = {"auto": 0, "manual": 0, **corrections}
    share = corrections["proposals_corrected"] / corrections["proposed"] if corrections["proposed"] else 0.0
    numbers["corrected_percent"] = round(100 * share, 1)
    for row in crops:
        numbers[row["crop_mode"]] += row["photos"]
    return BatchReport(numbers, [], crops)


def _galleries(conn: Connection, batch: str, admin_app_url: str) -> list[GalleryLink]:
    paths = {"show": "trr-shows", "person": "trr-people"}
    return [
        GalleryLink(row["name"], row["photos"], f"{admin_app_url}/admin/{paths[row['entity_kind']]}/{row['slug']}")
        for row in reports.batch_galleries(conn, batch, MAX_GALLERIES)
    ]


def _failures(conn: Connection, batch: str, kind: str) -> list[TableRow]:
    return [
        {
            "file": _file_name(row["source_url"]),
            "reason": row["reason"],
            "detail": row["detail"],
            "attempts": row["attempts"],
            "next attempt": str(row["next_attempt_at"] or "none"),
            "photo": str(row["media_asset_id"]),
        }
        for row in reports.failed_photos(conn, batch)
        if row["kind"] == kind
    ]


def _least_saved_row(row: dict[str, Any]) -> TableRow:
    return {
        "file": _file_name(row["source_url"]),
        "bytes before": row["before"],
        "bytes after": row["after"],
        "saved percent": round(100 * row["reduction"], 1),
        "original": row["hosted_url"],
        "photo": str(row["id"]),
    }


def _file_name(url: str) -> str:
    """The last part of the URL's path, decoded, at most 80 characters; the URL where that part is empty."""
    return unquote(url.rpartition("/")[2])[:80] or url[:80]


def _payload_numbers(conn: Connection, batch: str, *, is_crop: bool) -> dict[str, int | float]:
    variants = reports.batch_variants(conn, batch, is_crop=is_crop)
    numbers: dict[str, int | float] = {"variant_rows": variants["rows"], "variant_bytes": variants["bytes"]}
    for key, row in reports.batch_payloads(conn, batch).items():
        if key.startswith("crop_") == is_crop:
            numbers[f"{key}_p50_bytes"] = row["p50"]
            numbers[f"{key}_p95_bytes"] = row["p95"]
    return numbers
