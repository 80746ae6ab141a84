"""Backfills in Dagster: what the sensor asks for and takes back, under which tags, and that live runs find a place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRunStatus, Definitions, RunRequest, SensorResult, build_sensor_context
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._core.test_utils import create_run_for_test

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.defs.lanes import is_backfill
from trr_pipelines.local.dagster_home import PROJECT
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering import derivatives
from trr_pipelines.pipeline.rework.backfills import (
    backfill_progress,
    cancel_backfill,
    pause_backfill,
    resume_backfill,
    start_backfill,
)
from trr_pipelines_tests.support.archives import photo_ids
from trr_pipelines_tests.support.backfills import put


@pytest.fixture
def batches(archive: Archive, tmp_path: Path) -> list[str]:
    """Three batches of an archive, the newest first."""
    return [put(archive, tmp_path, "deadline", 9 - n, range(n, n + 1), lane="backfill") for n in range(3)]


@pytest.fixture
def queueing(dagster_tables: Path, tmp_path: Path) -> Iterator[DagsterInstance]:
    """An instance whose runs wait in a queue, as those of `dagster.yaml` do."""
    home = shutil.copytree(dagster_tables, tmp_path / "queueing")
    coordinator = {"module": "dagster._core.run_coordinator", "class": "QueuedRunCoordinator"}
    with DagsterInstance.local_temp(str(home), overrides={"run_coordinator": coordinator}) as one:
        yield one


def start(archive: Archive, galleries: int = 0) -> str:
    return str(start_backfill(archive.database, galleries=galleries, author="ann@example.org").backfill_id)


def tick(defs: Definitions, instance: DagsterInstance) -> SensorResult:
    assert defs.resources is not None
    context = build_sensor_context(
        instance=instance, definitions=defs, resources={"archive": defs.resources["archive"]}
    )
    with context:
        result = defs.resolve_sensor_def("backfill_feed")(context)
    assert isinstance(result, SensorResult)
    return result


def requests(result: SensorResult) -> list[RunRequest]:
    return list(result.run_requests or ())


@pytest.mark.parametrize("tag", ["mine", "", "-1", "9" * 30])
def test_a_run_that_a_user_tagged_by_hand_fails_no_tick(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batches: list[str], tag: str
) -> None:
    start(archive)
    tags = {"trr/lane": "backfill", "trr/backfill": tag}
    create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags=tags, job_name="import_batch")
    assert [one.partition_key for one in requests(tick(defs, instance))] == batches[:2]


def test_the_first_batches_are_asked_for_in_the_lane_of_backfills(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batches: list[str]
) -> None:
    number = start(archive)
    result = tick(defs, instance)
    assert [(one.job_name, one.partition_key) for one in requests(result)] == [
        ("import_batch", batches[0]),
        ("import_batch", batches[1]),
    ]
    tags = requests(result)[0].tags
    assert tags["trr/lane"] == "backfill"
    assert (tags["trr/backfill"], tags["trr/scope"]) == (number, f"batch:{batches[0]}")
    assert int(tags["dagster/priority"]) < 0


def test_batches_that_dagster_has_not_heard_of_are_announced_with_their_runs(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batches: list[str]
) -> None:
    start(archive)
    instance.add_dynamic_partitions("import_batches", [batches[0]])
    (announced,) = tick(defs, instance).dynamic_partitions_requests or ()
    assert announced.partition_keys == [batches[1]]


def test_photos_of_the_largest_galleries_are_one_run_before_all_batches(
    defs: Definitions, instance: DagsterInstance, archive: Archive, tmp_path: Path
) -> None:
    put(archive, tmp_path, "deadline", 1, range(2), show="The Valley", lane="backfill")
    put(archive, tmp_path, "deadline", 2, range(2, 3), lane="backfill")
    number = start(archive, galleries=1)
    (request,) = requests(tick(defs, instance))
    config: Any = request.run_config
    ids = photo_ids(archive)
    assert request.job_name == "rerender"
    assert set(config["ops"]["rerender_scattered_photos"]["config"]["photo_ids"]) == {
        str(ids["0.jpg"]),
        str(ids["1.jpg"]),
    }
    assert (request.tags["trr/lane"], request.tags["trr/scope"]) == ("backfill", f"backfill:{number}")


def a_run(instance: DagsterInstance, status: DagsterRunStatus, **tags: str) -> str:
    """A run as the queue holds it: Dagster wants to know from which code server it comes."""
    server = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="trr_pipelines")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "import_batch")
    run = create_run_for_test(instance, job_name="import_batch", status=status, tags=tags, remote_job_origin=origin)
    return run.run_id


def of_backfill(number: str) -> dict[str, str]:
    return {"trr/lane": "backfill", "trr/backfill": number}


def status_of(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_what_waits_in_the_queue_is_taken_back_while_a_backfill_is_paused(
    defs: Definitions, queueing: DagsterInstance, archive: Archive, batches: list[str]
) -> None:
    number = start(archive)
    waiting = a_run(queueing, DagsterRunStatus.QUEUED, **of_backfill(number))
    under_way = a_run(queueing, DagsterRunStatus.STARTED, **of_backfill(number))
    tick(defs, queueing)
    assert status_of(queueing, waiting) is DagsterRunStatus.QUEUED
    pause_backfill(archive.database)
    assert requests(tick(defs, queueing)) == []
    assert status_of(queueing, waiting) is DagsterRunStatus.CANCELED
    assert status_of(queueing, under_way) is DagsterRunStatus.STARTED
    resume_backfill(archive.database)
    assert [one.partition_key for one in requests(tick(defs, queueing))] == batches[:2]


def test_runs_of_a_cancelled_backfill_and_of_no_other_are_taken_back(
    defs: Definitions, queueing: DagsterInstance, archive: Archive, tmp_path: Path, batches: list[str]
) -> None:
    number = start(archive)
    put(archive, tmp_path, "bravo", 1, range(7, 8), lane="backfill")
    other = str(start_backfill(archive.database, source="bravo", galleries=0, author="ann@example.org").backfill_id)
    ours, theirs = (a_run(queueing, DagsterRunStatus.QUEUED, **of_backfill(one)) for one in (number, other))
    live = a_run(queueing, DagsterRunStatus.QUEUED)
    cancel_backfill(archive.database, int(number))
    tick(defs, queueing)
    assert [status_of(queueing, run).value for run in (ours, theirs, live)] == ["CANCELED", "QUEUED", "QUEUED"]


def test_a_backfill_is_started_by_its_job(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batches: list[str]
) -> None:
    config = {"ops": {"record_backfill": {"config": {"order": "source", "source": "deadline", "galleries": 0}}}}
    assert defs.resolve_job_def("backfill").execute_in_process(instance=instance, run_config=config).success
    progress = backfill_progress(archive.database)
    assert (progress.backfill.ordering, progress.backfill.source, progress.left_photos) == ("source", "deadline", 3)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, 0),
        ({"trr/lane": "live"}, 0),
        ({"trr/lane": "backfill"}, derivatives.BACKGROUND_NICENESS),
        ({"dagster/backfill": "abcdefgh"}, derivatives.BACKGROUND_NICENESS),
    ],
)
def test_runs_of_backfills_render_behind_everything_else(
    defs: Definitions,
    instance: DagsterInstance,
    archive: Archive,
    batches: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str],
    expected: int,
) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    seen: list[int] = []
    real = RenderPool.close

    def close(pool: RenderPool) -> None:
        seen.extend(os.getpriority(os.PRIO_PROCESS, pid) for pid in pool.processes())
        real(pool)

    monkeypatch.setattr(RenderPool, "close", close)
    instance.add_dynamic_partitions("import_batches", batches)
    job = defs.resolve_job_def("import_batch")
    assert job.execute_in_process(instance=instance, partition_key=batches[0], tags=tags).success
    assert set(seen) == {min(19, own + expected)}
    assert is_backfill(tags) is bool(expected)


def test_backfills_can_never_take_every_place_of_the_queue() -> None:
    runs = yaml.safe_load((PROJECT / "dagster.yaml").read_text())["concurrency"]["runs"]
    capped = {(one["key"], one.get("value")): one["limit"] for one in runs["tag_concurrency_limits"]}
    assert set(capped) == {("trr/lane", "backfill"), ("dagster/backfill", None)}
    assert sum(capped.values()) < runs["max_concurrent_runs"]
