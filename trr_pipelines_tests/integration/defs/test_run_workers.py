"""Runs whose process has ended, whatever ended with it, and runs of other machines."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job, op
from dagster._core.launcher import WorkerStatus
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG

from trr_pipelines.defs.alerts import waiting_runs
from trr_pipelines.defs.run_workers import KILLED, PROCESS_TAG, RunLauncher, end_killed_runs, was_killed
from trr_pipelines.process_identity import ProcessIdentity, start_ticks


@op
def nothing() -> None:
    """Does nothing."""


@job
def short_job() -> None:
    """A job."""
    nothing()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.local_temp() as instance:
        yield instance


def ended_process() -> ProcessIdentity:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = replace(ProcessIdentity.of_this_process(), pid=process.pid, started=start_ticks(process.pid))
        assert identity.is_alive()
        process.kill()
    return identity


OURS = ProcessIdentity.of_this_process()
STATES = {
    "alive": (OURS, True),
    "another process with its id": (replace(OURS, started="1"), False),
    "before a restart of the machine": (replace(OURS, boot="another"), False),
    "of another machine": (replace(OURS, node="another"), None),
    "of another container of this machine": (replace(OURS, namespace="1"), None),
}


@pytest.mark.parametrize("name", STATES)
def test_a_process_is_recognised_by_its_start_and_its_place(name: str) -> None:
    identity, is_alive = STATES[name]
    read = ProcessIdentity.parse(str(identity))
    assert read == identity
    assert read.is_alive() is is_alive


def test_an_ended_process_is_not_alive_and_other_text_is_no_process() -> None:
    assert ended_process().is_alive() is False
    assert [ProcessIdentity.parse(text) for text in ("", "node/12/34", "a/b/c/d/e")] == [None, None, None]


@pytest.mark.parametrize(
    ("status", "tags", "at_start", "becomes"),
    [
        (DagsterRunStatus.STARTED, {PROCESS_TAG: "ended"}, False, DagsterRunStatus.FAILURE),
        (DagsterRunStatus.STARTED, {PROCESS_TAG: str(OURS)}, True, DagsterRunStatus.STARTED),
        (DagsterRunStatus.STARTED, {PROCESS_TAG: str(replace(OURS, node="another"))}, True, DagsterRunStatus.STARTED),
        (DagsterRunStatus.CANCELING, {PROCESS_TAG: "ended"}, False, DagsterRunStatus.CANCELED),
        (DagsterRunStatus.STARTING, {}, False, DagsterRunStatus.STARTING),
        (DagsterRunStatus.STARTING, {}, True, DagsterRunStatus.FAILURE),
        (
            DagsterRunStatus.STARTING,
            {GRPC_INFO_TAG: '{"host": "localhost", "socket": "/gone"}'},
            True,
            DagsterRunStatus.FAILURE,
        ),
        (DagsterRunStatus.SUCCESS, {PROCESS_TAG: "ended"}, True, DagsterRunStatus.SUCCESS),
    ],
)
def test_runs_that_no_process_executes_are_ended(
    instance: DagsterInstance, status: DagsterRunStatus, tags: dict[str, str], at_start: bool, becomes: DagsterRunStatus
) -> None:
    tags = {name: str(ended_process()) if value == "ended" else value for name, value in tags.items()}
    run = instance.create_run_for_job(short_job, status=status, tags=tags)
    ended = end_killed_runs(instance, at_start=at_start)
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is becomes
    assert ended == ([run.run_id] if becomes is not status else [])


def test_dagsters_monitoring_sees_whether_the_process_of_a_run_is_alive(instance: DagsterInstance) -> None:
    launcher = RunLauncher()
    found = {
        name: launcher.check_run_worker_health(
            instance.create_run_for_job(short_job, tags={PROCESS_TAG: process})
        ).status
        for name, process in (("ended", str(ended_process())), ("alive", str(OURS)), ("unknown", ""))
    }
    assert launcher.supports_check_run_worker_health
    assert found == {"ended": WorkerStatus.NOT_FOUND, "alive": WorkerStatus.RUNNING, "unknown": WorkerStatus.RUNNING}


def test_a_run_that_was_killed_is_told_from_one_that_failed(instance: DagsterInstance) -> None:
    run = instance.create_run_for_job(short_job, status=DagsterRunStatus.STARTED)
    assert was_killed(instance.report_run_failed(run, f"Detected run worker status NOT_FOUND: '{KILLED}'."))
    assert was_killed(instance.report_run_failed(run))  # as a code server does it
    assert not was_killed(instance.report_run_failed(run, "Steps failed: ['base_variants']."))


def test_a_queue_in_which_no_run_starts_or_ends_is_found(instance: DagsterInstance) -> None:
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository").get_job_origin("short_job")
    instance.create_run_for_job(short_job, status=DagsterRunStatus.QUEUED, remote_job_origin=origin)
    assert waiting_runs(instance) is None  # it waits for a moment only
    time.sleep(0.5)
    waiting = waiting_runs(instance, seconds=0.4)
    assert waiting is not None
    assert (waiting.runs, waiting.seconds >= 0.5) == (1, True)
    instance.report_run_failed(instance.create_run_for_job(short_job, status=DagsterRunStatus.STARTED))
    assert waiting_runs(instance, seconds=0.4) is None
