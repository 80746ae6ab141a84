"""Sensors: level-triggered. `pipeline.scheduling` decides which work is due; the sensors request its runs."""

from collections.abc import Callable

from dagster import (
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunConfig,
    RunFailureSensorContext,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    run_failure_sensor,
    sensor,
)

from trr_pipelines.defs.jobs import PhotoIds, import_batch, rerender
from trr_pipelines.defs.lanes import SCOPE_TAG
from trr_pipelines.defs.partitions import import_batches
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.defs.run_failures import failed_run
from trr_pipelines.pipeline import scheduling
from trr_pipelines.pipeline.alerting.alerts import record_failed_run
from trr_pipelines.pipeline.scheduling import PhotosRequest

TICK_SECONDS = 2
HEALED = "healed"

UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


# Sensors have a description instead of a docstring: Dagster does not show the docstring.


@sensor(
    job=import_batch,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Adds new batches to Dagster as partitions, and requests a run of each that has open work.",
)
def new_imports(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    database = archive.get().database
    name = str(import_batches.name)
    keys = scheduling.batches_to_announce(database, lambda key: context.instance.has_dynamic_partition(name, key))
    if context.cursor != HEALED:  # the first tick on this storage: it may be a new one
        known = context.instance.get_dynamic_partitions(name)
        keys = sorted({*keys, *scheduling.batches_missing_from(database, known)})
    requests = scheduling.request_batches(database, has_run(context.instance))
    return SensorResult(
        run_requests=[
            RunRequest(run_key=request.run_key, partition_key=request.batch, tags={SCOPE_TAG: request.scope})
            for request in requests
        ],
        dynamic_partitions_requests=[import_batches.build_add_request(keys)] if keys else [],
        cursor=HEALED,
    )


@sensor(
    job=rerender,
    minimum_interval_seconds=TICK_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Requests one run of all photos whose crop was edited, so that the new crop is served within seconds.",
)
def crop_changes(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    return _photos(scheduling.request_crops(archive.get().database, has_run(context.instance)))


@sensor(
    job=rerender,
    minimum_interval_seconds=15,
    default_status=DefaultSensorStatus.RUNNING,
    description="Requests one run of all photos whose next attempt is due (30 s, 2, 8 and 32 min; parked after 5"
    " attempts), and of those requested for reprocessing.",
)
def retry_failed(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    return _photos(scheduling.request_retries(archive.get().database, has_run(context.instance)))


@run_failure_sensor(
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=5,
    description="Releases the leases of a failed run, lets its work be requested again after a backoff, and records the"
    " failure for the webhook (TRR_ALERT_WEBHOOK); the sensor `alerts` sends it.",
)
def failed_runs(context: RunFailureSensorContext, archive: ArchiveResource) -> None:
    opened, run = archive.get(), context.dagster_run
    in_a_row = scheduling.run_failed(opened.database, run.run_id, run.tags.get(SCOPE_TAG))
    record_failed_run(opened.database, failed_run(opened, context.instance, run, in_a_row))


def _photos(request: PhotosRequest | None) -> SensorResult:
    if request is None:
        return SensorResult(skip_reason="nothing is due")
    config = PhotoIds(photo_ids=[str(photo_id) for photo_id in request.photo_ids], scope=request.scope)
    return SensorResult(
        run_requests=[
            RunRequest(
                run_key=request.run_key,
                run_config=RunConfig(ops={"rerender_scattered_photos": config}),
                tags={SCOPE_TAG: request.scope},
            )
        ]
    )


def has_run(instance: DagsterInstance) -> Callable[[str], bool]:
    """A function that returns whether a run of a run_key is queued or in progress."""

    def is_unfinished(run_key: str) -> bool:
        filters = RunsFilter(tags={"dagster/run_key": run_key}, statuses=UNFINISHED)
        return instance.get_runs_count(filters) > 0

    return is_unfinished
