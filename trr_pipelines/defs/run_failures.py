"""What Dagster knows of a run that failed, as the pipeline keeps it. What becomes of it is not decided here."""

from dagster import DagsterEventType, DagsterInstance, DagsterRun

from trr_pipelines.defs.lanes import BACKFILL, LIVE, SCOPE_TAG, is_backfill
from trr_pipelines.pipeline.alerting.alerts import FailedRun
from trr_pipelines.pipeline.alerting.messages import without_secrets
from trr_pipelines.pipeline.archive import Archive

PARTITION_TAG = "dagster/partition"


def failed_run(archive: Archive, instance: DagsterInstance, run: DagsterRun, in_a_row: int | None) -> FailedRun:
    """The run with the cause of its first failed step, in one line that holds no secret."""
    return FailedRun(
        run_id=run.run_id,
        job=run.job_name,
        scope=run.tags.get(SCOPE_TAG, ""),
        partition=run.tags.get(PARTITION_TAG, ""),
        lane=BACKFILL if is_backfill(run.tags) else LIVE,
        error=without_secrets(_cause(instance, run.run_id), archive.settings),
        failures_in_a_row=in_a_row,
    )


def _cause(instance: DagsterInstance, run_id: str) -> str:
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.STEP_FAILURE):
        event = entry.dagster_event
        if event is not None and event.step_failure_data.error is not None:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            return f"{event.step_key}: {error.message}"
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.RUN_FAILURE):
        if entry.dagster_event is not None and entry.dagster_event.message:
            return entry.dagster_event.message
    return "Dagster does not say why"
