"""Retention in Dagster: the list of objects that are no longer served, a check of the list, and the deletion."""

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    AssetSelection,
    DefaultScheduleStatus,
    MaterializeResult,
    ScheduleDefinition,
    asset,
    asset_check,
    define_asset_job,
)

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.metadata import Metadata, table
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.pipeline.upkeep import retention

GROUP = "retention"


@asset(
    deps=["original_images", "base_variants", "crop_variants"],
    group_name=GROUP,
    kinds={"postgres", "s3"},
    owners=OWNERS,
)
def superseded_variants(context: AssetExecutionContext, archive: ArchiveResource) -> MaterializeResult[None]:
    """Objects that may be deleted: superseded crop sets and recipes, and orphan objects, not served for 30 days.
    `foreign` objects may be another program's that shares the bucket; they are not on the list.
    Nothing is deleted here; for a day, `trr gc --undo` takes objects off the list. More: docs/architecture.md,
    Retention."""
    del context
    opened = archive.get()
    totals = retention.list_removable(opened)
    metadata: Metadata = {}
    for why in ("superseded", "retired", "orphan", "dropped", retention.FOREIGN):
        metadata[f"{why}_objects"] = totals[why].objects if why in totals else 0
        metadata[f"{why}_bytes"] = totals[why].bytes if why in totals else 0
    examples = retention.removal_list(opened)
    if examples:
        metadata["listed"] = table(
            [
                {"key": one.hosted_key, "why": one.why, "bytes": one.bytes, "listed": str(one.listed_at)}
                for one in examples
            ]
        )
    return MaterializeResult(metadata=metadata)


@asset_check(asset=superseded_variants, blocking=True)
def nothing_listed_is_referenced(archive: ArchiveResource) -> AssetCheckResult:
    """No object on the removal list is served, or part of a set that may be restored."""
    referenced = retention.referenced(archive.get())
    metadata: Metadata = {"referenced": len(referenced)}
    if referenced:
        metadata["where"] = table([{"key": key} for key in referenced])
    return AssetCheckResult(passed=not referenced, metadata=metadata)


@asset(deps=[superseded_variants], group_name=GROUP, kinds={"postgres", "s3"}, owners=OWNERS)
def removed_objects(archive: ArchiveResource) -> MaterializeResult[None]:
    """Deletes objects that were listed at least a day ago (orphans: 30 days). Each is checked again in the transaction
    that deletes it; one that is referenced by then is refused and kept."""
    removal = retention.remove_listed(archive.get())
    metadata: Metadata = {
        "removed_objects": removal.removed,
        "removed_bytes": removal.removed_bytes,
        "refused_objects": len(removal.refused),
    }
    if removal.refused:
        metadata["refused"] = table([{"key": key} for key in removal.refused])
    return MaterializeResult(metadata=metadata)


retention_job = define_asset_job(
    "retention",
    selection=AssetSelection.groups(GROUP),
    description="List objects that are no longer served, check the list, delete those listed long enough ago.",
)

nightly_retention = ScheduleDefinition(
    name="nightly_retention",
    job=retention_job,
    cron_schedule="30 3 * * *",
    default_status=DefaultScheduleStatus.STOPPED,
    description="Lists and deletes objects that are no longer served. Off by default: switch it on once the grace"
    " period is longer than the CDN's longest TTL.",
)
