"""Renders overtaken by an edit: the run that stored what was never served deletes it, and nothing that is needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import list_removable
from trr_pipelines.storage.keys import SIGNATURE_DIGITS, version_of
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value

FIRST, SECOND = Crop("manual", 20, 10, 2), Crop("manual", 80, 90, 1)


class EditedPool(RenderPool):
    """Does something between rendering and storing."""

    def __init__(self, edit: Callable[[], object]) -> None:
        super().__init__(1)
        self._edit = edit

    def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
        rendered = super().render(data, request, name=name)
        self._edit()
        return rendered


@pytest.fixture
def photo_id(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> UUID:
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg()}), pool=render_pool)
    return photo_ids(archive)["a.jpg"]


def signature(archive: Archive, photo_id: UUID, crop: Crop) -> str:
    return set_crop(archive.database, photo_id, crop, author=EDITOR).signature


def render(archive: Archive, photo_id: UUID, run_id: str, pool: RenderPool) -> dict[str, int]:
    return dict(render_photos(archive, Scope(photo_ids=(photo_id,)), run_id, pool=pool).ended)


def stored(archive: Archive, part: str) -> list[str]:
    return [item.key for item in archive.store.list() if part in item.key]


def test_an_archive_is_clean_after_crops_were_edited_during_their_render(
    archive: Archive, photo_id: UUID, render_pool: RenderPool
) -> None:
    """40 objects of overtaken crops were differences for 30 days."""
    overtaken = []
    for number in range(3):
        overtaken.append(signature(archive, photo_id, Crop("manual", number, 10, 2)))
        with EditedPool(lambda: signature(archive, photo_id, SECOND)) as pool:
            assert render(archive, photo_id, f"overtaken-{number}", pool)["stale"] == 1
        render(archive, photo_id, f"after-{number}", render_pool)
    assert [stored(archive, one) for one in overtaken] == [[], [], []]
    report = reconcile(archive)
    assert (report.is_clean, report.listed_objects) == (True, 0)


def test_an_original_replaced_during_a_render_leaves_nothing_of_the_earlier_one_that_was_not_served(
    archive: Archive, photo_id: UUID, render_pool: RenderPool
) -> None:
    better = pictures.jpeg(500, 400, seed=5)
    query(archive.database, "update core.variant_generations set state = 'pending' where kind = 'base'")
    query(archive.database, "delete from core.media_asset_variants where crop_signature = ''")
    archive.store.delete(key for key in stored(archive, "media-variants/") if len(version_of(key)) < SIGNATURE_DIGITS)
    replaced = []

    def replace_once() -> None:
        if not replaced:
            replaced.append(replace_original(archive, photo_id, better, author=EDITOR, pool=render_pool))

    with EditedPool(replace_once) as pool:
        render(archive, photo_id, "overtaken", pool)
    assert reconcile(archive).is_clean


def test_an_edit_back_to_the_crop_that_is_being_stored_keeps_its_objects(archive: Archive, photo_id: UUID) -> None:
    """Another run may rely on them already."""
    first = signature(archive, photo_id, FIRST)

    def edit_twice() -> None:
        signature(archive, photo_id, SECOND)
        signature(archive, photo_id, FIRST)
        query(archive.database, "update core.variant_generations set lease_until = now() + interval '1 minute'")
        query(archive.database, "update core.variant_generations set run_id = 'another' where kind = 'crop'")

    with EditedPool(edit_twice) as pool:
        render_photos_once = render_photos(archive, Scope(photo_ids=(photo_id,)), "stale", pool=_once(pool, archive))
    assert render_photos_once.ended["stale"] == 1
    assert len(stored(archive, first)) == 4


def _once(pool: EditedPool, archive: Archive) -> EditedPool:
    """The pool, whose photo's work another run has completed as soon as it was edited."""
    edit = pool._edit

    def edit_and_complete() -> None:
        edit()
        query(
            archive.database,
            "update core.variant_generations set state = 'complete', served = wanted where kind = 'crop'",
        )

    pool._edit = edit_and_complete
    return pool


def test_objects_listed_for_deletion_are_told_apart_and_are_no_difference(archive: Archive, photo_id: UUID) -> None:
    orphan = f"media-variants/{photo_id}/{'0' * 64}/0123456789ab/crop_card.webp"
    archive.store.put_if_absent(orphan, b"left by a killed run", content_type="image/webp")
    assert reconcile(archive).orphan_examples == (orphan,)
    list_removable(archive)
    report = reconcile(archive)
    assert (report.is_clean, report.orphan_objects, report.listed_objects) == (True, 0, 1)
    assert value(archive.database, "select count(*) from core.removal_list") == 1


def test_earlier_contact_sheets_of_a_batch_are_deleted_and_those_of_no_batch_are_orphans(
    archive: Archive, photo_id: UUID, tmp_path: Path, render_pool: RenderPool
) -> None:
    from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet

    batch = value(archive.database, "select batch_key from core.media_assets")
    earlier = make_contact_sheet(archive, batch, "thumb")
    batch_again = import_files(archive, tmp_path / "more", {"b.jpg": pictures.jpeg(seed=9)})
    assert batch_again == batch
    run(archive, batch, "more", pool=render_pool)
    sheet = make_contact_sheet(archive, batch, "thumb")
    assert earlier is not None
    assert sheet is not None
    assert sheet.full_url != earlier.full_url
    assert len(stored(archive, "contact_sheets/")) == 2, "the full and the small one"
    for key in (f"contact_sheets/{batch}/thumb-0000000000000000.webp", "contact_sheets/no-batch/thumb-00.webp"):
        archive.store.put_if_absent(key, b"x", content_type="image/webp")
    assert reconcile(archive).orphan_examples == ("contact_sheets/no-batch/thumb-00.webp",)
    assert make_contact_sheet(archive, batch, "thumb") == sheet
    assert len(stored(archive, f"contact_sheets/{batch}/")) == 2
    assert list_removable(archive)["orphan"].objects == 1
