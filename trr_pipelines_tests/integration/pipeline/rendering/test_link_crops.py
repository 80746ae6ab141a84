"""Crops of links: each wanted frame is rendered once, each gallery shows its own, and no other work changes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue import crops, ledger, photos
from trr_pipelines.catalogue.crops import WantedCrop
from trr_pipelines.catalogue.galleries import Filters
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks import invariants
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.galleries.pages import GalleryItem, PageRequest, show_gallery
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework.reprocessing import reprocess_photo
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value

LEFT = Crop("manual", 20, 50, 1)
RIGHT = Crop("manual", 80, 50, 1)
CLOSE = Crop("auto", 50.5, 32.125, 2)
VECTORS = Path(__file__).parents[3] / "data" / "crop_vectors.json"


class CountingPool(RenderPool):
    """A real pool that records the crops of each request."""

    def __init__(self) -> None:
        super().__init__(1)
        self.requests: list[RenderRequest] = []

    def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
        self.requests.append(request)
        return super().render(data, request, name=name)


def imported(archive: Archive, folder: Path, *, data: bytes | None = None) -> tuple[str, UUID]:
    """A photo without links, not fetched yet, of which no crop is proposed; returns its batch and id."""
    name = f"{uuid4()}.jpg"
    batch = import_files(archive, folder, {name: data or pictures.jpeg(900, 600)})
    query(archive.database, "update core.media_assets set proposes_crop = false")
    return batch, photo_ids(archive)[name]


def show_of(archive: Archive, title: str = "The Valley") -> UUID:
    rows = query(archive.database, "select id from core.shows where title = %s", title)
    if rows:
        return UUID(str(rows[0]["id"]))
    query(
        archive.database,
        "with added as (insert into core.shows (title) values (%s) returning id) insert into core.slugs"
        " (entity_kind, slug, entity_id) select 'show', 'the-valley', id from added",
        title,
    )
    return show_of(archive, title)


def linked(archive: Archive, photo: UUID, crop: Crop | None = None, *, is_external: bool = True) -> UUID:
    """A link of the photo in the same gallery as the others, with its own crop."""
    link: UUID = value(
        archive.database,
        "insert into core.media_links (id, media_asset_id, show_id, kind, is_external)"
        " values (gen_random_uuid(), %s, %s, 'photo', %s) returning id",
        photo,
        show_of(archive),
        is_external,
    )
    if crop is not None:
        assert archive.database.run(lambda conn: crops.set_link_crop(conn, link, crop))
    return link


def edited(archive: Archive, link: UUID, crop: Crop | None) -> bool:
    return archive.database.run(lambda conn: crops.set_link_crop(conn, link, crop))


def signature(archive: Archive, photo: UUID, crop: Crop) -> str:
    return crop_signature(crop, value(archive.database, "select sha256 from core.media_assets where id = %s", photo))


def sets(archive: Archive, photo: UUID, *, superseded: bool = False) -> dict[str, int]:
    """The number of files of each crop set, served or superseded."""
    rows = query(
        archive.database,
        "select crop_signature, count(*) as files from core.media_asset_variants where media_asset_id = %s"
        " and crop_signature <> '' and (superseded_at is not null) = %s group by crop_signature",
        photo,
        superseded,
    )
    return {row["crop_signature"]: row["files"] for row in rows}


def state(archive: Archive, photo: UUID) -> str:
    return str(
        value(
            archive.database,
            "select state from core.variant_generations where media_asset_id = %s and kind = 'crop'",
            photo,
        )
    )


def items(archive: Archive) -> dict[UUID, GalleryItem]:
    page = show_gallery(archive.database, "the-valley", PageRequest(Filters(), "position", None, 100))
    return {item["link_id"]: item for item in page.items}


def shown(archive: Archive, *links: UUID) -> list[str | None]:
    """The signature in the crop URL that the gallery shows for each link."""
    urls = [items(archive)[link]["crop_display_url"] for link in links]
    return [url and url.split("/")[-3] for url in urls]


def rerender(archive: Archive, photo: UUID, pool: RenderPool, run_id: str = "edit") -> int:
    """As a run of the crop_changes sensor does; returns the number of photos that it completed."""
    return render_photos(archive, Scope(photo_ids=(photo,)), run_id, pool=pool).complete


def sound(archive: Archive, batch: str) -> None:
    for check in (
        invariants.active_crops_are_rendered,
        invariants.variant_sets_are_complete,
        invariants.nothing_was_upscaled,
    ):
        finding = check(archive, batch)
        assert finding.passed, (check.__name__, finding.broken)
    found = reconcile(archive)
    assert (found.orphan_objects, found.rows_without_objects) == (0, 0)


def test_each_wanted_frame_is_rendered_once_in_one_request_and_each_link_shows_its_own(
    archive: Archive, tmp_path: Path
) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    left, right, again = (linked(archive, photo, crop) for crop in (LEFT, RIGHT, LEFT))
    plain = linked(archive, photo)
    assert value(archive.database, "select count(crop_signature) from core.media_links") == 0
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    (request,) = pool.requests
    assert set(request.crops) == {LEFT, RIGHT}
    of_left, of_right = (signature(archive, photo, crop) for crop in (LEFT, RIGHT))
    assert sets(archive, photo) == {of_left: 4, of_right: 4}
    assert shown(archive, left, right, again, plain) == [of_left, of_right, of_left, None]
    assert items(archive)[left]["crop"] == {"mode": "manual", "x": 20, "y": 50, "zoom": 1, "signature": of_left}
    assert items(archive)[plain]["crop"] is None
    assert value(archive.database, "select count(*) from core.media_asset_crops") == 0
    sound(archive, batch)


def test_a_photo_of_which_no_crop_is_proposed_nor_wanted_is_complete_without_a_set(
    archive: Archive, tmp_path: Path
) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    link = linked(archive, photo)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        assert [request.crop_recipe for request in pool.requests] == [None]
        assert (state(archive, photo), sets(archive, photo)) == ("complete", {})
        assert run(archive, batch, "again", pool=pool).derivatives.complete == 0
    assert items(archive)[link]["generation"]["crop"] == "complete"
    sound(archive, batch)


def test_a_proposal_and_crops_of_links_are_rendered_together(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    query(archive.database, "update core.media_assets set proposes_crop = true")
    own, ours = linked(archive, photo, LEFT), linked(archive, photo, is_external=False)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    (request,) = pool.requests
    assert set(request.crops) == {None, LEFT}
    active = value(archive.database, "select crop_signature from core.media_asset_crops where is_active")
    assert shown(archive, own, ours) == [signature(archive, photo, LEFT), active]
    sound(archive, batch)


def test_an_edit_renders_that_frame_only_and_supersedes_what_nothing_wants(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    left, right = (linked(archive, photo, crop) for crop in (LEFT, RIGHT))
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        of_left, of_right, of_close = (signature(archive, photo, crop) for crop in (LEFT, RIGHT, CLOSE))
        assert not edited(archive, left, LEFT)
        assert edited(archive, left, CLOSE)
        assert state(archive, photo) == "pending"
        assert archive.database.run(lambda conn: ledger.crops_with_work(conn, 10)) == [photo]
        assert shown(archive, left, right) == [of_left, of_right]
        assert rerender(archive, photo, pool) == 1
        assert pool.requests[-1].crops == (CLOSE,)
        assert pool.requests[-1].base is None
        assert shown(archive, left, right) == [of_close, of_right]
        assert sets(archive, photo, superseded=True) == {of_left: 4}
        # Back to a frame whose files exist, and to a frame that another link shows: nothing is rendered.
        assert edited(archive, left, LEFT)
        assert rerender(archive, photo, pool, "back") == 1
        assert edited(archive, left, RIGHT)
        assert (state(archive, photo), shown(archive, left, right)) == ("complete", [of_right, of_right])
        assert len(pool.requests) == 2
    assert set(sets(archive, photo)) == {of_right}
    sound(archive, batch)


def test_an_edit_is_rendered_while_a_backfill_is_active(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    link = linked(archive, photo, LEFT)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    query(
        archive.database,
        "with one as (insert into core.backfills (ordering, photos, bytes, planned_seconds, author)"
        " values ('recency', 1, 1, 1, 'a') returning id)"
        " insert into core.backfill_batches (backfill_id, position, batch_key, photos) select id, 1, %s, 1 from one",
        batch,
    )
    assert archive.database.run(lambda conn: ledger.crops_with_work(conn, 10)) == []
    edited(archive, link, RIGHT)
    assert archive.database.run(lambda conn: ledger.crops_with_work(conn, 10)) == [photo]
    assert value(archive.database, "select count(*) from core.live_work where kind = 'crop'") == 1


@pytest.mark.parametrize("is_external", [True, False])
def test_without_its_own_crop_a_link_of_ours_shows_the_active_crop_and_another_none(
    archive: Archive, tmp_path: Path, is_external: bool
) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    query(archive.database, "update core.media_assets set proposes_crop = true")
    link = linked(archive, photo, is_external=is_external)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        active = value(archive.database, "select crop_signature from core.media_asset_crops where is_active")
        before = None if is_external else active
        assert shown(archive, link) == [before]
        edited(archive, link, LEFT)
        assert shown(archive, link) == [before]  # what it showed until then, never the frame of another link
        rerender(archive, photo, pool)
        assert shown(archive, link) == [signature(archive, photo, LEFT)]
        assert edited(archive, link, None)
        assert not edited(archive, link, None)
    assert shown(archive, link) == [before]
    assert set(sets(archive, photo)) == {active}
    assert state(archive, photo) == "complete"
    sound(archive, batch)


def test_an_edit_of_the_active_crop_leaves_the_frames_of_links_alone(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    own, ours = linked(archive, photo, LEFT), linked(archive, photo, is_external=False)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        assert shown(archive, own, ours) == [signature(archive, photo, LEFT), None]
        first = set_crop(archive.database, photo, RIGHT, author=EDITOR)
        rerender(archive, photo, pool)
        second = set_crop(archive.database, photo, CLOSE, author=EDITOR)
        rerender(archive, photo, pool, "second")
        assert [request.crops for request in pool.requests[1:]] == [(RIGHT,), (CLOSE,)]
        assert shown(archive, own, ours) == [signature(archive, photo, LEFT), second.signature]
        assert set(sets(archive, photo, superseded=True)) == {first.signature}
        # A roll-back is served at once, but the work is not complete while the frame of a link is missing.
        edited(archive, own, Crop("manual", 33, 44, 1.5))
        assert set_crop(archive.database, photo, RIGHT, author=EDITOR).served
        assert state(archive, photo) == "pending"
        rerender(archive, photo, pool, "third")
    assert shown(archive, ours) == [first.signature]
    sound(archive, batch)


def test_an_edit_during_a_render_of_the_photo_is_rendered_next(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    link = linked(archive, photo, LEFT)

    class EditedPool(CountingPool):
        def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
            rendered = super().render(data, request, name=name)
            if len(self.requests) == 1:
                edited(archive, link, RIGHT)
            return rendered

    with EditedPool() as pool:
        run(archive, batch, pool=pool)
        # The edited crop may be claimed before the first render has found out that it is stale: together or one by one.
        rendered = [crop for request in pool.requests for crop in request.crops]
        assert (rendered[0], set(rendered)) == (LEFT, {LEFT, RIGHT})
    assert set(sets(archive, photo)) == {signature(archive, photo, RIGHT)}
    assert shown(archive, link) == [signature(archive, photo, RIGHT)]
    sound(archive, batch)


def test_a_new_original_signs_crops_of_links_again_and_their_last_sets_are_served_until_then(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    link = linked(archive, photo, LEFT)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        before = signature(archive, photo, LEFT)
        replace_original(archive, photo, pictures.jpeg(1200, 800, seed=3), author=EDITOR, pool=render_pool)
        after = signature(archive, photo, LEFT)
        assert items(archive)[link]["crop"]["signature"] == after  # type: ignore[index]
        assert shown(archive, link) == [before]
        rerender(archive, photo, pool)
    assert before != after
    assert shown(archive, link) == [after]
    assert set(sets(archive, photo, superseded=True)) == {before}
    sound(archive, batch)


def test_reprocessing_renders_every_wanted_set_again(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    for crop in (LEFT, RIGHT):
        linked(archive, photo, crop)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        reprocess_photo(archive.database, photo, author=EDITOR)
        rerender(archive, photo, pool)
    assert set(pool.requests[-1].crops) == {LEFT, RIGHT}
    assert pool.requests[-1].base is not None
    sound(archive, batch)


def test_many_crops_of_one_photo_take_several_requests(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in", data=pictures.jpeg(120, 90))
    for x in range(0, 95, 5):
        linked(archive, photo, Crop("manual", x, 50, 1.5))
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    frames = {crop for request in pool.requests for crop in request.crops}
    assert [len(request.crops) for request in pool.requests] == [8, 8, 3]
    assert len(sets(archive, photo)) == len(frames) == 19
    sound(archive, batch)


def test_links_of_a_duplicate_move_with_their_ids_and_crops(archive: Archive, tmp_path: Path) -> None:
    data = pictures.jpeg(900, 600)
    batch, kept = imported(archive, tmp_path / "in", data=data)
    first = linked(archive, kept, LEFT)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        again, duplicate = imported(archive, tmp_path / "later", data=data)
        moved, same = linked(archive, duplicate, RIGHT), linked(archive, duplicate, LEFT)
        mirror_originals(archive, Scope(batch=again), "later")
        assert photo_ids(archive).keys() == {next(iter(photo_ids(archive)))}
        assert state(archive, kept) == "pending"
        rerender(archive, kept, pool)
        assert pool.requests[-1].crops == (RIGHT,)
    assert shown(archive, first, moved, same) == [signature(archive, kept, crop) for crop in (LEFT, RIGHT, LEFT)]
    sound(archive, batch)


def test_wanted_crops_name_every_frame_once_with_its_links(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    links = sorted(linked(archive, photo, LEFT) for _ in range(2))
    other = linked(archive, photo, CLOSE)
    linked(archive, photo)
    linked(archive, photo, is_external=False)
    assert archive.database.run(lambda conn: crops.wanted_crops(conn, [photo])) == {}
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    set_crop(archive.database, photo, RIGHT, author=EDITOR)

    def row(crop: Crop) -> CropRow:
        return CropRow(crop.mode, crop.x, crop.y, crop.zoom, signature(archive, photo, crop))

    wanted = archive.database.run(lambda conn: crops.wanted_crops(conn, [photo, uuid4()]))
    expected = sorted(
        (WantedCrop(row(LEFT), False, tuple(links)), WantedCrop(row(CLOSE), False, (other,))),
        key=lambda one: one.crop.signature,
    )
    assert wanted == {photo: [WantedCrop(row(RIGHT), True, ()), *expected]}


def test_links_that_came_with_crops_are_signed_and_rendered(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    first = linked(archive, photo, LEFT)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
        query(
            archive.database,
            "insert into core.media_links (media_asset_id, show_id, kind, is_external, crop_mode, crop_x, crop_y,"
            " crop_zoom) select media_asset_id, show_id, kind, true, 'manual', x, 50, 1 from core.media_links,"
            " unnest(array[20, 80]) as x where id = %s",
            first,
        )
        archive.database.run(lambda conn: photos.renew_link_crops(conn, [photo, uuid4()]))
        rerender(archive, photo, pool)
        assert pool.requests[-1].crops == (RIGHT,)
        archive.database.run(lambda conn: photos.renew_link_crops(conn, [photo]))
        assert state(archive, photo) == "complete"
    of_left, of_right = (signature(archive, photo, crop) for crop in (LEFT, RIGHT))
    assert sorted(filter(None, shown(archive, *items(archive)))) == sorted([of_left, of_left, of_right])
    sound(archive, batch)


def test_an_unknown_link_changes_nothing(archive: Archive) -> None:
    assert not edited(archive, uuid4(), LEFT)


def test_a_rerender_of_listed_photos_takes_crops_of_links(archive: Archive, tmp_path: Path) -> None:
    batch, photo = imported(archive, tmp_path / "in")
    link = linked(archive, photo)
    with CountingPool() as pool:
        run(archive, batch, pool=pool)
    edited(archive, link, LEFT)
    assert rerender_photos(archive, Scope(photo_ids=(photo,)), "listed", None).tally.complete == 1
    assert shown(archive, link) == [signature(archive, photo, LEFT)]


def signed_by_database(archive: Archive, numbers: Sequence[object]) -> str:
    return str(value(archive.database, "select core.crop_signature(%s, %s, %s, %s, %s)", *numbers))


def test_the_database_signs_crops_as_python_does(archive: Archive) -> None:
    for vector in json.loads(VECTORS.read_text()):
        crop = Crop(**vector["crop"])
        numbers = (crop.mode, *(Decimal(repr(number)) for number in (crop.x, crop.y, crop.zoom)))
        assert signed_by_database(archive, (*numbers, vector["source"]["version"])) == vector["crop_signature"]
