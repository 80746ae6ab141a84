"""Takedown: no object or row of a photo is left, it cannot be imported again, and other photos are unchanged."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import ConflictError, NotFoundError, Reason, RetryableError
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.crops import set_crop
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.contact_sheets import make_contact_sheet
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.takedown.takedown import (
    MAX_DELETE_PASSES,
    Takedown,
    take_down,
    take_down_person,
    take_down_photo,
)
from trr_pipelines.pipeline.upkeep import retention
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support.archives import EDITOR, import_files, import_path, photo_ids, query, run, value
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

PERSON = "Person One"


def small(seed: int) -> bytes:
    return saved(photo(48, 40, seed=seed), "JPEG")


def hashes(archive: Archive) -> dict[str, str]:
    """The hash of every object in the store, by key."""
    return {item.key: hashlib.sha256(archive.store.get(item.key)).hexdigest() for item in archive.store.list("")}


def all_rows_as_text(archive: Archive) -> str:
    """All rows as text, except of the tables that record takedowns by hashes and ids."""
    kept = ("takedowns", "taken_down_fingerprints", "audit_log", "facebank_removals")
    tables = query(archive.database, "select tablename from pg_tables where schemaname = 'core'")
    return "\n".join(
        str(row["text"])
        for table in (row["tablename"] for row in tables)
        if table not in kept
        for row in query(archive.database, f"select t::text as text from core.{table} t")  # noqa: S608  our own tables
    )


def person_id(archive: Archive) -> UUID:
    id_: UUID = value(archive.database, "select id from core.people where full_name = %s", PERSON)
    return id_


def assert_consistent_and_nothing_listed(archive: Archive) -> None:
    report = reconcile(archive)
    assert (report.orphan_objects, report.rows_without_objects) == (0, 0)
    assert value(archive.database, "select count(*) from core.removal_list") == 0


def test_nothing_of_a_person_with_200_photos_is_left_and_others_stay(
    archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    assert_only_photos_of_the_person_are_removed(archive, tmp_path, render_pool, photos=200)


@pytest.mark.parametrize("server", ["moto", "rclone"])
def test_nothing_of_a_person_is_left_in_a_bucket(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, request: pytest.FixtureRequest, server: str
) -> None:
    s3: S3Server = request.getfixturevalue(server)
    with bucket_on(s3, s3.client()) as store:
        assert_only_photos_of_the_person_are_removed(replace(archive, store=store), tmp_path, render_pool, photos=5)


def assert_only_photos_of_the_person_are_removed(
    archive: Archive, tmp_path: Path, render_pool: RenderPool, *, photos: int
) -> None:
    """Take down a person with photos in every state; a photo of a show must stay."""
    other = import_files(archive, tmp_path / "other", {"z.jpg": small(9_999)}, show="The Valley", source="bravo")
    run(archive, other, pool=render_pool)
    make_contact_sheet(archive, other, "thumb")
    kept_objects = hashes(archive)

    files = {f"{number}.jpg": small(number) for number in range(photos)} | {"again.jpg": small(0)}
    batch = import_files(archive, tmp_path / "photos", files, person=PERSON)
    import_path(archive, tmp_path / "photos", show="The Valley")
    run(archive, batch, pool=render_pool)
    ids = photo_ids(archive)
    set_crop(archive.database, ids["1.jpg"], Crop("manual", 10, 10, 2), author=EDITOR)
    replace_original(archive, ids["2.jpg"], small(5_000), author=EDITOR, pool=render_pool)
    query(
        archive.database,
        "update core.media_asset_variants set recipe = 'older' where media_asset_id = %s",
        ids["3.jpg"],
    )
    rerender_photos(archive, Scope(photo_ids=(ids["1.jpg"], ids["2.jpg"])), "again", None)
    make_contact_sheet(archive, batch, "thumb")
    removed_objects = {key: sha for key, sha in hashes(archive).items() if key not in kept_objects}
    of_person = query(archive.database, "select media_asset_id from core.media_links where person_id is not null")
    gone_ids = {row["media_asset_id"] for row in of_person}
    assert len(gone_ids) == photos

    announced = take_down_person(archive, person_id(archive), author=EDITOR, dry_run=True)
    assert hashes(archive) == kept_objects | removed_objects
    taken = take_down_person(archive, person_id(archive), author=EDITOR)

    assert set(taken.photo_ids) == gone_ids
    assert (announced.objects, announced.links, set(announced.purge_urls)) == (
        taken.objects, taken.links, set(taken.purge_urls),
    )  # fmt: skip
    assert set(taken.purge_urls) == {archive.store.public_url(key) for key in removed_objects}
    assert hashes(archive) == kept_objects
    assert not set(hashes(archive).values()) & set(removed_objects.values())
    text = all_rows_as_text(archive)
    for trace in (*map(str, gone_ids), *removed_objects.values(), *removed_objects, str(tmp_path / "photos")):
        assert trace not in text
    assert value(archive.database, "select count(*) from core.media_assets") == 1
    assert value(archive.database, "select count(*) from core.people where full_name = %s", PERSON) == 1
    assert_consistent_and_nothing_listed(archive)

    audited = query(archive.database, "select * from core.audit_log where action = 'takedown'")
    assert len(audited) == photos + 1
    assert PERSON not in str(audited)
    assert {row["media_asset_id"] for row in query(archive.database, "select * from core.takedowns")} == gone_ids


@pytest.fixture
def photo_id(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> UUID:
    """A fully processed photo of a person."""
    run(archive, import_files(archive, tmp_path / "photos", {"a.jpg": small(1)}, person=PERSON), pool=render_pool)
    return photo_ids(archive)["a.jpg"]


def test_later_imports_of_its_url_and_of_its_bytes_from_other_urls_are_rejected(
    archive: Archive, tmp_path: Path, photo_id: UUID, render_pool: RenderPool
) -> None:
    take_down_photo(archive, photo_id, author=EDITOR)
    again = import_path(archive, tmp_path / "photos", person=PERSON)
    assert (again.created, [row.problem for row in again.rejected]) == (
        0, ["this photo was taken down; it is not imported again"],
    )  # fmt: skip
    batch = import_files(archive, tmp_path / "elsewhere", {"b.jpg": small(1), "c.jpg": small(2)}, person=PERSON)
    ran = run(archive, batch, "second", pool=render_pool)
    assert (ran.originals.ended["taken_down"], ran.originals.complete, ran.originals.failed) == (1, 1, 0)
    assert list(photo_ids(archive)) == ["c.jpg"]
    items = query(archive.database, "select outcome, detail, media_asset_id from core.import_items order by id")
    assert [(item["outcome"], item["media_asset_id"] is None) for item in items] == [
        ("rejected", True), ("rejected", True), ("rejected", True), ("created", False),
    ]  # fmt: skip
    assert_consistent_and_nothing_listed(archive)
    with pytest.raises(ConflictError, match="taken down"):
        replace_original(archive, photo_ids(archive)["c.jpg"], small(1), author=EDITOR, pool=render_pool)
    assert_consistent_and_nothing_listed(archive)


def test_a_render_overtaken_by_a_takedown_leaves_no_object(
    archive: Archive, tmp_path: Path, photo_id: UUID, render_pool: RenderPool
) -> None:
    set_crop(archive.database, photo_id, Crop("manual", 10, 10, 2), author=EDITOR)

    class OvertakenPool(RenderPool):
        """Takes the photo down after rendering, before anything is stored."""

        def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
            rendered = super().render(data, request, name=name)
            take_down_photo(archive, photo_id, author=EDITOR)
            return rendered

    with OvertakenPool(1) as pool:
        tally = render_photos(archive, Scope(photo_ids=(photo_id,)), "late", pool=pool)
    assert tally.ended == {"stale": 1}
    assert hashes(archive) == {}
    assert_consistent_and_nothing_listed(archive)


class OvertakenStore:
    """The archive's store, which takes the photo down just before the first object is put."""

    def __init__(self, archive: Archive, photo_id: UUID) -> None:
        self._archive = archive
        self._photo_id = photo_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive.store, name)

    def put_if_absent(self, key: str, data: bytes, **options: Any) -> Any:
        if value(self._archive.database, "select count(*) from core.takedowns") == 0:
            take_down_photo(self._archive, self._photo_id, author=EDITOR)
        return self._archive.store.put_if_absent(key, data, **options)


def test_an_original_that_arrives_late_leaves_no_object_and_its_bytes_are_blocked(
    archive: Archive, tmp_path: Path
) -> None:
    batch = import_files(archive, tmp_path / "photos", {"a.jpg": small(1)}, person=PERSON)
    overtaken = replace(archive, store=OvertakenStore(archive, photo_ids(archive)["a.jpg"]))
    assert mirror_originals(overtaken, Scope(batch=batch), "late").ended == {"stale": 1}
    assert hashes(archive) == {}
    batch = import_files(archive, tmp_path / "elsewhere", {"b.jpg": small(1)})
    assert mirror_originals(archive, Scope(batch=batch), "second").ended == {"taken_down": 1}
    assert_consistent_and_nothing_listed(archive)


class LateStore:
    """The archive's store, into which another render puts an object after each of the first `times` deletions."""

    def __init__(self, archive: Archive, photo_id: UUID, *, times: int) -> None:
        self._store = archive.store
        self._key = f"media-variants/{photo_id}/{'0' * 16}/late/thumb.webp"
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def delete(self, keys: Any) -> int:
        deleted = self._store.delete(keys)
        if self._times > 0:
            self._times -= 1
            self._store.put_if_absent(self._key, b"late", content_type="image/webp")
        return deleted


@pytest.mark.parametrize("times", [1, MAX_DELETE_PASSES - 1])
def test_objects_that_a_render_stores_during_the_takedown_are_deleted_too(
    archive: Archive, photo_id: UUID, times: int
) -> None:
    take_down_photo(replace(archive, store=LateStore(archive, photo_id, times=times)), photo_id, author=EDITOR)
    assert hashes(archive) == {}
    assert_consistent_and_nothing_listed(archive)


def test_a_takedown_reports_objects_that_keep_coming_back(archive: Archive, photo_id: UUID) -> None:
    endless = replace(archive, store=LateStore(archive, photo_id, times=MAX_DELETE_PASSES))
    with pytest.raises(RetryableError, match="1 object could not be deleted, such as media-variants/"):
        take_down_photo(endless, photo_id, author=EDITOR)
    take_down_photo(archive, photo_id, author=EDITOR)
    retention.remove_listed(archive)
    assert hashes(archive) == {}
    assert_consistent_and_nothing_listed(archive)


class StuckStore:
    """The archive's store, which deletes nothing."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def __getattr__(self, name: str) -> Any:
        return getattr(self._archive.store, name)

    def delete(self, keys: Any) -> int:
        raise RetryableError(Reason.STORAGE_UNAVAILABLE, "not now")


@pytest.mark.parametrize("cleanup", ["retention", "again"])
def test_when_the_store_fails_the_rows_are_deleted_and_the_objects_later(
    archive: Archive, photo_id: UUID, cleanup: str
) -> None:
    with pytest.raises(RetryableError, match="not now"):
        take_down_photo(replace(archive, store=StuckStore(archive)), photo_id, author=EDITOR)
    assert value(archive.database, "select count(*) from core.media_assets") == 0
    assert hashes(archive)
    if cleanup == "retention":
        retention.remove_listed(archive)
    else:
        take_down_photo(archive, photo_id, author=EDITOR)
        retention.remove_listed(archive)
    assert hashes(archive) == {}
    assert_consistent_and_nothing_listed(archive)


def test_a_photo_or_a_person_is_found_by_id_or_slug_and_a_repetition_finds_nothing(
    archive: Archive, photo_id: UUID
) -> None:
    by_slug = take_down(archive, "person-one", author=EDITOR, dry_run=True)
    assert by_slug == take_down(archive, str(person_id(archive)), author=EDITOR, dry_run=True)
    assert by_slug == replace(take_down(archive, str(photo_id), author=EDITOR), dry_run=True)
    # The URLs are given again: whoever repeats a takedown may never have seen them.
    assert take_down(archive, str(photo_id), author=EDITOR) == Takedown(False, (), 0, 0, 0, by_slug.purge_urls)
    for unknown in (str(uuid4()), "no-such-person"):
        with pytest.raises(NotFoundError):
            take_down(archive, unknown, author=EDITOR)
