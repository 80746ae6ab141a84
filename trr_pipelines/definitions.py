"""Everything that Dagster loads, assembled. No I/O happens here, nor when any module of `defs` is imported."""

from dagster import Definitions, in_process_executor

from trr_pipelines.defs import (
    alerts,
    archive_health,
    assets,
    backfills,
    checks,
    delivery_metrics,
    facebank,
    jobs,
    reprocessing,
    retention,
    sensors,
)
from trr_pipelines.defs.resources import ArchiveResource, ArchiveS3Resource

defs = Definitions(
    assets=[
        assets.original_images,
        assets.derivatives,
        retention.superseded_variants,
        retention.removed_objects,
        facebank.facebank_images,
        alerts.alerts_asset,
        delivery_metrics.delivery_metrics,
        archive_health.archive_health,
    ],
    asset_checks=[*checks.checks, *archive_health.checks, retention.nothing_listed_is_referenced, *facebank.checks],
    jobs=[
        jobs.import_batch,
        jobs.rerender,
        backfills.start_backfill_job,
        reprocessing.retry_failures,
        retention.retention_job,
        archive_health.health_job,
        facebank.facebank_import,
        facebank.facebank_removal,
        delivery_metrics.delivery_metrics_job,
    ],
    schedules=[retention.nightly_retention, delivery_metrics.delivery_schedule, archive_health.hourly_health],
    sensors=[
        sensors.new_imports,
        sensors.crop_changes,
        sensors.retry_failed,
        sensors.failed_runs,
        backfills.backfill_feed,
        alerts.watch,
        *facebank.sensors,
    ],
    resources={
        "archive": ArchiveResource(s3=ArchiveS3Resource()),
        "screenalytics": facebank.ScreenalyticsResource(),
    },
    # Parallelism is inside the assets: a process per step costs 6-13 s of start-up for 0.2-0.5 s of ours.
    executor=in_process_executor,
)
