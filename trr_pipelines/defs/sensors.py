"""Sensors: level-triggered. `pipeline.scheduling` decides which work is due; the sensors request its runs."""

import time
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
from trr_pipelines.defs.partitions import add_missing, import_batches
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.defs.run_failures import failed_run
from trr_pipelines.defs.run_workers import was_killed
from trr_pipelines.pipeline import scheduling
from trr_pipelines.pipeline.alerting.alerts import record_failed_run
from trr_pipelines.pipeline.scheduling import BatchRequest, PhotosRequest

TICK_SECONDS = 2
COMPARE_SECONDS = 600  # between two comparisons of all partitions, which take a second for 200,000

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
    database, instance = archive.get().database, context.instance
    name = str(import_batches.name)
    keys = scheduling.batches_to_announce(database, lambda key: instance.has_dynamic_partition(name, key))
    compared_at, now = _seconds(context.cursor), time.time()
    if not 0 <= now - compared_at < COMPARE_SECONDS:
        keys += scheduling.batches_missing_from(database, instance.get_dynamic_partitions(name))
        compared_at = now
    requests = scheduling.request_batches(database, has_run(instance))
    for request in requests:
        _warn_if_terminated(context, request)
    return SensorResult(
        run_requests=[
            RunRequest(run_key=request.run_key, partition_key=request.batch, tags={SCOPE_TAG: request.scope})
            for request in requests
        ],
        dynamic_partitions_requests=add_missing(
            instance, import_batches, [*keys, *(request.batch for request in requests)]
        ),
        cursor=str(compared_at),
    )


def _warn_if_terminated(context: SensorEvaluationContext, request: BatchRequest) -> None:
    """Terminating a run does not end its batch: say so, and what does."""
    for run in context.instance.get_runs(RunsFilter(tags={SCOPE_TAG: request.scope}), limit=1):
        if run.status is DagsterRunStatus.CANCELED:
            context.log.warning(
                "run %s of %s was terminated; its open work is requested again. To stop that: trr hold %s",
                run.run_id,
                request.batch,
                request.batch,
            )


def _seconds(cursor: str | None) -> float:
    """The time of the last comparison; 0 for a cursor that this sensor did not write."""
    try:
        return float(cursor or 0)
    except ValueError:
        return 0.0


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
    killed = was_killed(context.failure_event)
    in_a_row = scheduling.run_failed(opened.database, run.run_id, run.tags.get(SCOPE_TAG), was_killed=killed)
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
