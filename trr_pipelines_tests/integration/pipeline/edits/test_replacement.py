"""Replacing an original: a new version with new sets; old files are neither removed nor reused."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import photos
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError, MediaError, NotFoundError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import crop_history, set_crop
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run

FIRST, BETTER, OTHER = (saved(photo(width, 500, seed=width), "JPEG") for width in (400, 600, 500))


@pytest.fixture(scope="module")
def pool() -> Any:
    with RenderPool(1) as opened:
        yield opened


@pytest.fixture
def ids(archive: Archive, tmp_path: Path, pool: RenderPool) -> dict[str, UUID]:
    """Three processed photos, one of which failed."""
    files = {"a.jpg": FIRST, "b.jpg": OTHER, "cut.jpg": saved(photo(300, 300, seed=9), "JPEG")[:4000]}
    run(archive, import_files(archive, tmp_path / "photos", files), pool=pool)
    return photo_ids(archive)


def sets(archive: Archive, photo_id: UUID) -> set[tuple[str, bool]]:
    """Source version and kind (crop or not) of the sets that are served."""
    rows = query(
        archive.database,
        "select distinct source_version, crop_signature <> '' as is_crop from core.media_asset_variants"
        " where media_asset_id = %s and superseded_at is null",
        photo_id,
    )
    return {(row["source_version"], row["is_crop"]) for row in rows}


def test_old_sets_are_served_until_the_new_ones_are_rendered_and_then_both_change(
    archive: Archive, ids: dict[str, UUID], pool: RenderPool
) -> None:
    before = sets(archive, ids["a.jpg"])
    replaced = replace_original(archive, ids["a.jpg"], BETTER, author=EDITOR, pool=pool)
    assert replaced.changed
    assert sets(archive, ids["a.jpg"]) == before
    rerender_photos(archive, Scope(photo_ids=(ids["a.jpg"],)), "rerender", None)
    assert sets(archive, ids["a.jpg"]) == {(replaced.sha256, False), (replaced.sha256, True)}
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0)


def test_every_version_is_kept(archive: Archive, ids: dict[str, UUID], pool: RenderPool) -> None:
    replaced = replace_original(archive, ids["a.jpg"], BETTER, author=EDITOR, pool=pool)
    with archive.database.transaction() as conn:
        versions = photos.versions(conn, ids["a.jpg"])
    assert [(version.author, version.width) for version in versions] == [(EDITOR.actor, 600), ("import", 400)]
    assert versions[0].sha256 == replaced.sha256
    assert all(archive.store.head(version.hosted_key) is not None for version in versions)


def test_a_manual_crop_is_kept_under_a_new_signature(archive: Archive, ids: dict[str, UUID], pool: RenderPool) -> None:
    old = set_crop(archive.database, ids["a.jpg"], Crop("manual", 20, 10, 2), author=EDITOR)
    replace_original(archive, ids["a.jpg"], BETTER, author=EDITOR, pool=pool)
    newest, *earlier = crop_history(archive.database, ids["a.jpg"])
    assert (newest.crop.x, newest.crop.zoom, newest.is_active) == (20, 2, True)
    assert newest.crop.signature != old.signature == earlier[0].crop.signature
    assert newest.reason == "stale: the original was replaced"
    rerender_photos(archive, Scope(photo_ids=(ids["a.jpg"],)), "rerender", None)
    rows = query(archive.database, "select served from core.variant_generations where kind = 'crop' and served <> ''")
    assert newest.crop.signature in {row["served"] for row in rows}


def test_a_new_proposal_is_made_for_the_replacement(archive: Archive, ids: dict[str, UUID], pool: RenderPool) -> None:
    replace_original(archive, ids["a.jpg"], BETTER, author=EDITOR, pool=pool)
    rerender_photos(archive, Scope(photo_ids=(ids["a.jpg"],)), "rerender", None)
    history = crop_history(archive.database, ids["a.jpg"])
    assert [entry.crop.mode for entry in history] == ["auto", "auto"]
    assert history[0].source_version != history[1].source_version


def test_a_replacement_fixes_a_failed_photo(archive: Archive, ids: dict[str, UUID], pool: RenderPool) -> None:
    replace_original(archive, ids["cut.jpg"], BETTER, author=EDITOR, pool=pool)
    rerender_photos(archive, Scope(photo_ids=(ids["cut.jpg"],)), "rerender", None)
    states = query(archive.database, "select state, reason from core.media_assets where id = %s", ids["cut.jpg"])
    assert states == [{"state": "mirrored", "reason": None}]


def test_the_same_bytes_again_change_nothing(archive: Archive, ids: dict[str, UUID], pool: RenderPool) -> None:
    assert not replace_original(archive, ids["a.jpg"], FIRST, author=EDITOR, pool=pool).changed


def test_a_valid_picture_is_never_replaced_by_an_invalid_one(
    archive: Archive, ids: dict[str, UUID], pool: RenderPool
) -> None:
    before = sets(archive, ids["a.jpg"])
    for bad in (BETTER[: len(BETTER) // 2], b"<html>not report</html>", b""):
        with pytest.raises(MediaError):
            replace_original(archive, ids["a.jpg"], bad, author=EDITOR, pool=pool)
    assert sets(archive, ids["a.jpg"]) == before
    assert reconcile(archive).is_clean


def test_bytes_of_another_photo_and_unknown_photos_are_refused(
    archive: Archive, ids: dict[str, UUID], pool: RenderPool
) -> None:
    with pytest.raises(ConflictError, match=str(ids["b.jpg"])):
        replace_original(archive, ids["a.jpg"], OTHER, author=EDITOR, pool=pool)
    with pytest.raises(NotFoundError):
        replace_original(archive, uuid4(), BETTER, author=EDITOR, pool=pool)


def test_bytes_of_an_earlier_version_still_identify_the_photo(
    archive: Archive, ids: dict[str, UUID], tmp_path: Path, pool: RenderPool
) -> None:
    replace_original(archive, ids["a.jpg"], BETTER, author=EDITOR, pool=pool)
    run(archive, import_files(archive, tmp_path / "again", {"copy.jpg": FIRST}), "second", pool=pool)
    rows = query(archive.database, "select media_asset_id from core.import_items where source_url like '%%/copy.jpg'")
    assert rows == [{"media_asset_id": ids["a.jpg"]}]
