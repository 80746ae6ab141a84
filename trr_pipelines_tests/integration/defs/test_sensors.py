"""Sensors against a real catalogue: what they ask Dagster for, and that nothing is lost when Dagster forgets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    Definitions,
    RunRequest,
    SensorEvaluationContext,
    SensorResult,
    build_run_status_sensor_context,
    build_sensor_context,
)
from dagster._core.execution.build_resources import wrap_resource_for_execution
from dagster._core.test_utils import create_run_for_test

from trr_pipelines.catalogue import dispatches, ledger
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.rendering.batches import begin_batch
from trr_pipelines.pipeline.scheduling import hold_batch, release_batch, run_failed
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value


@pytest.fixture
def batch(archive: Archive, tmp_path: Path) -> str:
    return import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg()})


@pytest.fixture
def rendered(archive: Archive, batch: str, render_pool: RenderPool) -> UUID:
    run(archive, batch, pool=render_pool)
    return photo_ids(archive)["a.jpg"]


def tick(defs: Definitions, instance: DagsterInstance, name: str, cursor: str | None = None) -> SensorResult:
    assert defs.resources is not None
    archive = defs.resources["archive"]
    context = build_sensor_context(instance=instance, definitions=defs, cursor=cursor, resources={"archive": archive})
    with context:
        result = defs.resolve_sensor_def(name)(context)
    assert isinstance(result, SensorResult)
    return result


def requests(result: SensorResult) -> list[RunRequest]:
    return list(result.run_requests or ())


def added(result: SensorResult) -> list[str]:
    return [key for one in result.dynamic_partitions_requests or () for key in one.partition_keys]


def test_a_new_batch_is_announced_and_asked_for_in_the_same_tick(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    result = tick(defs, instance, "new_imports")
    assert added(result) == [batch]
    (request,) = requests(result)
    assert (request.run_key, request.partition_key) == (f"batch:{batch}:1", batch)
    assert request.tags["trr/scope"] == f"batch:{batch}"


def test_ticks_ask_under_the_same_key_until_the_run_has_begun(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str
) -> None:
    keys = [[one.run_key for one in requests(tick(defs, instance, "new_imports"))] for _ in range(3)]
    assert keys == [[f"batch:{batch}:1"]] * 3
    begin_batch(archive, batch, "run-1")
    assert requests(tick(defs, instance, "new_imports", str(time.time()))) == []


def test_a_batch_is_announced_until_dagster_has_it(defs: Definitions, instance: DagsterInstance, batch: str) -> None:
    assert [added(tick(defs, instance, "new_imports", str(time.time()))) for _ in range(2)] == [[batch]] * 2
    instance.add_dynamic_partitions("import_batches", [batch])
    assert [added(tick(defs, instance, "new_imports", str(time.time()))) for _ in range(2)] == [[], []]


def test_a_new_storage_of_dagster_learns_of_every_batch_at_its_first_tick(
    defs: Definitions, instance: DagsterInstance, batch: str
) -> None:
    instance.add_dynamic_partitions("import_batches", [batch])
    tick(defs, instance, "new_imports")
    with DagsterInstance.ephemeral() as new:
        assert added(tick(defs, new, "new_imports")) == [batch]


def evaluated(
    defs: Definitions, instance: DagsterInstance, name: str, cursor: str | None = None
) -> tuple[list[str], str | None]:
    """The run keys and cursor of a tick that Dagster evaluates itself: it refuses one with an unknown partition."""
    assert defs.resources is not None
    context = SensorEvaluationContext(
        instance_ref=instance.get_ref(),
        instance=instance,
        last_tick_completion_time=None,
        last_run_key=None,
        cursor=cursor,
        log_key=None,
        repository_name=None,
        repository_def=defs.get_repository_def(),
        resources={"archive": wrap_resource_for_execution(defs.resources["archive"])},
    )
    with context:
        data = defs.resolve_sensor_def(name).evaluate_tick(context)
    for request in data.dynamic_partitions_requests or ():
        instance.add_dynamic_partitions(request.partitions_def_name, list(request.partition_keys))
    return [str(one.run_key) for one in data.run_requests or ()], data.cursor


def test_a_partition_that_was_deleted_in_the_ui_is_added_again_by_the_next_tick(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str, tmp_path: Path
) -> None:
    other = import_files(archive, tmp_path / "other", {"b.jpg": pictures.jpeg(seed=1)}, source="bravo")
    keys = [f"batch:{other}:1", f"batch:{batch}:1"]
    cursor = None
    for _ in range(2):  # the second tick finds both in Dagster, and marks them as announced
        requested, cursor = evaluated(defs, instance, "new_imports", cursor)
        assert requested == keys
    instance.delete_dynamic_partition("import_batches", batch)
    assert evaluated(defs, instance, "new_imports", cursor)[0] == keys
    assert set(instance.get_dynamic_partitions("import_batches")) == {batch, other}


@pytest.mark.parametrize("hours", [-1, 1], ids=["long ago", "by a clock that was ahead"])
def test_partitions_without_open_work_are_added_again_by_the_next_comparison(
    defs: Definitions, instance: DagsterInstance, rendered: UUID, batch: str, hours: int
) -> None:
    for _ in range(2):
        evaluated(defs, instance, "new_imports")
    instance.delete_dynamic_partition("import_batches", batch)
    assert evaluated(defs, instance, "new_imports", str(time.time() + 3600 * hours))[0] == []
    assert instance.get_dynamic_partitions("import_batches") == [batch]


def test_a_run_that_dagster_lost_is_requested_again_and_one_that_waits_is_not(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str
) -> None:
    tick(defs, instance, "new_imports")
    create_run_for_test(
        instance,
        status=DagsterRunStatus.NOT_STARTED,
        tags={"dagster/run_key": f"batch:{batch}:1"},
        job_name="import_batch",
    )
    query(archive.database, "update core.dispatches set requested_at = now() - interval '1 hour'")
    assert [one.run_key for one in requests(tick(defs, instance, "new_imports"))] == [f"batch:{batch}:1"]
    with DagsterInstance.ephemeral() as forgetful:
        assert [one.run_key for one in requests(tick(defs, forgetful, "new_imports"))] == [f"batch:{batch}:2"]


@pytest.mark.parametrize("name", ["crop_changes", "retry_failed"])
def test_a_tick_without_work_says_so(defs: Definitions, instance: DagsterInstance, rendered: UUID, name: str) -> None:
    result = tick(defs, instance, name)
    assert requests(result) == []
    assert str(result.skip_reason.skip_message if result.skip_reason else "") == "nothing is due"


def photos_of(request: RunRequest) -> Any:
    config = request.run_config
    return config["ops"]["rerender_scattered_photos"]["config"]["photo_ids"]


def test_an_edited_crop_becomes_one_run_of_that_photo(
    defs: Definitions, instance: DagsterInstance, archive: Archive, rendered: UUID
) -> None:
    set_crop(archive.database, rendered, Crop("manual", 10, 10, 2), author=EDITOR)
    (request,) = requests(tick(defs, instance, "crop_changes"))
    assert (request.run_key, photos_of(request)) == ("crops:1", [str(rendered)])
    assert request.tags["trr/scope"] == "crops"


def test_a_failed_photo_becomes_one_run_when_it_is_due(
    defs: Definitions, instance: DagsterInstance, archive: Archive, rendered: UUID
) -> None:
    query(
        archive.database,
        "update core.variant_generations set state = 'failed', reason = 'storage_timeout', next_attempt_at = now()"
        " where kind = 'base'",
    )
    (request,) = requests(tick(defs, instance, "retry_failed"))
    assert (request.run_key, photos_of(request)) == ("retries:1", [str(rendered)])


def test_a_failed_run_frees_what_it_held_and_moves_its_key_on(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str
) -> None:
    instance.add_dynamic_partitions("import_batches", ["unknown"])
    failed = defs.resolve_job_def("import_batch").execute_in_process(
        instance=instance, tags={"trr/scope": f"batch:{batch}"}, partition_key="unknown", raise_on_error=False
    )
    begin_batch(archive, batch, failed.run_id)
    archive.database.run(lambda conn: ledger.claim(conn, Scope(batch=batch), ("original",), failed.run_id, limit=1))
    (event,) = [one for one in failed.all_events if one.event_type is DagsterEventType.RUN_FAILURE]
    assert defs.resources is not None
    with build_run_status_sensor_context(
        "failed_runs", event, instance, failed.dagster_run, resources={"archive": defs.resources["archive"]}
    ) as context:
        defs.resolve_sensor_def("failed_runs")(context.for_run_failure())
    assert value(archive.database, "select count(*) from core.variant_generations where lease_until is not null") == 0
    dispatch = archive.database.run(lambda conn: dispatches.request(conn, f"batch:{batch}"))
    assert dispatch.epoch == 3
    (alert,) = query(archive.database, "select subject, text, figures from core.alerts")
    assert alert["subject"] == alert["figures"]["run_id"] == failed.run_id
    expected = "run of import_batch failed (unknown, lane live, 1 in a row): original_images: no import batch 'unknown'"
    assert alert["text"].startswith(expected)
    assert "\n" not in alert["text"]


def test_a_batch_whose_run_was_terminated_is_requested_again_with_a_warning_until_it_is_held(
    defs: Definitions, instance: DagsterInstance, archive: Archive, batch: str, capfd: pytest.CaptureFixture[str]
) -> None:
    tick(defs, instance, "new_imports")
    assert "was terminated" not in capfd.readouterr().err
    begin_batch(archive, batch, "run-1")
    run = create_run_for_test(
        instance, status=DagsterRunStatus.CANCELED, tags={"trr/scope": f"batch:{batch}"}, job_name="import_batch"
    )
    query(archive.database, "update core.dispatches set lease_until = now() - interval '1 second'")
    assert [one.run_key for one in requests(tick(defs, instance, "new_imports"))] == [f"batch:{batch}:2"]
    logged = capfd.readouterr().err
    assert f"run {run.run_id} of {batch} was terminated; its open work is requested again" in logged
    assert f"trr hold {batch}" in logged

    hold_batch(archive.database, batch)
    assert requests(tick(defs, instance, "new_imports")) == []
    assert value(archive.database, "select count(*) from core.live_work") == 0
    run_failed(archive.database, "run-1", f"batch:{batch}")
    assert requests(tick(defs, instance, "new_imports")) == []

    release_batch(archive.database, batch)
    assert [one.run_key for one in requests(tick(defs, instance, "new_imports"))] == [f"batch:{batch}:3"]
    assert value(archive.database, "select count(*) from core.live_work") == 1
