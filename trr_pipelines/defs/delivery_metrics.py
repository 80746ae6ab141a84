"""Delivery metrics in Dagster: the figures of a day as an asset, and its schedule."""

from dagster import (
    AssetSelection,
    DefaultScheduleStatus,
    MaterializeResult,
    ScheduleDefinition,
    asset,
    define_asset_job,
)

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.lanes import BACKFILL, LANE_TAG
from trr_pipelines.defs.metadata import Metadata, table
from trr_pipelines.defs.resources import ArchiveResource

GROUP = "operations"


@asset(
    deps=["base_variants", "crop_variants"],
    group_name=GROUP,
    kinds={"pandas", "postgres"},
    owners=OWNERS,
    code_version="1",
)
def delivery_metrics(archive: ArchiveResource) -> MaterializeResult[None]:
    """Delivery metrics: failed and waiting photos, bytes saved per delivered picture, payload by rendition key, time
    from import to served, crop edits, storage. Kept by day (UTC) in `core.delivery_metrics`, the last figures of each
    day. Definitions: docs/metrics.md."""
    # Imports pandas, which takes 1 s: no other run waits for it.
    from trr_pipelines.pipeline.reporting.delivery_report import report_delivery

    report = report_delivery(archive.get().database)
    metadata: Metadata = {
        **report.numbers,
        **{title: table(rows) for title, rows in report.tables.items() if rows},
    }
    return MaterializeResult(metadata=metadata)


delivery_metrics_job = define_asset_job(
    "measure_delivery",
    selection=AssetSelection.assets(delivery_metrics),
    description="Compute today's delivery metrics; a second run on the same day replaces the first.",
    # Not urgent: it runs in the lane of backfills.
    tags={LANE_TAG: BACKFILL},
)

delivery_schedule = ScheduleDefinition(
    name="delivery_through_the_day",
    job=delivery_metrics_job,
    # The last run of a day is the one whose figures are kept.
    cron_schedule="50 5,11,17,23 * * *",
    execution_timezone="UTC",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Computes the delivery metrics four times a day (UTC).",
)
