"""Alert conditions on a real catalogue: which are raised, and that each is open once from its start to its end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from trr_pipelines.pipeline.alerting import alerts
from trr_pipelines.pipeline.alerting.alerts import (
    FailedRun,
    FailingProcess,
    Silence,
    WaitingRuns,
    detect_silence,
    evaluate,
    open_alerts,
    record_failed_run,
    report_processes,
)
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rework.backfills import start_backfill
from trr_pipelines_tests.support.archives import import_files, query, value

OLD = "now() - interval '1 hour'"
BATCH = "20260212-deadline-00001"
WORK = "insert into core.variant_generations (media_asset_id, kind{columns}) select id, '{kind}'{values} from {assets}"
LATER = "now() + interval '1 hour'"


@pytest.fixture
def watched(archive: Archive, tmp_path: Path) -> Archive:
    """An archive with two photos imported an hour ago, no open work, and a first tick of the sensor."""
    import_files(archive, tmp_path / "in", {"a.jpg": b"a", "b.jpg": b"b"})
    query(archive.database, "update core.media_assets set created_at = now() - interval '1 hour'")
    query(archive.database, "delete from core.variant_generations")
    evaluate(archive, silences=(), watcher=alerts.SENSOR)
    return archive


def kinds(archive: Archive, **settings: object) -> list[str]:
    changed = dataclasses.replace(archive, settings=archive.settings.model_copy(update=settings))
    return [alert.kind for alert in evaluate(changed, silences=()).holding]


def add(archive: Archive, kind: str, **columns: str) -> None:
    names, values = "".join(f", {name}" for name in columns), "".join(f", {sql}" for sql in columns.values())
    query(archive.database, WORK.format(kind=kind, columns=names, values=values, assets="core.media_assets"))


def backfill(archive: Archive) -> None:
    start_backfill(archive.database, ordering="recency", source=None, galleries=0, author="tests")


@pytest.mark.parametrize(
    ("kind", "columns", "in_backfill", "waits"),
    [
        ("original", {}, False, True),
        ("original", {"lease_until": "now() + interval '30 s'"}, False, True),
        ("original", {}, True, False),
        ("base", {"asked_at": "now()"}, False, False),
        ("base", {"asked_at": OLD}, True, True),
        ("crop", {"version": "2", "wanted": "'new'", "served": "'old'"}, False, False),
        ("crop", {"version": "2", "wanted": "'new'", "served": "'old'", "updated_at": OLD}, True, True),
        ("crop", {"wanted": "'new'"}, False, True),
        ("crop", {"wanted": "'new'"}, True, False),
        ("base", {"state": "'failed'", "reason": "'internal'", "next_attempt_at": OLD}, False, True),
        ("base", {"state": "'failed'", "reason": "'internal'", "next_attempt_at": LATER}, False, False),
        ("base", {"state": "'failed'", "reason": "'internal'"}, False, False),
        ("base", {"state": "'complete'"}, False, False),
    ],
)  # fmt: skip
def test_waiting_live_work_is_lag_and_backfill_work_is_not(
    watched: Archive, kind: str, columns: dict[str, str], in_backfill: bool, waits: bool
) -> None:
    add(watched, kind, **columns)
    if kind == "crop":
        add(watched, "base", state="'complete'")
    if in_backfill:
        backfill(watched)
    assert kinds(watched) == (["lag"] if waits else [])
    assert kinds(watched, alert_lag_seconds=7200) == kinds(watched, alert_lag_seconds=0) == []


def test_a_crop_without_a_base_set_is_not_counted_as_lag(watched: Archive) -> None:
    add(watched, "crop")
    add(watched, "base", state="'failed'", reason="'truncated'")
    assert kinds(watched) == []


def test_recently_failed_photos_count_once_each(watched: Archive) -> None:
    for kind in ("base", "crop"):
        add(watched, kind, state="'failed'", reason="'truncated'")
    assert kinds(watched, alert_parked_photos=2) == ["parked_photos"]
    assert kinds(watched, alert_parked_photos=3) == []
    query(watched.database, "update core.variant_generations set updated_at = now() - interval '25 hours'")
    assert kinds(watched, alert_parked_photos=1) == []


def test_parked_scopes_a_full_disk_and_a_silent_sensor_are_named(watched: Archive) -> None:
    query(watched.database, "insert into core.dispatches (scope, failures) values ('batch:x', 5), ('batch:y', 4)")
    settings = watched.settings.model_copy(update={"alert_disk_percent": 100.0})
    silences = (Silence("daemon scheduler", None, 300), Silence("sensor new_imports", 412.3, 300))
    texts = {
        alert.kind: alert.text
        for alert in evaluate(dataclasses.replace(watched, settings=settings), silences=silences).holding
    }
    assert set(texts) == {"parked_runs", "disk_nearly_full", "silent_dagster"}
    assert texts["parked_runs"].endswith(": batch:x")
    assert "`trr unpark`" in texts["parked_runs"]
    assert "% of the media store's disk" in texts["disk_nearly_full"]
    assert texts["silent_dagster"].endswith(
        "scheduler (no heartbeat yet), sensor new_imports (last heartbeat 412 s ago)"
    )


def test_an_alert_is_raised_once_and_closed_after_its_condition_has_been_clear_for_a_while(watched: Archive) -> None:
    add(watched, "original")
    ticks = [evaluate(watched, silences=()) for _ in range(2)]
    assert [tick.raised for tick in ticks] == [("lag",), ()]
    query(watched.database, "delete from core.variant_generations")
    clear = evaluate(watched, silences=())
    assert (clear.holding, clear.resolved) == ((), ())
    assert [alert["kind"] for alert in watched.database.read(open_alerts)["alerts"]] == ["lag"]
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert evaluate(watched, silences=()).resolved == ("lag",)
    assert watched.database.read(open_alerts)["alerts"] == []
    add(watched, "original")
    assert evaluate(watched, silences=()).raised == ("lag",)
    assert value(watched.database, "select count(*) from core.alerts") == 2


def test_without_access_to_dagster_its_alert_stays_open(watched: Archive) -> None:
    evaluate(watched, silences=(Silence("daemon scheduler", None, 300),))
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert evaluate(watched, silences=None).resolved == ()
    assert evaluate(watched, silences=()).resolved == ("silent_dagster",)


def test_a_silent_sensor_is_detected_by_another_process_and_its_alert_ends_with_the_next_tick(watched: Archive) -> None:
    assert detect_silence(watched, up_seconds=1e6).holding == ()
    query(watched.database, "update core.watches set looked_at = now() - interval '301 seconds'")
    assert detect_silence(watched, up_seconds=299).holding == ()  # a process that started later cannot know
    assert detect_silence(watched, up_seconds=301).raised == ("silent_watch",)
    assert "last ran 301 s ago" in watched.database.read(open_alerts)["alerts"][0]["text"]
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert evaluate(watched, silences=(), watcher=alerts.SENSOR).resolved == ("silent_watch",)


def test_a_sensor_that_never_ran_is_silent(archive: Archive) -> None:
    (alert,) = detect_silence(archive, up_seconds=301).holding
    assert "has not run yet" in alert.text


def test_a_failed_run_is_recorded_once_and_is_not_an_open_alert(archive: Archive) -> None:
    run = FailedRun("run-1", "import_batch", f"batch:{BATCH}", BATCH, "live", "base_variants: no disk", 2)
    assert [record_failed_run(archive.database, run) for _ in range(2)] == [True, False]
    text = value(archive.database, "select text from core.alerts")
    assert text == f"run of import_batch failed ({BATCH}, lane live, 2 in a row): base_variants: no disk"
    assert archive.database.read(open_alerts)["alerts"] == []


def test_queued_runs_are_an_alert_unless_a_run_works(watched: Archive) -> None:
    waiting = WaitingRuns(14, 400.0)
    (stalled,) = evaluate(watched, silences=(), waiting=waiting).holding
    assert (stalled.kind, stalled.text.startswith("14 runs are queued, the oldest for 400 s")) == ("stalled_runs", True)
    query(
        watched.database,
        "insert into core.dispatches (scope, lease_until) values ('batch:x', now() + interval '20 s')",
    )
    assert evaluate(watched, silences=(), waiting=waiting).holding == ()


def test_a_failing_process_of_trr_up_is_an_alert_that_others_read(watched: Archive) -> None:
    failing = FailingProcess("API", 4, "no module")
    assert report_processes(watched.database, [failing]).raised == ("failing_processes",)
    assert [alert.text for alert in evaluate(watched, silences=()).holding] == [
        "processes of trr up do not stay up: API (no module)"
    ]
    query(watched.database, "update core.alerts set seen_at = now() - interval '5 minutes'")
    assert report_processes(watched.database, []).resolved == ("failing_processes",)
    assert evaluate(watched, silences=()).holding == ()
