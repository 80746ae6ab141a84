"""Backfills: plans, their order and estimate, progress, and refusals."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest

from trr_pipelines.catalogue import estimates as recorded
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.imaging.recipes import BASE, EncoderOptions
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.batches import begin_batch
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework import estimates
from trr_pipelines.pipeline.rework.backfill_feed import feed
from trr_pipelines.pipeline.rework.backfills import (
    backfill_progress,
    cancel_backfill,
    pause_backfill,
    plan_backfill,
    resume_backfill,
    start_backfill,
)
from trr_pipelines.pipeline.rework.estimates import DEFAULT_PHOTOS_PER_SECOND, RUN_SECONDS, recipe_diff
from trr_pipelines.settings import Hours
from trr_pipelines_tests.support.archives import photo_ids, query, write_files
from trr_pipelines_tests.support.backfills import complete, no_run, put

ANN = "ann@example.org"


def test_a_plan_over_an_empty_archive_is_refused(archive: Archive) -> None:
    with pytest.raises(InputError, match="the catalogue holds no photos"):
        plan_backfill(archive.database)
    with pytest.raises(InputError, match="the catalogue holds no photos"):
        start_backfill(archive.database, author=ANN)


def test_an_unknown_source_is_refused_with_the_known_ones(archive: Archive, tmp_path: Path) -> None:
    put(archive, tmp_path, "bravo", 1, range(1))
    with pytest.raises(NotFoundError, match="no photos came from source 'brava'; the catalogue has bravo"):
        plan_backfill(archive.database, source="brava")


def test_an_unknown_order_is_refused_with_the_known_ones(archive: Archive) -> None:
    with pytest.raises(InputError, match="unknown order 'random'; known are recency, hot, source"):
        plan_backfill(archive.database, ordering="random")


@pytest.mark.parametrize(
    ("ordering", "expected"),
    [
        ("recency", ["20260205-bravo-00001", "20260203-deadline-00001", "20260201-deadline-00001"]),
        ("hot", ["20260201-deadline-00001", "20260205-bravo-00001", "20260203-deadline-00001"]),
        ("source", ["20260205-bravo-00001", "20260203-deadline-00001", "20260201-deadline-00001"]),
    ],
)
def test_batches_come_in_the_requested_order(
    archive: Archive, tmp_path: Path, ordering: str, expected: list[str]
) -> None:
    put(archive, tmp_path, "deadline", 1, range(3), show="The Valley")
    put(archive, tmp_path, "deadline", 3, range(3, 4))
    put(archive, tmp_path, "bravo", 5, range(4, 6), show="Summer House")
    assert [batch.key for batch in plan_backfill(archive.database, ordering=ordering).batches] == expected


VIEWS = """
with season as (insert into core.seasons (show_id, number) select id, 1 from core.shows where title = 'Summer House'
                returning id, show_id)
update core.media_links l set show_id = null, season_id = season.id from season where l.show_id = season.show_id;
insert into core.gallery_views (entity_kind, entity_id, photos, at)
select 'show', id, 1, now() - case title when 'Summer House' then interval '29 days' else interval '31 days' end
from core.shows where title <> 'The Valley';
"""


def test_viewed_galleries_are_hotter_than_large_ones(archive: Archive, tmp_path: Path) -> None:
    """A view of a show also counts for its seasons."""
    put(archive, tmp_path, "deadline", 1, range(3), show="The Valley")
    put(archive, tmp_path, "bravo", 1, range(3, 4), show="Summer House")
    put(archive, tmp_path, "peacock", 1, range(4, 5), show="Vanderpump Rules")
    query(archive.database, VIEWS)
    batches = plan_backfill(archive.database, ordering="hot").batches
    assert [(batch.source, batch.views, batch.links) for batch in batches] == [
        ("bravo", 1, 1), ("deadline", 0, 3), ("peacock", 0, 1),
    ]  # fmt: skip
    start_backfill(archive.database, ordering="hot", galleries=2, author=ANN)
    firsts = query(
        archive.database,
        """
        select l.season_id is not null as is_season, count(*) as links
        from core.backfills, unnest(galleries) with ordinality as first (id, place)
        join core.media_links l on l.entity_id = first.id
        group by 1, place order by place
        """,
    )
    assert firsts == [{"is_season": True, "links": 1}, {"is_season": False, "links": 3}]


def test_a_plan_of_one_source_leaves_the_others_out(archive: Archive, tmp_path: Path) -> None:
    put(archive, tmp_path, "bravo", 1, range(1))
    batch = put(archive, tmp_path, "deadline", 1, range(1, 3))
    planned = plan_backfill(archive.database, source="deadline")
    assert [(one.key, one.photos) for one in planned.batches] == [(batch, 2)]


def test_an_estimate_uses_defaults_until_runs_were_measured(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    put(archive, tmp_path, "deadline", 1, range(4), lane="backfill")
    estimate = plan_backfill(archive.database).estimate
    assert (estimate.photos, estimate.is_measured, estimate.photos_per_second) == (4, False, DEFAULT_PHOTOS_PER_SECOND)
    assert estimate.seconds == 4 / DEFAULT_PHOTOS_PER_SECOND + RUN_SECONDS
    archive.database.run(lambda conn: recorded.set_rate(conn, "run-1", 100, 10.0))
    archive.database.run(lambda conn: recorded.set_rate(conn, "run-2", 100, 30.0))
    estimate = plan_backfill(archive.database).estimate
    assert (estimate.is_measured, estimate.photos_per_second, estimate.seconds) == (True, 5.0, 4 / 5 + RUN_SECONDS)


def test_an_estimate_of_bytes_and_storage_uses_measured_sizes(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    complete(archive, put(archive, tmp_path, "deadline", 1, range(2)), render_pool)
    put(archive, tmp_path, "deadline", 2, range(2, 4))
    originals = query(archive.database, "select sum(bytes) as bytes from core.media_assets")[0]["bytes"]
    variants = query(archive.database, "select sum(bytes) as bytes from core.media_asset_variants")[0]["bytes"]
    estimate = plan_backfill(archive.database).estimate
    assert estimate.photos == 2
    assert estimate.bytes_to_read == pytest.approx(originals, abs=4)
    assert estimate.new_bytes == pytest.approx(originals + variants, abs=8)


def test_complete_and_permanently_failed_photos_are_not_open(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    write_files(tmp_path / "deadline-1-0", {"note.jpg": b"not a picture"})
    complete(archive, put(archive, tmp_path, "deadline", 1, range(1)), render_pool)
    started = start_backfill(archive.database, author=ANN)
    assert (started.backfill_id, started.plan.batches) == (None, ())
    assert query(archive.database, "select * from core.backfills") == []


def test_photos_of_an_older_recipe_are_open(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(2))
    complete(archive, batch, render_pool)
    assert recipe_diff(archive.database).estimate.photos == 0
    newer = replace(BASE, encoder=EncoderOptions(webp_method=0))
    monkeypatch.setattr(estimates, "BASE", newer)
    (planned,) = plan_backfill(archive.database).batches
    assert (planned.key, planned.photos, planned.base_sets, planned.crop_sets) == (batch, 2, 2, 0)
    diff = recipe_diff(archive.database)
    base_bytes = query(
        archive.database, "select sum(bytes) as bytes from core.media_asset_variants where crop_signature = ''"
    )[0]["bytes"]
    originals = query(archive.database, "select sum(bytes) as bytes from core.media_assets")[0]["bytes"]
    assert (diff.estimate.photos, diff.estimate.bytes_to_read, diff.estimate.new_bytes) == (2, originals, base_bytes)
    assert [(one["kind"], one["recipe"], one["photos"], one["is_current"]) for one in diff.report()["sets"]] == [
        ("base", BASE.fingerprint, 2, False),
        ("crop", diff.recipes.crop, 2, True),
    ]


def test_two_backfills_of_the_same_photos_at_once_are_refused_by_name(archive: Archive, tmp_path: Path) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(1))
    put(archive, tmp_path, "bravo", 1, range(1, 2))
    first = start_backfill(archive.database, source="deadline", author=ANN).backfill_id
    with pytest.raises(ConflictError, match=f"backfill {first} has 1 of these 2 batches already, such as {batch}"):
        start_backfill(archive.database, author=ANN)
    assert start_backfill(archive.database, source="bravo", author=ANN).backfill_id != first
    cancel_backfill(archive.database, first)
    assert start_backfill(archive.database, source="deadline", author=ANN).backfill_id is not None


def test_a_backfill_is_paused_resumed_and_cancelled_and_doing_it_again_changes_nothing(
    archive: Archive, tmp_path: Path
) -> None:
    put(archive, tmp_path, "deadline", 1, range(1))
    database = archive.database
    start_backfill(database, author=ANN)
    states = [
        (changed.state, changed.changed)
        for step in (pause_backfill, resume_backfill)
        for changed in (step(database), step(database))
    ]
    assert states == [("paused", True), ("paused", False), ("running", True), ("running", False)]
    cancelled = cancel_backfill(database)
    assert (cancelled.state, cancel_backfill(database, cancelled.backfill).changed) == ("cancelled", False)
    with pytest.raises(ConflictError, match=f"backfill {cancelled.backfill} is cancelled"):
        resume_backfill(database, cancelled.backfill)


def test_photos_done_before_a_cancellation_stay_counted(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(3), lane="backfill")
    start_backfill(archive.database, galleries=0, author=ANN)
    feed(archive.database, no_run, queue=1)
    ids = tuple(photo_ids(archive).values())[:2]
    begin_batch(archive, batch, "run-1")
    mirror_originals(archive, Scope(photo_ids=ids), "run-1")
    render_photos(archive, Scope(photo_ids=ids), "run-1", pool=render_pool)
    cancel_backfill(archive.database)
    progress = backfill_progress(archive.database)
    assert (progress.done_photos, progress.left_photos, progress.batches) == (2, 1, {"dropped": 1})


def test_an_unknown_backfill_is_refused_by_number(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no backfill was started yet"):
        backfill_progress(archive.database)
    with pytest.raises(NotFoundError, match="no backfill is running or paused"):
        pause_backfill(archive.database)
    with pytest.raises(NotFoundError, match="no backfill 7"):
        cancel_backfill(archive.database, 7)


def test_with_two_active_backfills_a_number_is_required(archive: Archive, tmp_path: Path) -> None:
    for number, source in enumerate(("bravo", "deadline")):
        put(archive, tmp_path, source, 1, range(number, number + 1))
        start_backfill(archive.database, source=source, author=ANN)
    with pytest.raises(InputError, match=r"backfills \d+, \d+ have not ended: give the number of one"):
        pause_backfill(archive.database)


def test_progress_counts_what_is_left_and_when_it_will_end(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    put(archive, tmp_path, "deadline", 1, range(1), lane="backfill")
    newest = put(archive, tmp_path, "deadline", 2, range(1, 4), lane="backfill")
    start_backfill(archive.database, galleries=0, author=ANN)
    feed(archive.database, no_run, queue=1)
    progress = backfill_progress(archive.database)
    assert (progress.done_photos, progress.left_photos, progress.batches) == (0, 4, {"waiting": 1, "fed": 1})
    assert progress.seconds_left == pytest.approx(progress.backfill.planned_seconds, abs=0.1)
    complete(archive, newest, render_pool)
    progress = backfill_progress(archive.database)
    assert (progress.done_photos, progress.left_photos) == (3, 1)
    feed(archive.database, no_run, queue=1)
    assert backfill_progress(archive.database).batches == {"done": 1, "fed": 1}
    assert backfill_progress(archive.database).backfill.is_fed
    pause_backfill(archive.database)
    progress = backfill_progress(archive.database)
    assert (progress.done_photos, progress.seconds_left, progress.ends_at) == (3, None, None)


def test_progress_says_when_no_daemon_feeds_a_backfill(archive: Archive, tmp_path: Path) -> None:
    put(archive, tmp_path, "deadline", 1, range(1))
    start_backfill(archive.database, author=ANN)
    seen = [backfill_progress(archive.database).backfill.is_fed]
    feed(archive.database, no_run, queue=1)
    seen.append(backfill_progress(archive.database).backfill.is_fed)
    query(archive.database, "update core.backfills set ticked_at = now() - interval '61 seconds'")
    seen.append(backfill_progress(archive.database).backfill.is_fed)
    assert seen == [False, True, False]


def test_the_speed_of_a_backfill_counts_the_time_in_which_it_was_fed(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch = put(archive, tmp_path, "deadline", 1, range(20), lane="backfill")
    put(archive, tmp_path, "deadline", 2, range(20, 25), lane="backfill")
    start_backfill(archive.database, ordering="source", galleries=0, author=ANN)
    feed(archive.database, no_run, queue=2)
    complete(archive, batch, render_pool)
    query(archive.database, "update core.backfills set active_seconds = 10")
    progress = backfill_progress(archive.database)
    assert (progress.done_photos, progress.photos_per_second, progress.seconds_left) == (20, 2.0, 2.5)


def test_an_end_outside_its_hours_is_moved_to_the_next_ones(archive: Archive, tmp_path: Path) -> None:
    put(archive, tmp_path, "deadline", 1, range(1))
    start_backfill(archive.database, author=ANN)
    now = datetime.now(UTC).astimezone()
    closed = Hours(time((now.hour + 2) % 24), time((now.hour + 4) % 24))
    progress = backfill_progress(archive.database, hours=closed)
    assert progress.waits_for_hours
    assert progress.ends_at is not None
    assert closed.contain(progress.ends_at)
    assert progress.ends_at > now
