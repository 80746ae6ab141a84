"""The assets of a batch: originals, and the three outputs of one decode of each photo."""

from collections.abc import Iterator

from dagster import AssetExecutionContext, AssetKey, AssetSpec, MaterializeResult, asset, multi_asset

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.defs.lanes import is_backfill
from trr_pipelines.defs.metadata import report_metadata
from trr_pipelines.defs.partitions import import_batches
from trr_pipelines.defs.resources import APPLICATION_TABLES, ArchiveResource, is_bridged
from trr_pipelines.imaging.autocrop import PROPOSAL_VERSION
from trr_pipelines.imaging.recipes import BASE, CROP
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.batches import begin_batch, end_batch
from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet, make_least_saved_sheet
from trr_pipelines.pipeline.rendering.derivatives import Outputs, render_photos
from trr_pipelines.pipeline.reporting.batches import report_batch

OWNERS = ["team:media-platform"]
GROUP = "photos"
PARENT_RUN_TAG = "dagster/parent_run_id"


@asset(
    partitions_def=import_batches,
    deps=[AssetKey.from_user_string(key) for key in APPLICATION_TABLES.values() if is_bridged()],
    group_name=GROUP,
    kinds={"python", "s3"},
    owners=OWNERS,
    code_version="1",
)
def original_images(context: AssetExecutionContext, archive: ArchiveResource) -> MaterializeResult[None]:
    """The photos of an import batch as their sources delivered them: fetched, stored unchanged under their hash, and
    registered. A photo with the bytes of another becomes links of that one. Failed photos are listed in the table
    `failures` of the batch; they do not fail the run. More: docs/architecture.md."""
    batch = context.partition_key
    begin_batch(archive.get(), batch, context.run.run_id, context.run.tags.get(PARENT_RUN_TAG))
    tally = mirror_originals(archive.get(), Scope(batch=batch), context.run.run_id)
    reports = report_batch(archive.get(), batch)
    rows = int(reports.originals.numbers["mirrored"])
    metadata = report_metadata(reports.originals, rows=rows, tally=tally, galleries=reports.galleries)
    return MaterializeResult(metadata={**metadata, "run_duplicates": tally.ended["duplicate"]})


def _spec(key: str, deps: list[AssetKey | str], code_version: str, description: str) -> AssetSpec:
    return AssetSpec(
        key,
        deps=deps,
        description=description,
        group_name=GROUP,
        kinds={"python", "s3"},
        owners=OWNERS,
        code_version=code_version,
        skippable=True,
    )


@multi_asset(
    name="derivatives",
    partitions_def=import_batches,
    can_subset=True,
    specs=[
        _spec(
            "base_variants",
            ["original_images"],
            BASE.fingerprint,
            "thumb, card and detail of each photo (320, 720, 1440 px wide) as WebP with a JPEG or PNG beside it. Each"
            " partition has two pictures: `contact_sheet`, and `least_saved` with the twelve photos that save the"
            " least, each beside its original. More: docs/rendering.md.",
        ),
        _spec(
            "auto_crops",
            ["original_images"],
            PROPOSAL_VERSION,
            "A proposed 4:5 crop for each photo that has none. A manual crop takes precedence. More: docs/crops.md.",
        ),
        _spec(
            "crop_variants",
            ["original_images", "auto_crops"],
            CROP.fingerprint,
            "crop_card and crop_detail (720x900, 1440x1800) of the active crop, as real files at their own URLs. After"
            " an edit the earlier set is served until the new one is complete. More: docs/crops.md.",
        ),
    ],
)
def derivatives(context: AssetExecutionContext, archive: ArchiveResource) -> Iterator[MaterializeResult[None]]:
    """Decode each photo of the batch once, for every selected output that it lacks."""
    batch, opened = context.partition_key, archive.get()
    selected = {key.to_user_string() for key in context.selected_asset_keys}
    outputs = Outputs(
        base="base_variants" in selected, auto_crops="auto_crops" in selected, crops="crop_variants" in selected
    )
    begin_batch(opened, batch, context.run.run_id, context.run.tags.get(PARENT_RUN_TAG))
    in_background = is_backfill(context.run.tags)
    tally = render_photos(opened, Scope(batch=batch), context.run.run_id, outputs, in_background=in_background)
    end_batch(opened, batch, context.run.run_id, tally)
    reports = report_batch(opened, batch)
    if outputs.base:
        report = reports.base
        sheets = {
            "contact_sheet": make_contact_sheet(opened, batch, "thumb"),
            "least_saved": make_least_saved_sheet(opened, batch, in_background=in_background),
        }
        rows = int(report.numbers["variant_rows"])
        yield MaterializeResult(
            asset_key="base_variants",
            metadata=report_metadata(report, rows=rows, tally=tally, sheets=sheets, galleries=reports.galleries),
        )
    if outputs.auto_crops:
        report = reports.proposals
        yield MaterializeResult(
            asset_key="auto_crops",
            metadata=report_metadata(report, rows=int(report.numbers["auto"] + report.numbers["manual"])),
        )
    if outputs.crops:
        report = reports.crops
        sheets = {"contact_sheet": make_contact_sheet(opened, batch, "crop_card")}
        rows = int(report.numbers["variant_rows"])
        yield MaterializeResult(
            asset_key="crop_variants",
            metadata=report_metadata(report, rows=rows, tally=tally, sheets=sheets, galleries=reports.galleries),
        )
