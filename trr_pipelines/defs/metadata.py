"""How reports are shown in Dagster: numbers that plot, tables, contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dagster import MetadataValue, TableRecord
from dagster._core.definitions.metadata import RawMetadataValue

from trr_pipelines.pipeline.batch_report import BatchReport, ContactSheet
from trr_pipelines.pipeline.invariants import Finding
from trr_pipelines.pipeline.reprocessing import Price, Report
from trr_pipelines.pipeline.work import Tally

Metadata = dict[str, RawMetadataValue]

TABLE_ROWS = 25


def report_metadata(
    report: BatchReport, *, rows: int, tally: Tally | None = None, sheet: ContactSheet | None = None
) -> Metadata:
    """Everything of a report: the picture first, then figures of the partition, then what this run did, then tables."""
    metadata: Metadata = {
        **contact_sheet_metadata(sheet),
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
    """What this run itself did: 0 rendered means that everything stood already."""
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


def retries_metadata(reports: Sequence[Report]) -> Metadata:
    """What became of the requests to do photos again that a run worked for, fixed against still failing."""
    return {f"retry_{report.id}": str(report) for report in reports}


def price_metadata(price: Price) -> Metadata:
    """What doing photos again costs; what is unknown is left out."""
    return {name: value for name, value in asdict(price).items() if value is not None}


def finding_metadata(finding: Finding) -> Metadata:
    """What a check looked at and where its claim does not hold."""
    metadata: Metadata = {"looked_at": finding.looked_at, "broken": finding.broken_count, **finding.numbers}
    if finding.broken:
        metadata["where"] = table(finding.broken)
    return metadata


def contact_sheet_metadata(sheet: ContactSheet | None) -> Metadata:
    """The sheet as a picture in Markdown (raw <img> is not shown), and a link to the full one."""
    if sheet is None:
        return {}
    return {
        "contact_sheet": MetadataValue.md(f"![{sheet.photos} photos]({sheet.data_uri})"),
        "contact_sheet_full": MetadataValue.url(sheet.full_url),
    }


def table(rows: Sequence[Mapping[str, Any]]) -> RawMetadataValue:
    """At most 25 rows, in types that Dagster's tables take."""
    return MetadataValue.table([TableRecord({k: _cell(v) for k, v in row.items()}) for row in rows[:TABLE_ROWS]])


def _cell(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else str(value)
