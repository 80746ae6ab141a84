"""The sensor that looks for alerts: against real storage of Dagster's, where daemons and sensors fall silent."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from dagster import DagsterInstance, DagsterRunStatus, Definitions, SensorResult, build_sensor_context
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.test_utils import create_run_for_test
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat
from dagster._utils.error import SerializableErrorInfo

from trr_pipelines.defs.alerts import silences
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.webhooks import webhook

MINUTE = timedelta(minutes=1)


def tick(defs: Definitions, instance: DagsterInstance) -> SensorResult:
    assert defs.resources is not None
    with build_sensor_context(
        instance=instance, definitions=defs, resources={"archive": defs.resources["archive"]}
    ) as context:
        result = defs.resolve_sensor_def("alerts")(context)
    assert isinstance(result, SensorResult)
    return result


def open_alerts_in(result: SensorResult) -> str:
    assert result.skip_reason is not None
    return str(result.skip_reason.skip_message)


def add_daemon_heartbeats(instance: DagsterInstance, ago: float = 0) -> None:
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - ago, kind, "one", []))


def add_sensor_tick(instance: DagsterInstance, name: str, ago: float, status: str = "DECLARED_IN_CODE") -> None:
    location = InProcessCodeLocationOrigin(
        LoadableTargetOrigin(module_name="trr_pipelines.definitions"), "trr_pipelines"
    )
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "__repository__"), name)
    data = SensorInstigatorData(last_tick_timestamp=time.time() - ago, min_interval=2)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus[status], data)
    instance.add_instigator_state(state)


def test_a_tick_reports_open_alerts_and_observes_new_ones(
    defs: Definitions, instance: DagsterInstance, archive: Archive
) -> None:
    query(archive.database, "insert into core.dispatches (scope, failures) values ('batch:x', 5)")
    first, second = tick(defs, instance), tick(defs, instance)
    assert open_alerts_in(first).endswith("too many failed runs in a row (`trr unpark` requests them again): batch:x")
    (event,) = first.asset_events
    assert {name: one.value for name, one in event.metadata.items() if name != "alerts"} == {
        "open": 1, "began": "parked_runs", "ended": "nothing",
    }  # fmt: skip
    assert [event.metadata["began"].value for event in second.asset_events] == ["silent_dagster"]  # no daemon is there
    add_daemon_heartbeats(instance)
    query(archive.database, "delete from core.dispatches")
    assert (open_alerts_in(tick(defs, instance)), tick(defs, instance).asset_events) == ("open: nothing", [])


def test_after_a_gap_other_sensors_are_not_silent_before_their_next_tick(
    defs: Definitions, instance: DagsterInstance, archive: Archive
) -> None:
    tick(defs, instance)
    query(archive.database, "update core.watches set looked_at = now() - interval '1 hour'")
    assert open_alerts_in(tick(defs, instance)) == "open: nothing"
    assert "no heartbeat from Dagster: daemon" in open_alerts_in(tick(defs, instance))


@pytest.mark.parametrize(
    ("daemons", "sensor", "status", "named"),
    [
        (0, 1, "DECLARED_IN_CODE", []),
        (0, 301, "DECLARED_IN_CODE", ["sensor new_imports"]),
        (0, 301, "RUNNING", ["sensor new_imports"]),
        (0, 301, "STOPPED", []),
        (301, 1, "RUNNING", ["daemon sensor", "daemon scheduler"]),
    ],
)
def test_silent_daemons_and_sensors_are_reported_unless_they_are_off(
    defs: Definitions, instance: DagsterInstance, daemons: float, sensor: float, status: str, named: list[str]
) -> None:
    add_daemon_heartbeats(instance, daemons)
    add_sensor_tick(instance, "new_imports", sensor, status)
    add_sensor_tick(instance, "a_sensor_of_older_code", 1e6, "RUNNING")
    sensors = defs.get_repository_def().sensor_defs
    found = [one.name for one in silences(instance, sensors, 300)]
    assert set(named) <= set(found)
    assert bool(found) == bool(named)
    assert list(silences(instance, sensors, 0)) == []


def ticked(instance: DagsterInstance, name: str, *statuses: str) -> None:
    """A running sensor with these ticks, the oldest first."""
    add_sensor_tick(instance, name, 1, "RUNNING")
    (state,) = [one for one in instance.all_instigator_state() if one.instigator_name == name]
    for number, status in enumerate(statuses):
        error = SerializableErrorInfo("Error in evaluation_fn\n", [], "SensorExecutionError")
        if status == "FAILURE":
            cause = SerializableErrorInfo(f"could not\nfind partition {number}, password=s3cret\n", [], "Unknown")
            error = error._replace(cause=cause)
        instance.create_tick(
            TickData(
                state.instigator_origin_id,
                name,
                InstigatorType.SENSOR,
                TickStatus[status],
                time.time() - 60 + number,
                run_ids=["run"] if status == "SUCCESS" else None,
                skip_reason="nothing is due" if status == "SKIPPED" else None,
                error=error if status == "FAILURE" else None,
                selector_id=state.selector_id,
            )
        )


@pytest.mark.parametrize(
    ("statuses", "alerted"),
    [
        (["FAILURE"] * 5, True),
        (["SUCCESS", *["FAILURE"] * 6, "STARTED"], True),
        (["FAILURE"] * 4, False),
        ([*["FAILURE"] * 4, "SKIPPED", "FAILURE"], False),
        ([*["FAILURE"] * 5, "SUCCESS"], False),
    ],
)
def test_ticks_that_fail_in_a_row_are_an_alert_with_the_error_of_the_newest(
    defs: Definitions, instance: DagsterInstance, statuses: list[str], alerted: bool
) -> None:
    add_daemon_heartbeats(instance)
    ticked(instance, "new_imports", *statuses)
    ticked(instance, "a_sensor_of_older_code", *["FAILURE"] * 9)
    text = open_alerts_in(tick(defs, instance))
    newest = max((number for number, status in enumerate(statuses) if status == "FAILURE"), default=0)
    expected = f"the last 5 ticks failed: sensor new_imports (could not find partition {newest}, password=***)"
    assert text == (f"open: {expected}" if alerted else "open: nothing")


def test_a_failed_run_that_was_not_recorded_is_reported(
    defs: Definitions, instance: DagsterInstance, archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_daemon_heartbeats(instance)
    tick(defs, instance)
    query(archive.database, "update core.watches set first_at = now() - interval '1 hour'")
    monkeypatch.setattr("trr_pipelines.defs.alerts.MISSED_AFTER", -MINUTE)
    run = create_run_for_test(instance, status=DagsterRunStatus.FAILURE, job_name="import_batch")
    with webhook() as hook:
        monkeypatch.setenv("TRR_ALERT_WEBHOOK", hook.url)
        for _ in range(2):
            tick(defs, instance)
    assert [message["run_id"] for message in hook.taken] == [run.run_id]
    assert value(archive.database, "select text from core.alerts").endswith("no cause recorded by Dagster")
