"""One asset without partitions, with every check of `checks` evaluated over all batches."""

from collections.abc import Callable
from datetime import timedelta

from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetSelection,
    DefaultScheduleStatus,
    FreshnessPolicy,
    MaterializeResult,
    MetadataValue,
    ScheduleDefinition,
    asset,
    asset_check,
    define_asset_job,
)

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.checks import CLAIMS, BatchCheck, check_result
from trr_pipelines.defs.lanes import BACKFILL, LANE_TAG
from trr_pipelines.defs.metadata import table
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import guardrails
from trr_pipelines.pipeline.checks.invariants import Finding


@asset(
    deps=["original_images", "base_variants", "crop_variants"],
    group_name="health",
    kinds={"postgres", "s3"},
    owners=OWNERS,
    # Without partitions, the freshness window shows whether the checks were evaluated.
    freshness_policy=FreshnessPolicy.time_window(fail_window=timedelta(hours=3)),
)
def archive_health(archive: ArchiveResource) -> MaterializeResult[None]:
    """The checks of all batches, evaluated over the whole archive, so that no partition need be opened.

    Evaluated every hour: all rows, and the objects of 60 photos drawn at random each time. Each check names the worst
    batches; open these in `original_images`, `base_variants` or `crop_variants`. A table lists the sources with their
    originals, oversized originals and failures. What to do when a check fails: docs/checks.md.
    """
    opened = archive.get()
    numbers, sources = guardrails.archive_figures(opened)
    operations = MetadataValue.url(f"{opened.settings.admin_app_url}/admin/operations")
    return MaterializeResult(metadata={**numbers, "sources": table(sources), "operations": operations})


def _check_of(
    name: str, description: str, evaluate: Callable[[Archive], Finding], severity: AssetCheckSeverity
) -> AssetChecksDefinition:
    @asset_check(asset=archive_health, name=name, description=description)
    def check(archive: ArchiveResource) -> AssetCheckResult:
        opened = archive.get()
        return check_result(opened, evaluate(opened), severity)

    return check


def _over_all_batches(claim: BatchCheck) -> AssetChecksDefinition:
    description = f"{claim.evaluate.__doc__} Over all batches; names the worst."
    return _check_of(claim.name, description, lambda archive: claim.evaluate(archive, None), claim.severity)


_waiting = guardrails.live_work_waits_less_than_an_hour
checks = [
    *map(_over_all_batches, CLAIMS),
    _check_of(_waiting.__name__, str(_waiting.__doc__), _waiting, AssetCheckSeverity.WARN),
]

health_job = define_asset_job(
    "health",
    selection=AssetSelection.assets(archive_health),
    description="Evaluate every check over the whole archive, as the schedule hourly_health does.",
    # Not urgent, and minutes long over a million photos: it runs in the lane of backfills.
    tags={LANE_TAG: BACKFILL},
)

hourly_health = ScheduleDefinition(
    name="hourly_health",
    job=health_job,
    cron_schedule="17 * * * *",
    default_status=DefaultScheduleStatus.RUNNING,
    description="Evaluates every check over the whole archive every hour.",
)
