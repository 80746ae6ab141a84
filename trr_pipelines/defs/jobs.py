"""Jobs: one batch from source to variants, and scattered photos of any batches as one run."""

from uuid import UUID

from dagster import (
    AssetCheckEvaluation,
    AssetKey,
    AssetMaterialization,
    AssetObservation,
    AssetSelection,
    Config,
    OpExecutionContext,
    define_asset_job,
    job,
    op,
)

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.defs.application import publish_rerendered_photos
from trr_pipelines.defs.checks import claims_by_asset
from trr_pipelines.defs.lanes import LANE_TAG, LIVE, is_backfill
from trr_pipelines.defs.metadata import finding_metadata, report_metadata, retries_metadata, tally_metadata
from trr_pipelines.defs.resources import ArchiveResource, is_bridged
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.reporting.batches import report_batch
from trr_pipelines.pipeline.rework.reprocessing import reports_about
from trr_pipelines.pipeline.rework.rerender import TouchedSet, rerender_photos, touched_sets

import_batch = define_asset_job(
    "import_batch",
    selection=AssetSelection.assets(
        "original_images", "base_variants", "auto_crops", "crop_variants", *["published_variants"] * is_bridged()
    ),
    description="One import batch: fetch its originals, render what its photos lack, check the result.",
    tags={LANE_TAG: LIVE},
)


class PhotoIds(Config):
    """The photos to process, by their ids in the catalogue."""

    photo_ids: list[str]
    scope: str = ""


@op(description="Fetch and render what the given photos lack, whatever their batches.")
def rerender_scattered_photos(context: OpExecutionContext, config: PhotoIds, archive: ArchiveResource) -> None:
    opened = archive.get()
    scope = Scope(photo_ids=tuple(UUID(photo_id) for photo_id in config.photo_ids))
    in_background = is_backfill(context.run.tags)
    done = rerender_photos(opened, scope, context.run_id, config.scope or None, in_background=in_background)
    reports = reports_about(opened.database, done.scope.photo_ids or ())
    context.add_output_metadata({**tally_metadata(done.tally), **retries_metadata(reports)})
    for touched in touched_sets(opened, done.scope):
        _report(context, opened, touched)


def _report(context: OpExecutionContext, archive: Archive, touched: TouchedSet) -> None:
    """Log a materialisation if the whole partition is complete, else an observation.

    One photo must not mark a stale or failed partition as materialised.
    """
    reports = report_batch(archive, touched.batch)
    report = reports.base if touched.asset == "base_variants" else reports.crops
    metadata = report_metadata(report, rows=int(report.numbers["variant_rows"]))
    if not touched.is_complete:
        context.log_event(AssetObservation(touched.asset, partition=touched.batch, metadata=metadata))
        return
    tags = {"dagster/code_version": touched.recipe}
    context.log_event(AssetMaterialization(touched.asset, partition=touched.batch, metadata=metadata, tags=tags))
    for claim in claims_by_asset[touched.asset]:
        finding = claim.evaluate(archive, touched.batch)
        context.log_event(
            AssetCheckEvaluation(  # type: ignore[arg-type]  # recorded; only the annotation lacks it (1.13.27)
                asset_key=AssetKey(touched.asset),
                check_name=claim.name,
                passed=finding.passed,
                severity=claim.severity,
                metadata=finding_metadata(finding, archive.settings.admin_app_url),
                partition=touched.batch,
            )
        )


@job(
    description="Scattered photos (crop edits, retries, reprocessing) as one bounded run, whatever their batches.",
    tags={LANE_TAG: LIVE},
)
def rerender() -> None:
    rendered = rerender_scattered_photos()
    if is_bridged():
        publish_rerendered_photos(rendered)
