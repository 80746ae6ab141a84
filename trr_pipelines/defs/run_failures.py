"""Failed runs: the cause that Dagster recorded, as one line, and the record that the pipeline keeps."""

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun

from trr_pipelines import errors
from trr_pipelines.defs.lanes import BACKFILL, LIVE, SCOPE_TAG, is_backfill
from trr_pipelines.pipeline.alerting.alerts import FailedRun
from trr_pipelines.pipeline.alerting.messages import without_secrets
from trr_pipelines.pipeline.archive import Archive

PARTITION_TAG = "dagster/partition"


def failed_run(archive: Archive, instance: DagsterInstance, run: DagsterRun, in_a_row: int | None) -> FailedRun:
    """The run with the cause of its first failed step, in one line without secrets."""
    return FailedRun(
        run_id=run.run_id,
        job=run.job_name,
        scope=run.tags.get(SCOPE_TAG, ""),
        partition=run.tags.get(PARTITION_TAG, ""),
        lane=BACKFILL if is_backfill(run.tags) else LIVE,
        error=without_secrets(_cause(instance, run.run_id), archive.settings),
        failures_in_a_row=in_a_row,
    )


def step_failure(event: DagsterEvent) -> str:
    """`step: cause` of a failed step in one line; our own errors without their class. Empty for other events."""
    if not event.is_step_failure or event.step_failure_data.error is None:
        return ""
    error = event.step_failure_data.error
    while error.cause is not None:
        error = error.cause
    message = error.message.removeprefix(f"{errors.__name__}.{error.cls_name}: ")
    return f"{event.step_key}: {' '.join(message.split())}"


def _cause(instance: DagsterInstance, run_id: str) -> str:
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        if entry.dagster_event is not None and (cause := step_failure(entry.dagster_event)):
            return cause
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE):
        if entry.dagster_event is not None and entry.dagster_event.message:
            return entry.dagster_event.message
    return "no cause recorded by Dagster"
