"""Retention: unused objects are listed and then deleted; referenced objects never are."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from uuid import UUID

import pytest

from trr_pipelines.catalogue import retention as listing
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.errors import InputError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import activate_crop, set_crop
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import empty_list, list_removable, referenced, removal_list, remove_listed
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value

FIRST, SECOND = Crop("manual", 20, 10, 2), Crop("manual", 80, 90, 1)


@pytest.fixture
def photo_id(archive: Archive, tmp_path: Path) -> UUID:
    """A photo whose proposal was replaced by FIRST and then by SECOND: two crop sets are superseded."""
    run(archive, import_files(archive, tmp_path / "photos", {"a.jpg": saved(photo(600, 500), "JPEG")}))
    photo_id = photo_ids(archive)["a.jpg"]
    for number, crop in enumerate((FIRST, SECOND)):
        set_crop(archive.database, photo_id, crop, author=EDITOR)
        rerender_photos(archive, Scope(photo_ids=(photo_id,)), f"edit-{number}", None)
    return photo_id


def keys(archive: Archive) -> set[str]:
    return {item.key for item in archive.store.list()}


def test_nothing_is_listed_within_the_grace_period(archive: Archive, photo_id: UUID) -> None:
    assert list_removable(archive) == {}
    assert remove_listed(archive).removed == 0


def test_exactly_the_listed_objects_are_deleted(archive: Archive, photo_id: UUID) -> None:
    before = keys(archive)
    totals = list_removable(archive, grace_days=0)
    listed = {entry.hosted_key: entry.bytes for entry in removal_list(archive)}
    assert totals["superseded"].objects == len(listed) == 8  # two sets of two keys in two formats
    assert totals["superseded"].bytes == sum(listed.values())
    assert remove_listed(archive).removed == 0, "the undo window has not passed"
    removal = remove_listed(archive, undo_days=0)
    assert (removal.removed, removal.removed_bytes, removal.refused) == (8, sum(listed.values()), ())
    assert before - keys(archive) == set(listed)
    assert reconcile(archive).is_clean
    assert removal_list(archive) == []


def test_a_listed_object_that_is_used_again_is_not_deleted(archive: Archive, photo_id: UUID) -> None:
    list_removable(archive, grace_days=0)
    first = value(
        archive.database,
        "select crop_signature from core.media_asset_crops where crop_x = 20",
    )
    assert activate_crop(archive.database, photo_id, first, author=EDITOR).served
    assert len(referenced(archive)) == 4
    removal = remove_listed(archive, undo_days=0)
    assert (removal.removed, len(removal.refused)) == (4, 4)
    assert all(first in key for key in removal.refused)
    assert reconcile(archive).is_clean


def test_the_list_can_be_emptied(archive: Archive, photo_id: UUID) -> None:
    list_removable(archive, grace_days=0)
    assert empty_list(archive) == 8
    assert remove_listed(archive, undo_days=0).removed == 0


def test_an_orphan_waits_out_its_grace_on_the_list(archive: Archive, photo_id: UUID) -> None:
    orphan = f"media-variants/{photo_id}/0123456789abcdef/0123456789ab/thumb.webp"
    archive.store.put_if_absent(orphan, b"left by a killed run", content_type="image/webp")
    assert reconcile(archive).orphan_objects == 1
    assert list_removable(archive)["orphan"].objects == 1
    assert remove_listed(archive, undo_days=0).removed == 0
    assert remove_listed(archive, grace_days=0).removed == 1
    assert orphan not in keys(archive)
    assert reconcile(archive).is_clean


def test_a_deletion_that_crashed_between_rows_and_objects_is_completed_by_the_next(
    archive: Archive, photo_id: UUID
) -> None:
    list_removable(archive, grace_days=0)
    archive.database.run(
        lambda conn: listing.drop_rows(conn, archive.store.bucket, undo_seconds=0, after="", limit=100)
    )
    assert reconcile(archive).rows_without_objects == 0
    assert remove_listed(archive).removed == 8
    assert reconcile(archive).is_clean


def test_a_render_waits_for_a_deletion_and_then_stores_its_object_again(archive: Archive, photo_id: UUID) -> None:
    """A crop is restored while its objects are being deleted."""
    list_removable(archive, grace_days=0)
    first = value(archive.database, "select crop_signature from core.media_asset_crops where crop_x = 20")
    archive.database.run(
        lambda conn: listing.drop_rows(conn, archive.store.bucket, undo_seconds=0, after="", limit=100)
    )
    assert not activate_crop(archive.database, photo_id, first, author=EDITOR).served
    with archive.database.transaction() as conn:
        chunk = listing.lock_removable(conn, archive.store.bucket, orphan_seconds=0, after="", limit=100)
        assert chunk is not None
        render = threading.Thread(
            target=rerender_photos, args=(archive, Scope(photo_ids=(photo_id,)), "meanwhile", None)
        )
        render.start()
        _wait_until_blocked(archive)
        archive.store.delete(chunk.removable)
        listing.unlist(conn, archive.store.bucket, list(chunk.removable))
    render.join()
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0)
    assert value(archive.database, "select served from core.variant_generations where kind = 'crop'") == first


def _wait_until_blocked(archive: Archive) -> None:
    deadline = time.monotonic() + 30
    blocked = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    while value(archive.database, blocked) == 0:
        assert time.monotonic() < deadline, "the render did not wait for the deletion"
        time.sleep(0.05)


def test_an_older_recipe_is_retired_listed_and_deleted(archive: Archive, photo_id: UUID) -> None:
    query(
        archive.database,
        "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)"
        " select %s, %s, id, 4 from core.media_assets",
        archive.store.bucket,
        f"media-variants/{photo_id}/0123456789abcdef/0123456789ab/card.webp",
    )
    archive.store.put_if_absent(
        f"media-variants/{photo_id}/0123456789abcdef/0123456789ab/card.webp", b"old!", content_type="image/webp"
    )
    assert reconcile(archive).is_clean
    assert list_removable(archive, grace_days=0)["retired"].objects == 1
    assert remove_listed(archive, undo_days=0).removed == 9
    assert reconcile(archive).is_clean


@pytest.mark.parametrize("days", [-1, float("nan"), 4000])
def test_invalid_periods_are_refused(archive: Archive, days: float) -> None:
    with pytest.raises(InputError, match="0 to 3650 days"):
        list_removable(archive, grace_days=days)
