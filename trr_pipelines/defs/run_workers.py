"""The processes that execute runs: recorded on each run, so that a run whose process was killed is ended.

Dagster's own launcher asks a code server to start a process, and does not look after it: when both are killed, the run
stays STARTED and keeps its place in the queue. `dagster.yaml` names the launcher here, whose runs Dagster's monitoring
checks every few seconds, and `storage` names the run storage.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final

from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher import CheckRunHealthResult, DefaultRunLauncher, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value
from dagster_postgres import PostgresRunStorage

from trr_pipelines.process_identity import ProcessIdentity

PROCESS_TAG: Final = "trr/process"
KILLED: Final = "its process was killed"
CODE_SERVER_SECONDS: Final = 5
IN_PROGRESS: Final = [
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]


class RunStorage(PostgresRunStorage):
    """dagster-postgres's storage of runs, which also records the process that executes a run when the run starts."""

    def handle_run_event(self, run_id: str, event: DagsterEvent, update_timestamp: datetime | None = None) -> None:
        """Record an event. The start of a run is always reported by the process that executes it."""
        if event.event_type is DagsterEventType.RUN_START and self.has_run(run_id):
            self.add_run_tags(run_id, process_tag())
        super().handle_run_event(run_id, event, update_timestamp)


class RunLauncher(DefaultRunLauncher):
    """Dagster's launcher, with a check whether the process of a run is alive."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Always: a run is ended by the time limit only when nothing about its process is known."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """NOT_FOUND when the process of a run has ended; Dagster's monitoring then ends the run as failed."""
        if is_executed(run) is False:
            return CheckRunHealthResult(WorkerStatus.NOT_FOUND, KILLED)
        return CheckRunHealthResult(WorkerStatus.RUNNING)


def process_tag() -> dict[str, str]:
    """The tag that records this process as the one that executes a run."""
    return {PROCESS_TAG: str(ProcessIdentity.of_this_process())}


def is_executed(run: DagsterRun) -> bool | None:
    """Whether a process executes this run now; None when neither it nor its code server can be seen from here."""
    process = ProcessIdentity.parse(run.tags.get(PROCESS_TAG, ""))
    alive = process.is_alive() if process is not None else None
    return _is_known_to_its_code_server(run) if alive is None else alive


def end_killed_runs(instance: DagsterInstance, *, at_start: bool = False) -> list[str]:
    """End every run in progress that no process executes any more: canceled if that was requested, else failed.

    `at_start`: no code server of this storage is running, so runs that one was asked to start are ended too. Returns
    the ids. A run of another machine is left alone while its code server cannot be reached from here.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=IN_PROGRESS)):
        # Without the tag it is being started, unless the code server that should start it is gone.
        is_alive = is_executed(run) if PROCESS_TAG in run.tags else not at_start
        if is_alive is not False:
            continue
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, KILLED)
        else:
            instance.report_run_failed(run, KILLED)
        ended.append(run.run_id)
    return ended


def was_killed(failure: DagsterEvent) -> bool:
    """Whether a run failed because its process ended, by the message of the event: ours, or Dagster's from outside."""
    message = failure.message or ""
    return KILLED in message or "from outside the execution context" in message


def _is_known_to_its_code_server(run: DagsterRun) -> bool | None:
    """Whether the code server that started the run has a process for it; None when it cannot be reached."""
    if GRPC_INFO_TAG not in run.tags:
        return None
    where = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(
        port=where.get("port"),
        socket=where.get("socket"),
        host=where.get("host", "localhost"),
        use_ssl=where.get("use_ssl", False),
    )
    try:
        answer = client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), CODE_SERVER_SECONDS)
    except DagsterUserCodeUnreachableError:
        return None
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
