"""An archive that began before the present layout of keys: its objects stay where they are, and everything works."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.takedown.takedown import take_down_photo
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import list_removable, remove_listed
from trr_pipelines.storage.keys import ORIGINALS, VARIANTS
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import (
    EDITOR,
    import_files,
    move_to_earlier_keys,
    photo_ids,
    query,
    run,
)

FILE = {"a.jpg": saved(photo(600, 500), "JPEG")}


@pytest.fixture
def photo_id(archive: Archive, tmp_path: Path) -> UUID:
    """A rendered photo with all its objects at the earlier keys."""
    run(archive, import_files(archive, tmp_path / "photos", FILE))
    move_to_earlier_keys(archive)
    assert counts(archive) == {"originals/": 1, "crops/": 4, "variants/": 6}
    return photo_ids(archive)["a.jpg"]


def counts(archive: Archive) -> dict[str, int]:
    """Objects by prefix."""
    found = {prefix: len(list(archive.store.list(prefix))) for prefix in (*ORIGINALS, *VARIANTS)}
    return {prefix: count for prefix, count in found.items() if count}


def test_objects_at_earlier_keys_are_no_difference(archive: Archive, photo_id: UUID) -> None:
    result = reconcile(archive, hashes=True)
    assert result.is_clean
    assert (result.objects_checked, result.rows_checked) == (11, 11)


def test_a_new_crop_gets_the_present_keys_and_the_earlier_set_is_deleted_when_it_is_due(
    archive: Archive, photo_id: UUID
) -> None:
    set_crop(archive.database, photo_id, Crop("manual", 20, 10, 2), author=EDITOR)
    rerender_photos(archive, Scope(photo_ids=(photo_id,)), "edit", None)
    assert counts(archive) == {"originals/": 1, "crops/": 4, "variants/": 6, "media-variants/": 4}
    list_removable(archive, grace_days=0)
    assert remove_listed(archive, undo_days=0, grace_days=0).removed == 4
    assert counts(archive) == {"originals/": 1, "variants/": 6, "media-variants/": 4}
    assert reconcile(archive, hashes=True).is_clean


def test_a_rendered_base_set_retires_the_one_at_earlier_keys(archive: Archive, photo_id: UUID) -> None:
    query(archive.database, "update core.variant_generations set recipe = '0123456789ab' where kind = 'base'")
    rerender_photos(archive, Scope(photo_ids=(photo_id,)), "rerender", None)
    assert counts(archive) == {"originals/": 1, "crops/": 4, "variants/": 6, "media-variants/": 6}
    list_removable(archive, grace_days=0)
    assert remove_listed(archive, undo_days=0, grace_days=0).removed == 6
    assert reconcile(archive, hashes=True).is_clean


def test_a_lost_original_comes_back_at_its_earlier_key(archive: Archive, photo_id: UUID, tmp_path: Path) -> None:
    (original,) = archive.store.list("originals/")
    archive.store.delete([original.key])
    batch = import_files(archive, tmp_path / "again", FILE)
    run(archive, batch, "again")
    assert [item.key for item in archive.store.list("originals/")] == [original.key]
    assert reconcile(archive, hashes=True).is_clean


def test_a_takedown_deletes_everything_at_earlier_keys(archive: Archive, photo_id: UUID) -> None:
    taken = take_down_photo(archive, photo_id, author=EDITOR)
    assert taken.objects == 11
    assert counts(archive) == {}
    assert any("/originals/" in url for url in taken.purge_urls)
