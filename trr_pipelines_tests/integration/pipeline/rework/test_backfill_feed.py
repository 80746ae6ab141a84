"""Run requests of backfills: a few at a time, none twice, none for the live lane."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from trr_pipelines.catalogue import ledger
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.rendering.batches import begin_batch
from trr_pipelines.pipeline.rework.backfill_feed import feed, runs_to_end
from trr_pipelines.pipeline.rework.backfills import (
    backfill_progress,
    cancel_backfill,
    pause_backfill,
    resume_backfill,
    start_backfill,
)
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.scheduling import request_batches, request_crops, request_retries, run_failed
from trr_pipelines.settings import Hours
from trr_pipelines_tests.support.archives import EDITOR, photo_ids, query, value
from trr_pipelines_tests.support.backfills import complete, no_run, put

QUEUE = 2


def start(archive: Archive, galleries: int = 0) -> int:
    backfill_id = start_backfill(archive.database, galleries=galleries, author="ann@example.org").backfill_id
    assert backfill_id is not None
    return backfill_id


def requested_keys(
    archive: Archive, has_run: Callable[[str], bool] = no_run, *, queue: int = QUEUE, hours: Hours | None = None
) -> list[str]:
    """The run keys of the batches requested by one tick."""
    due = feed(archive.database, has_run, queue=queue, hours=hours)
    return [request.run_key for requests in due.batches.values() for request in requests]


def let_time_pass(archive: Archive) -> None:
    """Let leases and backoffs of runs expire."""
    query(archive.database, "update core.variant_generations set lease_until = now() where lease_until is not null")
    query(archive.database, "update core.dispatches set lease_until = now(), not_before = now()")
    query(archive.database, "update core.backfill_batches set not_before = now() where not_before is not null")


@pytest.fixture
def batches(archive: Archive, tmp_path: Path) -> list[str]:
    """Four batches of an archive, the newest first, not rendered yet."""
    return [put(archive, tmp_path, "deadline", 9 - n, range(n, n + 1), lane="backfill") for n in range(4)]


def test_no_more_runs_are_requested_than_the_queue_takes(archive: Archive, batches: list[str]) -> None:
    start(archive)
    assert [requested_keys(archive) for _ in range(2)] == [[f"batch:{batch}:1" for batch in batches[:2]]] * 2
    assert requested_keys(archive, queue=3) == [f"batch:{batch}:1" for batch in batches[:3]]


def test_a_run_that_dagster_has_is_not_requested_again(archive: Archive, batches: list[str]) -> None:
    start(archive)
    (first, second) = requested_keys(archive)
    assert requested_keys(archive, lambda run_key: run_key == first) == [second]


def test_a_batch_with_a_run_counts_for_the_queue(archive: Archive, batches: list[str]) -> None:
    start(archive)
    requested_keys(archive)
    begin_batch(archive, batches[0], "run-1")
    assert requested_keys(archive) == [f"batch:{batches[1]}:1"]


def test_the_next_batch_is_requested_when_one_is_done_and_the_last_completes_the_backfill(
    archive: Archive, batches: list[str], render_pool: RenderPool
) -> None:
    backfill_id = start(archive)
    rendered = 0
    for number, batch in enumerate(batches):
        assert f"batch:{batch}:1" in requested_keys(archive)
        rendered += complete(archive, batch, render_pool, f"run-{number}").complete
    assert requested_keys(archive) == []
    progress = backfill_progress(archive.database, backfill_id)
    assert (progress.backfill.state, progress.done_photos, progress.batches) == ("complete", 4, {"done": 4})
    assert rendered == 4


def test_complete_batches_are_skipped(archive: Archive, batches: list[str], render_pool: RenderPool) -> None:
    start(archive)
    for batch in batches[:3]:
        complete(archive, batch, render_pool)
    assert requested_keys(archive) == [f"batch:{batches[3]}:1"]
    assert backfill_progress(archive.database).batches == {"done": 3, "fed": 1}


def test_a_killed_run_is_requested_under_a_new_key_and_renders_the_rest(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(3), lane="backfill")
    start(archive)
    (first,) = requested_keys(archive)
    begin_batch(archive, batch, "killed")
    archive.database.run(lambda conn: ledger.claim(conn, ledger.Scope(batch=batch), ("original",), "killed", limit=2))
    assert requested_keys(archive) == []
    let_time_pass(archive)
    (second,) = requested_keys(archive)
    assert second != first
    assert complete(archive, batch, render_pool, "run-2").complete == 3
    assert requested_keys(archive) == []
    assert backfill_progress(archive.database).backfill.state == "complete"


def test_a_paused_backfill_requests_nothing_and_withdraws_waiting_batches(archive: Archive, batches: list[str]) -> None:
    backfill_id = start(archive)
    before = requested_keys(archive)
    begin_batch(archive, batches[0], "run-1")
    pause_backfill(archive.database)
    assert requested_keys(archive) == []
    assert backfill_progress(archive.database).batches == {"fed": 1, "waiting": 3}
    assert runs_to_end(archive.database, [backfill_id]) == {backfill_id: "waiting"}
    resume_backfill(archive.database)
    assert runs_to_end(archive.database, [backfill_id]) == {}
    assert requested_keys(archive) == [f"batch:{batches[1]}:2"]
    assert before == [f"batch:{batches[0]}:1", f"batch:{batches[1]}:1"]


def test_outside_its_hours_a_backfill_requests_nothing(archive: Archive, batches: list[str]) -> None:
    backfill_id = start(archive)
    now = datetime.now(UTC).astimezone()
    closed, opened = (Hours(time((now.hour + n) % 24), time((now.hour + n + 2) % 24)) for n in (3, 23))
    assert requested_keys(archive, hours=closed) == []
    assert runs_to_end(archive.database, [backfill_id], hours=closed) == {backfill_id: "waiting"}
    assert requested_keys(archive, hours=opened) == [f"batch:{batch}:1" for batch in batches[:2]]


def test_a_cancelled_backfill_ends_every_run_and_releases_its_batches(archive: Archive, tmp_path: Path) -> None:
    live = put(archive, tmp_path, "bravo", 1, range(5, 6))
    archived = put(archive, tmp_path, "deadline", 1, range(1), lane="backfill")
    backfill_id = start(archive)
    assert request_batches(archive.database, no_run) == []
    requested_keys(archive)
    cancel_backfill(archive.database)
    assert runs_to_end(archive.database, [backfill_id]) == {backfill_id: "all"}
    assert requested_keys(archive) == []
    assert [request.run_key for request in request_batches(archive.database, no_run)] == [f"batch:{live}:2"]
    assert requested_keys(archive) == []
    assert start(archive) != backfill_id
    assert requested_keys(archive) == [f"batch:{live}:2", f"batch:{archived}:2"]


def test_runs_of_an_unknown_backfill_are_ended(archive: Archive) -> None:
    assert runs_to_end(archive.database, [77]) == {77: "all"}


def test_a_batch_whose_runs_keep_failing_is_parked_and_the_others_go_on(
    archive: Archive, batches: list[str], render_pool: RenderPool
) -> None:
    start(archive)
    requested_keys(archive, queue=1)
    for number in range(ledger.MAX_RUN_FAILURES):
        begin_batch(archive, batches[0], f"run-{number}")
        run_failed(archive.database, f"run-{number}", f"batch:{batches[0]}")
        let_time_pass(archive)
        following = requested_keys(archive, queue=1)
    assert following == [f"batch:{batches[1]}:1"]
    for batch in batches[1:]:
        complete(archive, batch, render_pool)
        requested_keys(archive)
    progress = backfill_progress(archive.database)
    assert progress.backfill.state == "complete"
    assert (progress.done_photos, progress.left_photos, progress.parked_photos) == (3, 0, 1)


def test_a_failed_run_waits_out_its_backoff_while_others_go_on(archive: Archive, batches: list[str]) -> None:
    start(archive)
    requested_keys(archive, queue=1)
    begin_batch(archive, batches[0], "run-1")
    run_failed(archive.database, "run-1", f"batch:{batches[0]}")
    assert requested_keys(archive, queue=1) == [f"batch:{batches[1]}:1"]


def test_only_the_backfill_retries_its_photos(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(1), lane="backfill")
    start(archive)
    (tmp_path / "deadline-1-0" / "0.jpg").rename(tmp_path / "aside.jpg")
    begin_batch(archive, batch, "run-1")
    later = (
        "update core.variant_generations set state = 'failed', reason = 'fetch_timeout', next_attempt_at = now() + %s"
    )
    query(archive.database, later, timedelta(minutes=1))
    query(archive.database, "update core.dispatches set lease_until = null")
    assert requested_keys(archive) == []
    assert backfill_progress(archive.database).backfill.state == "running"
    query(archive.database, later, timedelta())
    query(archive.database, "update core.backfill_batches set not_before = now() where not_before is not null")
    assert request_retries(archive.database, no_run) is None
    assert requested_keys(archive) == [f"batch:{batch}:2"]


# Galleries first ---------------------------------------------------------------------------------------------------


def test_photos_of_the_largest_galleries_come_before_every_batch(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    old = put(archive, tmp_path, "deadline", 1, range(2), show="The Valley", lane="backfill")
    new = put(archive, tmp_path, "deadline", 5, range(2, 3), lane="backfill")
    backfill_id = start(archive, galleries=1)
    due = feed(archive.database, no_run, queue=QUEUE)
    photos = due.photos[backfill_id]
    ids = photo_ids(archive)
    assert (set(photos.photo_ids), due.batches) == ({ids["0.jpg"], ids["1.jpg"]}, {})
    assert photos.run_key == f"backfill:{backfill_id}:1"
    assert feed(archive.database, lambda key: key == photos.run_key, queue=QUEUE).photos == {}

    tally = rerender_photos(archive, ledger.Scope(photo_ids=photos.photo_ids), "run-1", photos.scope).tally
    assert tally.complete == 2
    assert requested_keys(archive) == [f"batch:{new}:1"]
    assert backfill_progress(archive.database).done_photos == 2
    complete(archive, new, render_pool)
    requested_keys(archive)
    progress = backfill_progress(archive.database)
    assert (progress.backfill.state, progress.batches, old) == ("complete", {"done": 2}, "20260201-deadline-00001")


def test_photos_of_a_gallery_with_a_run_are_not_requested_again(archive: Archive, tmp_path: Path) -> None:
    put(archive, tmp_path, "deadline", 1, range(2), show="The Valley")
    start(archive, galleries=1)
    archive.database.run(
        lambda conn: ledger.claim(
            conn, ledger.Scope(photo_ids=tuple(photo_ids(archive).values())), ("original",), "run-1", limit=1
        )
    )
    due = feed(archive.database, no_run, queue=QUEUE)
    assert (due.photos, due.batches) == ({}, {})


# The live lane -----------------------------------------------------------------------------------------------------


def test_sensors_skip_an_archive_that_waits_for_a_backfill(archive: Archive, batches: list[str]) -> None:
    assert value(archive.database, "select count(*) from core.variant_generations") == 0
    assert request_batches(archive.database, no_run) == []
    begin_batch(archive, batches[0], "run-1")
    query(archive.database, "update core.dispatches set lease_until = null")
    assert request_batches(archive.database, no_run) == []


def test_a_live_import_never_joins_a_batch_of_a_backfill(archive: Archive, tmp_path: Path) -> None:
    archived = put(archive, tmp_path, "deadline", 1, range(1), lane="backfill")
    live = put(archive, tmp_path, "deadline", 1, range(1, 2))
    assert (archived, live) == ("20260201-deadline-00001", "20260201-deadline-00002")
    assert put(archive, tmp_path, "deadline", 1, range(2, 3)) == live
    start(archive)
    later = put(archive, tmp_path, "deadline", 1, range(3, 4))
    assert later == "20260201-deadline-00003"
    assert [request.batch for request in request_batches(archive.database, no_run)] == [later]


@pytest.fixture
def reopened(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> UUID:
    """A photo of a backfill with a complete base set that waits for a crop set of a new recipe."""
    complete(archive, put(archive, tmp_path, "deadline", 1, range(1)), render_pool)
    query(archive.database, "update core.variant_generations set recipe = 'older' where kind = 'crop'")
    start(archive)
    query(archive.database, "update core.variant_generations set state = 'pending' where kind = 'crop'")
    return photo_ids(archive)["0.jpg"]


def test_a_crop_that_a_new_recipe_opened_is_left_to_the_backfill(archive: Archive, reopened: UUID) -> None:
    assert request_crops(archive.database, no_run) is None
    cancel_backfill(archive.database)
    request = request_crops(archive.database, no_run)
    assert request is not None
    assert request.photo_ids == (reopened,)


def test_an_edit_does_not_wait_for_the_backfill_of_its_photo(archive: Archive, reopened: UUID) -> None:
    set_crop(archive.database, reopened, Crop("manual", 10, 10, 2), author=EDITOR)
    request = request_crops(archive.database, no_run)
    assert request is not None
    assert request.photo_ids == (reopened,)
