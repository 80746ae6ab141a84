"""Crops: set, rolled back, reset to the proposal, refused; served at once if their files exist."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import ledger
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError, InputError, NotFoundError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import CropEdit, activate_crop, crop_history, return_to_auto, set_crop
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.scheduling import PhotosRequest, request_crops
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value

OTHER = Author("second@example.org", "tests")
TIGHT = Crop("manual", 20, 10, 2)
WIDE = Crop("manual", 80, 90, 1)


@pytest.fixture
def photo_id(archive: Archive, tmp_path: Path) -> UUID:
    """A fully processed photo, whose proposal is rendered."""
    run(archive, import_files(archive, tmp_path / "photos", {"a.jpg": saved(photo(600, 500), "JPEG")}))
    return photo_ids(archive)["a.jpg"]


def render_due_work(archive: Archive, photo_id: UUID, run_id: str = "edit") -> int:
    """Render as a run of the crop_changes sensor does; returns the number of rendered photos."""
    return rerender_photos(archive, Scope(photo_ids=(photo_id,)), run_id, None).tally.complete


def served(archive: Archive, photo_id: UUID) -> set[str]:
    """Signatures of the crop rows that are not superseded."""
    rows = query(
        archive.database,
        "select distinct crop_signature from core.media_asset_variants"
        " where media_asset_id = %s and crop_signature <> '' and superseded_at is null",
        photo_id,
    )
    return {row["crop_signature"] for row in rows}


def test_an_edit_waits_and_the_old_set_stays_served_until_it_is_rendered(archive: Archive, photo_id: UUID) -> None:
    (before,) = served(archive, photo_id)
    edit = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    sha256 = value(archive.database, "select sha256 from core.media_assets")
    signature = crop_signature(TIGHT, sha256)
    row = CropRow("manual", 20, 10, 2, signature)
    assert edit == CropEdit(photo_id, signature, changed=True, served=False, crop=row)
    assert served(archive, photo_id) == {before}
    assert render_due_work(archive, photo_id) == 1
    assert served(archive, photo_id) == {edit.signature}
    assert before in {
        row["crop_signature"]
        for row in query(
            archive.database, "select crop_signature from core.media_asset_variants where superseded_at is not null"
        )
    }


def test_setting_the_same_crop_again_changes_and_renders_nothing(archive: Archive, photo_id: UUID) -> None:
    set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    render_due_work(archive, photo_id)
    again = set_crop(archive.database, photo_id, Crop("manual", 20.00001, 10, 2), author=OTHER)
    assert (again.changed, again.served) == (False, True)
    assert render_due_work(archive, photo_id, "again") == 0
    assert len(crop_history(archive.database, photo_id)) == 2


def test_the_history_lists_author_and_time_newest_first(archive: Archive, photo_id: UUID) -> None:
    set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    set_crop(archive.database, photo_id, WIDE, author=OTHER)
    history = crop_history(archive.database, photo_id)
    assert [(entry.author, entry.crop.mode, entry.is_active) for entry in history] == [
        (OTHER.actor, "manual", True),
        (EDITOR.actor, "manual", False),
        ("auto", "auto", False),
    ]
    assert history[0].created_at >= history[1].created_at >= history[2].created_at


def test_a_rollback_to_existing_files_is_served_at_once(archive: Archive, photo_id: UUID) -> None:
    first = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    render_due_work(archive, photo_id)
    set_crop(archive.database, photo_id, WIDE, author=EDITOR)
    render_due_work(archive, photo_id, "second")
    back = activate_crop(archive.database, photo_id, first.signature, author=EDITOR)
    assert back.served
    assert served(archive, photo_id) == {first.signature}
    assert render_due_work(archive, photo_id, "third") == 0


def test_a_rollback_to_an_unrendered_set_renders_it(archive: Archive, photo_id: UUID) -> None:
    first = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    set_crop(archive.database, photo_id, WIDE, author=EDITOR)
    render_due_work(archive, photo_id)
    back = activate_crop(archive.database, photo_id, first.signature, author=EDITOR)
    assert not back.served
    assert render_due_work(archive, photo_id, "second") == 1
    assert served(archive, photo_id) == {first.signature}


def test_restoring_the_proposal_serves_it_at_once(archive: Archive, photo_id: UUID) -> None:
    (proposal,) = served(archive, photo_id)
    set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    render_due_work(archive, photo_id)
    back = return_to_auto(archive.database, photo_id, author=EDITOR)
    assert (back.signature, back.changed, back.served) == (proposal, True, True)


def test_a_manual_crop_set_before_the_first_render_wins_over_the_proposal(archive: Archive, tmp_path: Path) -> None:
    batch = import_files(archive, tmp_path / "photos", {"a.jpg": saved(photo(600, 500), "JPEG")})
    mirror_originals(archive, Scope(batch=batch), "run")
    photo_id = photo_ids(archive)["a.jpg"]
    edit = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    render_photos(archive, Scope(batch=batch), "run")
    assert served(archive, photo_id) == {edit.signature}
    assert [entry.crop.mode for entry in crop_history(archive.database, photo_id)] == ["manual"]


def test_with_two_edits_during_one_render_the_last_wins_and_no_set_is_mixed(archive: Archive, photo_id: UUID) -> None:
    set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    (claim,) = archive.database.run(
        lambda conn: ledger.claim(conn, Scope(photo_ids=(photo_id,)), ["crop"], "first", limit=1)
    )
    last = set_crop(archive.database, photo_id, WIDE, author=EDITOR)
    with pytest.raises(ledger.StaleResultError):
        archive.database.run(lambda conn: ledger.complete(conn, claim, "first", signature=claim.wanted))
    render_due_work(archive, photo_id, "second")
    assert served(archive, photo_id) == {last.signature}


def test_concurrent_edits_leave_one_active_crop(archive: Archive, photo_id: UUID) -> None:
    crops = [Crop("manual", x, 50, 1.5) for x in range(0, 100, 10)]
    threads = [
        threading.Thread(target=set_crop, args=(archive.database, photo_id, crop), kwargs={"author": EDITOR})
        for crop in crops
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = crop_history(archive.database, photo_id)
    assert len(history) == 1 + len(crops)
    assert [entry.is_active for entry in history] == [True] + [False] * len(crops)
    render_due_work(archive, photo_id)
    assert served(archive, photo_id) == {history[0].crop.signature}


def test_an_edit_with_an_outdated_precondition_is_refused_and_writes_nothing(archive: Archive, photo_id: UUID) -> None:
    first = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    for expected in ("", "0" * 64):
        with pytest.raises(ConflictError, match=first.signature):
            set_crop(archive.database, photo_id, WIDE, author=EDITOR, expected=expected)
    assert len(crop_history(archive.database, photo_id)) == 2
    assert set_crop(archive.database, photo_id, WIDE, author=EDITOR, expected=first.signature).changed


def test_crops_of_photos_that_cannot_have_one_are_refused(archive: Archive, tmp_path: Path) -> None:
    run(
        archive,
        import_files(archive, tmp_path / "photos", {"a.jpg": b"no picture", "b.jpg": saved(photo(60, 60), "JPEG")}),
    )
    ids = photo_ids(archive)
    with pytest.raises(InputError, match="failed \\(not_an_image\\)"):
        set_crop(archive.database, ids["a.jpg"], TIGHT, author=EDITOR)
    with pytest.raises(NotFoundError, match="no photo"):
        set_crop(archive.database, uuid4(), TIGHT, author=EDITOR)
    with pytest.raises(NotFoundError, match="never had the crop"):
        activate_crop(archive.database, ids["b.jpg"], "0" * 64, author=EDITOR)
    with pytest.raises(InputError, match="author"):
        set_crop(archive.database, ids["b.jpg"], TIGHT, author=Author(" ", "tests"))
    assert len(crop_history(archive.database, ids["b.jpg"])) == 1


def test_a_signature_of_another_photo_is_refused(archive: Archive, tmp_path: Path) -> None:
    files = {"a.jpg": saved(photo(60, 60), "JPEG"), "b.jpg": saved(photo(60, 60, seed=1), "JPEG")}
    run(archive, import_files(archive, tmp_path / "photos", files))
    ids = photo_ids(archive)
    other = set_crop(archive.database, ids["b.jpg"], TIGHT, author=EDITOR)
    with pytest.raises(NotFoundError, match=str(ids["a.jpg"])):
        activate_crop(archive.database, ids["a.jpg"], other.signature, author=EDITOR)


def test_photos_leased_by_a_run_are_not_requested_again(archive: Archive, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(12)]
    files = {name: saved(photo(80, 60, seed=number), "JPEG") for number, name in enumerate(names)}
    run(archive, import_files(archive, tmp_path / "photos", files))
    ids = photo_ids(archive)
    for name in names:
        set_crop(archive.database, ids[name], TIGHT, author=EDITOR)
    seen: list[int] = []
    rendered: list[object] = []

    class WatchingPool(RenderPool):
        def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
            seen.append(len(archive.database.run(lambda conn: ledger.crops_with_work(conn, 100))))
            rendered.append(name)
            return super().render(data, request, name=name)

    scope = Scope(photo_ids=tuple(ids.values()))
    with WatchingPool(1) as pool:
        render_photos(archive, scope, "edits", pool=pool)
    assert len(rendered) == len(names)
    assert set(seen) == {0}


def test_a_started_run_leaves_nothing_to_request(archive: Archive, photo_id: UUID) -> None:
    set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    request = request_crops(archive.database, lambda _: True)
    assert request is not None
    assert request.photo_ids == (photo_id,)
    seen: list[PhotosRequest | None] = []

    class PollingDatabase(Database):
        """Requests crops after every transaction of the run, as a sensor may."""

        def run(self, work: Any) -> Any:
            result = super().run(work)
            seen.append(request_crops(archive.database, lambda _: True))
            return result

    polling = PollingDatabase(archive.settings.database_url.get_secret_value()).open()  # type: ignore[union-attr]
    try:
        rerender_photos(replace(archive, database=polling), Scope(photo_ids=request.photo_ids), "run", request.scope)
    finally:
        polling.close()
    # Dagster drops a repeated run_key; no other is ever requested, and none once the run has claimed its work.
    assert {one.run_key for one in seen if one is not None} <= {request.run_key}
    assert seen[-1] is None


def test_every_change_is_audited_with_old_and_new_values_and_a_repetition_is_not(
    archive: Archive, photo_id: UUID
) -> None:
    (proposal,) = served(archive, photo_id)
    first = set_crop(archive.database, photo_id, TIGHT, author=EDITOR)
    set_crop(archive.database, photo_id, TIGHT, author=OTHER)
    return_to_auto(archive.database, photo_id, author=OTHER)
    rows = query(archive.database, "select actor, action, entity_id, old, new from core.audit_log order by id")
    assert [(row["actor"], row["action"], row["entity_id"]) for row in rows] == [
        (EDITOR.actor, "crop", str(photo_id)),
        (OTHER.actor, "crop", str(photo_id)),
    ]
    assert [(row["old"]["crop"]["signature"], row["new"]["crop"]["signature"]) for row in rows] == [
        (proposal, first.signature),
        (first.signature, proposal),
    ]
    assert rows[0]["new"]["crop"] == {"mode": "manual", "x": 20.0, "y": 10.0, "zoom": 2.0, "signature": first.signature}
