"""Reports as Dagster metadata: numbers that plot, tables, contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster import MetadataValue, TableRecord

from trr_pipelines.foreign_text import shown
from trr_pipelines.pipeline.checks.invariants import Finding
from trr_pipelines.pipeline.rendering.contact_sheets import ContactSheet
from trr_pipelines.pipeline.reporting.batches import BatchReport, GalleryLink
from trr_pipelines.pipeline.rework.reprocessing import ReprocessPlan, ReprocessReport
from trr_pipelines.pipeline.worker import Tally

Metadata = dict[str, MetadataValue[Any] | str | int | float]

TABLE_ROWS = 25


def report_metadata(
    report: BatchReport,
    *,
    rows: int,
    tally: Tally | None = None,
    sheets: Mapping[str, ContactSheet | None] | None = None,
    galleries: Sequence[GalleryLink] = (),
) -> Metadata:
    """A report as metadata: pictures and links, figures of the partition, figures of this run, tables."""
    metadata: Metadata = {
        **{key: value for name, sheet in (sheets or {}).items() for key, value in sheet_metadata(name, sheet).items()},
        **galleries_metadata(galleries),
        "dagster/partition_row_count": rows,
        **report.numbers,
        **({} if tally is None else tally_metadata(tally)),
    }
    if report.failures:
        metadata["failures"] = table(report.failures)
    if report.details:
        metadata["details"] = table(report.details)
    return metadata


def tally_metadata(tally: Tally) -> Metadata:
    """What this run did: 0 photos means that all variants existed already."""
    return {
        "run_photos": tally.complete,
        "run_failed": tally.failed,
        "run_stale": tally.ended["stale"],
        "run_objects_written": tally.objects_written,
        "run_rows_written": tally.rows_written,
        "run_bytes_read": tally.bytes_read,
        "run_bytes_written": tally.bytes_written,
        "run_seconds": tally.seconds,
        "run_photos_per_second": tally.photos_per_second,
    }


def retries_metadata(reports: Sequence[ReprocessReport]) -> Metadata:
    """The reprocessing requests that this run worked on: fixed, still failing, still open."""
    return {f"retry_{report.id}": str(report) for report in reports}


def plan_metadata(plan: ReprocessPlan) -> Metadata:
    """The estimated cost of a reprocessing request; unknown figures are left out."""
    figures: Mapping[str, Any] = plan.report()
    return {name: value for name, value in figures.items() if value is not None}


def finding_metadata(finding: Finding, admin_app_url: str) -> Metadata:
    """What a check examined, where it failed, and a link to the first failing photo in the admin app."""
    metadata: Metadata = {"looked_at": finding.looked_at, "broken": finding.broken_count, **finding.numbers}
    tables = {"where": finding.broken, "worst_batches": finding.worst_batches, **finding.tables}
    metadata.update({name: table(rows) for name, rows in tables.items() if rows})
    if finding.broken and "photo" in finding.broken[0]:
        metadata["first_photo"] = MetadataValue.url(f"{admin_app_url}/admin/photos/{finding.broken[0]['photo']}")
    return metadata


def sheet_metadata(name: str, sheet: ContactSheet | None) -> Metadata:
    """A sheet as a picture in Markdown (raw <img> is not shown), and a link to the full one."""
    if sheet is None:
        return {}
    return {
        name: MetadataValue.md(f"{sheet.title}\n\n![{sheet.title}]({sheet.data_uri})"),
        f"{name}_full": MetadataValue.url(sheet.full_url),
    }


def galleries_metadata(galleries: Sequence[GalleryLink]) -> Metadata:
    """Links into the admin app."""
    if not galleries:
        return {}
    lines = [f"- [{_plain(one.name)}]({one.url}), photos of this batch: {one.photos}" for one in galleries]
    return {"galleries": MetadataValue.md("\n".join(lines))}


def _plain(text: str) -> str:
    """Text of others in one line, with Markdown's special characters escaped."""
    return "".join(f"\\{char}" if char in "\\`*_[]<>()#!|&" else char for char in shown(text))


def table(rows: Sequence[Mapping[str, Any]]) -> MetadataValue[Any]:
    """At most 25 rows, in the types of Dagster's tables."""
    return MetadataValue.table([TableRecord({k: _cell(v) for k, v in row.items()}) for row in rows[:TABLE_ROWS]])


def _cell(value: Any) -> str | int | float | bool:
    return value if isinstance(value, int | float | bool) else shown(str(value))
