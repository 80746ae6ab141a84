"""What is said of a batch after a run: figures over all its photos, tables of the worst.

Plain numbers and rows; pictures are `contact_sheets`', and how Dagster shows it all is `defs.metadata`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from trr_pipelines.catalogue import reports
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.pipeline.archive import Archive

GALLERIES = 10


@dataclass(frozen=True)
class BatchReport:
    """Figures of a batch: `numbers` plot over partitions; `failures` and `details` are tables."""

    numbers: dict[str, int | float]
    failures: list[dict[str, Any]]
    details: list[dict[str, Any]]


@dataclass(frozen=True)
class GalleryLink:
    """A gallery that people can open: its name, how many photos of the batch are in it, its address."""

    name: str
    photos: int
    url: str


def originals_report(archive: Archive, batch: str) -> BatchReport:
    """Originals of a batch: how many are mirrored, failed and open, and their bytes."""
    with archive.database.transaction() as conn:
        photos = reports.batch_photos(conn, batch)
        failures = _failures(conn, batch, "original")
        originals = reports.batch_generations(conn, batch, "original")
    return BatchReport(
        {
            "photos": photos["photos"],
            "mirrored": originals["complete"],
            "failed": originals["failed"],
            "original_bytes": photos["bytes"],
        },
        failures,
        [],
    )


def base_report(archive: Archive, batch: str) -> BatchReport:
    """Base variants of a batch: bytes before and after in a gallery grid, and what it delivers by key."""
    with archive.database.transaction() as conn:
        payloads = _payload_numbers(conn, batch, is_crop=False)
        before = reports.batch_photos(conn, batch)
        card = reports.batch_payloads(conn, batch).get("card", {"bytes": 0, "photos": 0})
        grid = reports.grid_bytes(conn, batch)
        generations = reports.batch_generations(conn, batch, "base")
        failures = _failures(conn, batch, "base")
        worst = [_worst(row) for row in reports.batch_worst(conn, batch)]
    saved = 1 - card["bytes"] / before["bytes"] if before["bytes"] else 0.0
    return BatchReport(
        {
            "complete": generations["complete"],
            "failed": generations["failed"],
            "grid_bytes_before": before["bytes"],
            "grid_bytes_after": card["bytes"],
            "grid_reduction_percent": round(100 * saved, 2),
            "median_reduction_percent": round(100 * grid["median_reduction"], 2),
            **payloads,
        },
        failures,
        worst,
    )


def crops_report(archive: Archive, batch: str) -> BatchReport:
    """Crop variants of a batch: what is rendered, and what it delivers by key."""
    with archive.database.transaction() as conn:
        payloads = _payload_numbers(conn, batch, is_crop=True)
        generations = reports.batch_generations(conn, batch, "crop")
        failures = _failures(conn, batch, "crop")
    return BatchReport({"complete": generations["complete"], "failed": generations["failed"], **payloads}, failures, [])


def proposals_report(archive: Archive, batch: str) -> BatchReport:
    """Active crops of a batch by mode and reason, and how many proposals people corrected."""
    with archive.database.transaction() as conn:
        crops = reports.batch_crops(conn, batch)
        corrected = reports.batch_corrections(conn, batch)
    numbers: dict[str, int | float] = {"auto": 0, "manual": 0, **corrected}
    share = corrected["proposals_corrected"] / corrected["proposed"] if corrected["proposed"] else 0.0
    numbers["corrected_percent"] = round(100 * share, 1)
    for row in crops:
        numbers[row["crop_mode"]] += row["photos"]
    return BatchReport(numbers, [], crops)


def batch_links(archive: Archive, batch: str) -> list[GalleryLink]:
    """The galleries of the admin app that show photos of a batch, those with the most first."""
    with archive.database.transaction() as conn:
        rows = reports.batch_galleries(conn, batch, GALLERIES)
    places = {"show": "trr-shows", "person": "trr-people"}
    return [
        GalleryLink(
            row["name"],
            row["photos"],
            f"{archive.settings.admin_app_url}/admin/{places[row['entity_kind']]}/{row['slug']}",
        )
        for row in rows
    ]


def _failures(conn: Connection, batch: str, kind: str) -> list[dict[str, Any]]:
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


def _worst(row: dict[str, Any]) -> dict[str, Any]:
    """A photo that saves little, as a row of a table."""
    return {
        "file": _file_name(row["source_url"]),
        "bytes before": row["before"],
        "bytes after": row["after"],
        "saved percent": round(100 * row["reduction"], 1),
        "original": row["hosted_url"],
        "photo": str(row["id"]),
    }


def _file_name(url: str) -> str:
    """What people know a photo by."""
    return unquote(url.rpartition("/")[2])[:80] or url[:80]


def _payload_numbers(conn: Connection, batch: str, *, is_crop: bool) -> dict[str, int | float]:
    variants = reports.batch_variants(conn, batch, is_crop=is_crop)
    numbers: dict[str, int | float] = {"variant_rows": variants["rows"], "variant_bytes": variants["bytes"]}
    for key, row in reports.batch_payloads(conn, batch).items():
        if key.startswith("crop_") == is_crop:
            numbers[f"{key}_p50_bytes"] = row["p50"]
            numbers[f"{key}_p95_bytes"] = row["p95"]
    return numbers
