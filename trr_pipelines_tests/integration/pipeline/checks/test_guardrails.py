"""Guardrails: oversized originals, failing sources and waiting work are reported by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import guardrails
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import add_ended_photos, import_files, query, run

DEADLINE, BRAVO = "20260212-deadline-00001", "20260212-bravo-00001"


def test_an_oversized_file_is_named_with_its_source_and_the_limit(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    scroll = pictures.saved(Image.new("RGB", (15_001, 2), "teal"), "PNG")
    batch = import_files(archive, tmp_path / "in", {"scroll.png": scroll, "fine.jpg": pictures.jpeg()})
    run(archive, batch, pool=render_pool)
    for what in (batch, None):
        finding = guardrails.originals_within_guardrails(archive, what)
        assert (finding.passed, finding.looked_at, finding.broken_count) == (False, 2, 1)
        (broken,) = finding.broken
        assert (broken["source"], broken["batch"]) == ("deadline", batch)
        assert broken["what"] == "15,001 pixels a side, above 15,000"
        assert broken["file"].endswith("/scroll.png")
        (by_source,) = finding.tables["by_source"]
        assert (by_source["originals"], by_source["oversized"]) == (2, 1)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("bytes = 20000000, width = 8000, height = 5000", None),
        ("bytes = 20000001", "20,000,001 bytes, above 20,000,000"),
        ("width = 8001, height = 5000", "40,005,000 pixels, above 40,000,000"),
        ("width = 2, height = 15000", None),
        (
            "bytes = 49000000, width = 3000, height = 25000",
            "49,000,000 bytes, above 20,000,000 and 75,000,000 pixels, above 40,000,000"
            " and 25,000 pixels a side, above 15,000",
        ),
    ],
)
def test_each_exceeded_limit_is_reported_with_its_value(archive: Archive, change: str, what: str | None) -> None:
    batch = add_ended_photos(archive, "deadline", 2)
    add_ended_photos(archive, "bravo", 1)
    query(
        archive.database,
        f"update core.media_assets set {change} where source_url like '%%/001' and source = %s",  # noqa: S608  our own
        "deadline",
    )
    finding = guardrails.originals_within_guardrails(archive, None)
    assert [row["what"] for row in finding.broken] == ([] if what is None else [what])
    assert finding.worst_batches == ([] if what is None else [{"batch": batch, "broken": 1}])
    assert [row["oversized"] for row in finding.tables["by_source"]] == [0, int(what is not None)]
    assert guardrails.originals_within_guardrails(archive, BRAVO).passed


@pytest.mark.parametrize(
    ("photos", "failed", "pending", "passed"),
    [
        (20, 2, 0, True),  # 10 % is allowed
        (20, 3, 0, False),
        (19, 19, 0, True),  # too few photos
        (40, 3, 20, False),  # an original that was not read yet is not counted
        (40, 3, 21, True),
    ],
)
def test_a_source_fails_above_a_share_of_enough_photos(
    archive: Archive, photos: int, failed: int, pending: int, passed: bool
) -> None:
    batch = add_ended_photos(archive, "deadline", photos, failed=failed, pending=pending)
    add_ended_photos(archive, "bravo", 30)
    over_all, of_batch = (guardrails.failure_rate_by_source(archive, what) for what in (None, batch))
    assert (over_all.passed, of_batch.passed) == (passed, passed)
    assert over_all.worst_batches == [{"batch": batch, "failed": failed, "reason": "truncated"}]
    if not passed:
        expected: dict[str, Any] = {"source": "deadline", "failed": failed, "tried": photos - pending}
        assert over_all.broken == of_batch.broken
        (broken,) = over_all.broken
        assert expected.items() <= broken.items()
        assert (broken["limit percent"], broken["most frequent reason"]) == (10, "truncated")


def test_photos_that_wait_for_their_variants_were_tried(archive: Archive) -> None:
    """Right after the originals of a batch, none but the failed ones has ended."""
    batch = add_ended_photos(archive, "deadline", 400, failed=20)
    query(archive.database, LEDGER + "state = 'pending' where kind = 'base' and state = 'complete'")
    for what in (batch, None):
        finding = guardrails.failure_rate_by_source(archive, what)
        assert finding.passed
        assert [(row["tried"], row["failed percent"]) for row in finding.tables["by_source"]] == [(400, 5.0)]


LATE = "interval '61 minutes'"
OLD = f"update core.media_assets set created_at = now() - {LATE}"  # noqa: S608  our own
LEDGER = "update core.variant_generations set "


@pytest.mark.parametrize(
    ("changes", "overdue"),
    [
        ([], {}),
        ([OLD], {"original_images": 1, "base_variants": 1}),
        ([OLD, LEDGER + "state = 'complete' where kind = 'original'"], {"base_variants": 1}),
        # Work of a backfill is not live, planned or under way.
        ([OLD, "update core.import_batches set lane = 'backfill'"], {}),
        (
            [
                OLD,
                "with b as (insert into core.backfills (ordering, photos, bytes, planned_seconds, author)"  # noqa: S608  our own
                " values ('recency', 1, 1, 1, 'x') returning id) insert into core.backfill_batches"
                f" (backfill_id, position, batch_key, photos) select id, 1, '{DEADLINE}', 1 from b",
            ],
            {},
        ),
        # An earlier set is served meanwhile, so the age of the photo is irrelevant.
        ([OLD, LEDGER + "recipe = 'older', updated_at = now()"], {}),
        ([LEDGER + f"recipe = 'older', updated_at = now() - {LATE} where kind = 'base'"], {"base_variants": 1}),
        ([LEDGER + f"asked_at = now() - {LATE} where kind = 'base'"], {"base_variants": 1}),
        (
            [
                "update core.import_batches set lane = 'backfill'",
                LEDGER + f"asked_at = now() - {LATE} where kind = 'base'",
            ],
            {"base_variants": 1},
        ),
        # A retry is late when its time has passed, not when it failed.
        ([OLD, LEDGER + "state = 'failed', reason = 'x', next_attempt_at = now() + interval '1 minute'"], {}),
        (
            [LEDGER + f"state = 'failed', reason = 'x', next_attempt_at = now() - {LATE} where kind = 'original'"],
            {"original_images": 1},
        ),
        ([OLD, LEDGER + "state = 'failed', reason = 'x'"], {}),
    ],
)
def test_live_work_is_late_after_an_hour(archive: Archive, changes: list[str], overdue: dict[str, int]) -> None:
    batch = add_ended_photos(archive, "deadline", 1, pending=1)
    for change in changes:
        query(archive.database, change)
    finding = guardrails.live_work_waits_less_than_an_hour(archive)
    assert {row["asset"]: row["photos"] for row in finding.broken} == overdue
    assert (finding.passed, finding.broken_count) == (not overdue, sum(overdue.values()))
    for row in finding.broken:
        assert (row["batch"], row["oldest minutes"], row["limit minutes"]) == (batch, 61.0, 60.0)


def test_an_edited_crop_is_late_even_in_a_backfill_but_not_before_its_base_set(archive: Archive) -> None:
    add_ended_photos(archive, "deadline", 1)
    query(archive.database, "update core.import_batches set lane = 'backfill'")
    query(
        archive.database,
        "insert into core.variant_generations (media_asset_id, kind, recipe, wanted, served, updated_at)"  # noqa: S608  our own
        f" select id, 'crop', 'r', 'new', 'old', now() - {LATE} from core.media_assets",
    )
    finding = guardrails.live_work_waits_less_than_an_hour(archive)
    assert [(row["asset"], row["photos"]) for row in finding.broken] == [("crop_variants", 1)]
    assert (finding.numbers["crop_variants_open"], finding.numbers["crop_variants_oldest_minutes"]) == (1, 61.0)
    query(archive.database, "update core.variant_generations set state = 'failed', reason = 'x' where kind = 'base'")
    assert guardrails.live_work_waits_less_than_an_hour(archive).passed
