"""Conditions over a real catalogue: what is an alert and what is not, and that each is open once, from begin to end."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from trr_pipelines.pipeline.alerting import alerts
from trr_pipelines.pipeline.alerting.alerts import (
    FailedRun,
    Silence,
    look,
    look_for_silence,
    open_alerts,
    record_failed_run,
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
    """Two photos that came in an hour ago, with nothing open; the sensor looks."""
    import_files(archive, tmp_path / "in", {"a.jpg": b"a", "b.jpg": b"b"})
    query(archive.database, "update core.media_assets set created_at = now() - interval '1 hour'")
    query(archive.database, "delete from core.variant_generations")
    look(archive, silences=(), watcher=alerts.SENSOR)
    return archive


def kinds(archive: Archive, **settings: object) -> list[str]:
    changed = dataclasses.replace(archive, settings=archive.settings.model_copy(update=settings))
    return [one.kind for one in look(changed, silences=()).holding]


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
def test_live_work_that_waits_is_lag_and_what_a_backfill_has_is_not(
    watched: Archive, kind: str, columns: dict[str, str], in_backfill: bool, waits: bool
) -> None:
    add(watched, kind, **columns)
    if kind == "crop":
        add(watched, "base", state="'complete'")
    if in_backfill:
        backfill(watched)
    assert kinds(watched) == (["lag"] if waits else [])
    assert kinds(watched, alert_lag_seconds=7200) == kinds(watched, alert_lag_seconds=0) == []


def test_a_crop_waits_for_its_base_set_and_not_by_itself(watched: Archive) -> None:
    add(watched, "crop")
    add(watched, "base", state="'failed'", reason="'truncated'")
    assert kinds(watched) == []


def test_photos_that_were_given_up_lately_count_once_each(watched: Archive) -> None:
    for kind in ("base", "crop"):
        add(watched, kind, state="'failed'", reason="'truncated'")
    assert kinds(watched, alert_parked_photos=2) == ["parked_photos"]
    assert kinds(watched, alert_parked_photos=3) == []
    query(watched.database, "update core.variant_generations set updated_at = now() - interval '25 hours'")
    assert kinds(watched, alert_parked_photos=1) == []


def test_what_is_parked_full_or_silent_is_named(watched: Archive) -> None:
    query(watched.database, "insert into core.dispatches (scope, failures) values ('batch:x', 5), ('batch:y', 4)")
    settings = watched.settings.model_copy(update={"alert_disk_percent": 100.0})
    silences = (Silence("daemon scheduler", None, 300), Silence("sensor new_imports", 412.3, 300))
    found = {
        one.kind: one.text for one in look(dataclasses.replace(watched, settings=settings), silences=silences).holding
    }
    assert set(found) == {"parked_runs", "disk_nearly_full", "silent_dagster"}
    assert found["parked_runs"].endswith(": batch:x")
    assert "`trr unpark`" in found["parked_runs"]
    assert "% of the media store's disk" in found["disk_nearly_full"]
    assert found["silent_dagster"].endswith(
        "scheduler (no heartbeat yet), sensor new_imports (last heartbeat 412 s ago)"
    )


def test_an_alert_is_raised_once_and_ends_when_it_has_not_held_for_a_while(watched: Archive) -> None:
    add(watched, "original")
    looks = [look(watched, silences=()) for _ in range(2)]
    assert [one.raised for one in looks] == [("lag",), ()]
    query(watched.database, "delete from core.variant_generations")
    calm = look(watched, silences=())
    assert (calm.holding, calm.resolved) == ((), ())
    assert [one["kind"] for one in watched.database.read(open_alerts)["alerts"]] == ["lag"]
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert look(watched, silences=()).resolved == ("lag",)
    assert watched.database.read(open_alerts)["alerts"] == []
    add(watched, "original")
    assert look(watched, silences=()).raised == ("lag",)
    assert value(watched.database, "select count(*) from core.alerts") == 2


def test_who_cannot_ask_dagster_leaves_its_alert_open(watched: Archive) -> None:
    look(watched, silences=(Silence("daemon scheduler", None, 300),))
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert look(watched, silences=None).resolved == ()
    assert look(watched, silences=()).resolved == ("silent_dagster",)


def test_a_sensor_that_no_longer_looks_is_noticed_from_outside_and_ends_by_looking_again(watched: Archive) -> None:
    assert look_for_silence(watched, up_seconds=1e6).holding == ()
    query(watched.database, "update core.watches set looked_at = now() - interval '301 seconds'")
    assert look_for_silence(watched, up_seconds=299).holding == ()  # a process that was not there cannot tell
    assert look_for_silence(watched, up_seconds=301).raised == ("silent_watch",)
    assert "last ran 301 s ago" in watched.database.read(open_alerts)["alerts"][0]["text"]
    query(watched.database, "update core.alerts set seen_at = now() - interval '3 minutes'")
    assert look(watched, silences=(), watcher=alerts.SENSOR).resolved == ("silent_watch",)


def test_a_sensor_that_never_looked_is_silent(archive: Archive) -> None:
    (found,) = look_for_silence(archive, up_seconds=301).holding
    assert "has not run yet" in found.text


def test_a_failed_run_is_recorded_once_and_is_no_open_alert(archive: Archive) -> None:
    run = FailedRun("run-1", "import_batch", f"batch:{BATCH}", BATCH, "live", "base_variants: no disk", 2)
    assert [record_failed_run(archive.database, run) for _ in range(2)] == [True, False]
    text = value(archive.database, "select text from core.alerts")
    assert text == f"run of import_batch failed ({BATCH}, lane live, 2 in a row): base_variants: no disk"
    assert archive.database.read(open_alerts)["alerts"] == []
