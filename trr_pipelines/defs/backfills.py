"""Backfills in Dagster: the sensor that requests their runs, a few at a time, and a job that starts one from the UI."""

import re
from collections.abc import Iterator

from dagster import (
    Config,
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    OpExecutionContext,
    RunConfig,
    RunRequest,
    RunsFilter,
    SensorEvaluationContext,
    SensorResult,
    job,
    op,
    sensor,
)

from trr_pipelines.defs.jobs import PhotoIds, import_batch, rerender
from trr_pipelines.defs.lanes import BACKFILL, BACKFILL_TAG, LANE_TAG, SCOPE_TAG
from trr_pipelines.defs.partitions import add_missing, import_batches
from trr_pipelines.defs.resources import ArchiveResource
from trr_pipelines.defs.sensors import UNFINISHED, has_run
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rework.backfill_feed import Feed, feed, runs_to_end
from trr_pipelines.pipeline.rework.backfills import TOP_GALLERIES, start_backfill

FEED_SECONDS = 5
PRIORITY_TAG = "dagster/priority"
_BACKFILL_ID = re.compile(r"[0-9]{1,18}")


@sensor(
    jobs=[import_batch, rerender],
    minimum_interval_seconds=FEED_SECONDS,
    default_status=DefaultSensorStatus.RUNNING,
    description="Requests the next runs of backfills, a few at a time (TRR_BACKFILL_QUEUE), and cancels queued runs of"
    " backfills that are paused, cancelled or outside their hours (TRR_BACKFILL_HOURS).",
)
def backfill_feed(context: SensorEvaluationContext, archive: ArchiveResource) -> SensorResult:
    opened, instance = archive.get(), context.instance
    settings = opened.settings
    for run in _runs_to_end(opened, instance):
        _cancel(context, run)
    wanted = feed(opened.database, has_run(instance), queue=settings.backfill_queue, hours=settings.backfill_hours)
    batches = [request.batch for requests in wanted.batches.values() for request in requests]
    return SensorResult(
        run_requests=list(_run_requests(wanted)),
        dynamic_partitions_requests=add_missing(instance, import_batches, batches),
    )


def _cancel(context: SensorEvaluationContext, run: DagsterRun) -> None:
    """Cancel a run; one that cannot be cancelled is tried again by the next tick, and stops no request of this one."""
    coordinator = context.instance.run_coordinator
    assert coordinator is not None
    try:
        coordinator.cancel_run(run.run_id)
    except Exception as error:  # noqa: BLE001  whatever the launcher raises
        context.log.warning("run %s of backfill %s cannot be cancelled: %s", run.run_id, run.tags[BACKFILL_TAG], error)
    else:
        context.log.info("cancelled run %s of backfill %s", run.run_id, run.tags[BACKFILL_TAG])


def _run_requests(wanted: Feed) -> Iterator[RunRequest]:
    for backfill_id, photos in wanted.photos.items():
        config = PhotoIds(photo_ids=[str(photo_id) for photo_id in photos.photo_ids], scope=photos.scope)
        yield RunRequest(
            job_name=rerender.name,
            run_key=photos.run_key,
            run_config=RunConfig(ops={"rerender_scattered_photos": config}),
            tags=_tags(backfill_id, photos.scope),
        )
    for backfill_id, batches in wanted.batches.items():
        for request in batches:
            yield RunRequest(
                job_name=import_batch.name,
                run_key=request.run_key,
                partition_key=request.batch,
                tags=_tags(backfill_id, request.scope),
            )


def _tags(backfill_id: int, scope: str) -> dict[str, str]:
    return {SCOPE_TAG: scope, LANE_TAG: BACKFILL, BACKFILL_TAG: str(backfill_id), PRIORITY_TAG: "-1"}


def _runs_to_end(archive: Archive, instance: DagsterInstance) -> list[DagsterRun]:
    """Queued runs of backfills that are not fed now, and all runs of cancelled ones."""
    runs = instance.get_runs(RunsFilter(tags={LANE_TAG: BACKFILL}, statuses=UNFINISHED))
    # A user may launch a run with any tag.
    by_id = {run.run_id: int(tag) for run in runs if _BACKFILL_ID.fullmatch(tag := run.tags.get(BACKFILL_TAG, ""))}
    if not by_id:
        return []
    ends = runs_to_end(archive.database, sorted(set(by_id.values())), hours=archive.settings.backfill_hours)
    return [
        run
        for run in runs
        if run.status is not DagsterRunStatus.CANCELING
        and (end := ends.get(by_id.get(run.run_id, 0))) is not None
        and (end == "all" or run.status is DagsterRunStatus.QUEUED)
    ]


class BackfillOptions(Config):
    """The options of `trr backfill start`; an empty source means all sources."""

    order: str = "recency"
    source: str = ""
    galleries: int = TOP_GALLERIES


@op(description="Record a backfill of all open work; the sensor backfill_feed requests its runs.")
def record_backfill(context: OpExecutionContext, config: BackfillOptions, archive: ArchiveResource) -> None:
    started = start_backfill(
        archive.get().database,
        ordering=config.order,
        source=config.source or None,
        galleries=config.galleries,
        author=f"dagster:{context.run_id}",
    )
    context.add_output_metadata(
        {
            "backfill": started.backfill_id or 0,
            "batches": len(started.plan.batches),
            "photos": started.plan.estimate.photos,
            "bytes_to_read": started.plan.estimate.bytes_to_read,
            "new_bytes": started.plan.estimate.new_bytes,
            "minutes": started.plan.estimate.minutes,
        }
    )


@job(
    name="backfill",
    description="Start a backfill, as `trr backfill start` does. Unlike a backfill of the UI it can be paused.",
)
def start_backfill_job() -> None:
    record_backfill()
