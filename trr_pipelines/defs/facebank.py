"""The face bank in Dagster: a person's photos as an asset, checks, and sensors for seeds and takedowns."""

from collections.abc import Callable
from uuid import UUID

from dagster import (
    AllPartitionMapping,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetDep,
    AssetExecutionContext,
    Config,
    DefaultSensorStatus,
    DynamicPartitionsDefinition,
    MaterializeResult,
    MetadataValue,
    OpExecutionContext,
    RunConfig,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    asset,
    asset_check,
    define_asset_job,
    job,
    op,
    sensor,
)

from trr_pipelines.defs.assets import OWNERS
from trr_pipelines.defs.lanes import LANE_TAG, LIVE, SCOPE_TAG
from trr_pipelines.defs.metadata import Metadata, table
from trr_pipelines.defs.partitions import add_missing
from trr_pipelines.defs.resources import ArchiveResource, ScreenalyticsResource
from trr_pipelines.defs.sensors import TICK_SECONDS, has_run
from trr_pipelines.pipeline import scheduling
from trr_pipelines.pipeline.facebank import imports as facebank
from trr_pipelines.screenalytics import reports
from trr_pipelines.screenalytics.bank import FaceBank, put_cast, remove_photos
from trr_pipelines.screenalytics.importing import DEFAULT_MAX_IMAGES, import_facebank_images
from trr_pipelines.screenalytics.quality import check_new_photos
from trr_pipelines.screenalytics.reports import FaceBankFinding

NO_FACE_BANK = "SCREENALYTICS_DB_URL is not set"

facebank_people = DynamicPartitionsDefinition(name="facebank_people")


class ImportConfig(Config):
    """`fall_back`: import the first `max_images` (1 to 20) photos of a person without seeds; runs of the sensor never
    do."""

    fall_back: bool = True
    max_images: int = DEFAULT_MAX_IMAGES


# A person's photos may be in any batch.
ALL_BATCHES = AllPartitionMapping()


@asset(
    partitions_def=facebank_people,
    deps=[AssetDep(name, partition_mapping=ALL_BATCHES) for name in ("original_images", "base_variants")],
    group_name="face_bank",
    kinds={"python", "postgres"},
    owners=OWNERS,
    code_version="1",
)
def facebank_images(
    context: AssetExecutionContext,
    config: ImportConfig,
    archive: ArchiveResource,
    screenalytics: ScreenalyticsResource,
) -> MaterializeResult[None]:
    """A person's photos in the face bank of Screenalytics: the seeds that admins flagged, or the first photos of
    a person without seeds. Reviews are never changed. Partitions are people. More: docs/facebank.md."""
    person_id = UUID(context.partition_key)
    database, bank = archive.get().database, screenalytics.bank()
    version = facebank.begin_import(database, person_id, context.run.run_id)
    with screenalytics.client() as client:
        result = import_facebank_images(
            bank, client, person_id, fall_back=config.fall_back, max_images=config.max_images
        )
    put_cast(bank, facebank.cast_around(database, person_id))
    facebank.end_import(database, person_id, version, context.run.run_id)
    look = check_new_photos(bank, person_id, limit=screenalytics.photos_per_look)
    report = reports.person_report(bank, person_id)
    metadata: Metadata = {
        **({"faces": MetadataValue.md(f"![faces]({report.sheet})")} if report.sheet else {}),
        "dagster/partition_row_count": report.numbers["images"],
        **report.numbers,
        "outcome": str(result.outcome),
        "calls": table(result.report()["calls"]),
        "run_calls": len(result.calls),
        **{f"run_{name}": getattr(result, name) for name in ("inserted", "updated", "unchanged", "unflagged")},
        **{f"run_skipped_{reason}": count for reason, count in result.skipped.items()},
        "run_looked_at": look.photos,
        "run_unreachable": look.unreachable,
    }
    if report.quality:
        metadata["quality"] = table(report.quality)
    return MaterializeResult(metadata=metadata)


def _result(claim: FaceBankFinding, severity: AssetCheckSeverity) -> AssetCheckResult:
    metadata: Metadata = {"looked_at": claim.looked_at, "broken": len(claim.broken), **claim.numbers}
    if claim.broken:
        metadata["where"] = table(claim.broken)
    return AssetCheckResult(passed=not claim.broken, severity=severity, metadata=metadata)


def _check_of(evaluate: Callable[[FaceBank, UUID], FaceBankFinding]) -> AssetChecksDefinition:
    @asset_check(
        asset=facebank_images,
        name=evaluate.__name__,
        description=evaluate.__doc__,
        blocking=True,
        partitions_def=facebank_people,
    )
    def check(context: AssetCheckExecutionContext, screenalytics: ScreenalyticsResource) -> AssetCheckResult:
        return _result(evaluate(screenalytics.bank(), UUID(context.partition_key)), AssetCheckSeverity.ERROR)

    return check


@asset_check(asset=facebank_images, description=reports.seeds_match_backend.__doc__, partitions_def=facebank_people)
def seeds_match_backend(context: AssetCheckExecutionContext, screenalytics: ScreenalyticsResource) -> AssetCheckResult:
    with screenalytics.client() as client:
        claim = reports.seeds_match_backend(screenalytics.bank(), client, UUID(context.partition_key))
    # Not an error: a toggle since the import has a run of its own.
    return _result(claim, AssetCheckSeverity.WARN)


checks = [_check_of(reports.no_duplicate_faces), _check_of(reports.approvals_untouched), seeds_match_backend]

facebank_import = define_asset_job(
    "facebank_import",
    selection=[facebank_images],
    description="Import one person's photos into the face bank of Screenalytics, and check the result.",
    tags={LANE_TAG: LIVE},
)


@op(description="Remove photos from the face bank that are no longer in the catalogue.")
def remove_gone_faces(
    context: OpExecutionContext, archive: ArchiveResource, screenalytics: ScreenalyticsResource
) -> None:
    bank = screenalytics.bank()
    photos, rows = facebank.hand_over_removals(
        archive.get().database, lambda gone: remove_photos(bank, gone), run_id=context.run_id
    )
    context.add_output_metadata({"photos_gone": photos, "rows_removed": rows})


@job(description="Remove photos that were taken down from the face bank.", tags={LANE_TAG: LIVE})
def facebank_removal() -> None:
    remove_gone_faces()


@sensor(
    job=facebank_import,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Requests a run for each person whose seeds changed since the last import. It never falls back to all"
    " photos: removing the last seed must not import everything else.",
)
def facebank_seeds(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    if not archive.settings().has_face_bank:
        return SensorResult(skip_reason=NO_FACE_BANK)
    requests = scheduling.request_people(archive.get().database, has_run(context.instance))
    if not requests:
        return SensorResult(skip_reason="nothing is due")
    people = [str(request.person_id) for request in requests]
    config = RunConfig(ops={"facebank_images": ImportConfig(fall_back=False)})
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=request.run_key,
                partition_key=str(request.person_id),
                run_config=config,
                tags={SCOPE_TAG: request.scope},
            )
            for request in requests
        ],
        dynamic_partitions_requests=add_missing(context.instance, facebank_people, people),
    )


@sensor(
    job=facebank_removal,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Requests a run while the face bank may still have photos that were taken down.",
)
def facebank_removals(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    if not archive.settings().has_face_bank:
        return SensorResult(skip_reason=NO_FACE_BANK)
    run_key = scheduling.request_removals(archive.get().database, has_run(context.instance))
    if run_key is None:
        return SensorResult(skip_reason="nothing is due")
    return SensorResult(run_requests=[RunRequest(run_key=run_key, tags={SCOPE_TAG: scheduling.REMOVALS_SCOPE})])


sensors = [facebank_seeds, facebank_removals]
