"""External originals: read where another program has them, rendered from there, and never touched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from trr_pipelines.catalogue import ledger
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.imports.mirroring import mirror_originals, store_original
from trr_pipelines.pipeline.rendering.contact_sheets import make_least_saved_sheet
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import list_removable, remove_listed
from trr_pipelines.settings import Settings
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.archives import EDITOR, import_files, photo_ids, query, run, value
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on


def picture(seed: int, format: str = "JPEG") -> bytes:
    return saved(photo(96, 80, seed=seed), format)


@pytest.fixture(params=["directory", "moto"])
def shared(request: pytest.FixtureRequest, archive: Archive) -> Iterator[Archive]:
    """An archive whose bucket another program uses too."""
    if request.param == "directory":
        yield archive
    else:
        server: S3Server = request.getfixturevalue("moto")
        with bucket_on(server, server.client()) as store:
            yield replace(archive, store=S3Store(store.client, store.bucket, "https://cdn.example"))


def run_all(archive: Archive, pool: RenderPool) -> dict[str, int]:
    """Process the adopted photos; returns how their originals ended."""
    return dict(run(archive, external.BATCH, pool=pool).originals.ended)


KEYS = {
    "a": "images/people/Jane Doe (1).JPG",
    "b": "media/00/not-believed.bin",
    "c": "images/shows/Zoë+50%.jpg",
}


def test_originals_are_read_in_place_and_nothing_is_stored_of_them(shared: Archive, render_pool: RenderPool) -> None:
    files = {"a": picture(1), "b": picture(2, "PNG"), "c": picture(3, "WEBP")}
    for name, key in KEYS.items():
        external.put(shared.store, key, files[name])
    ids = external.adopt(shared, KEYS)
    assert run_all(shared, render_pool) == {"complete": 3}
    for name, photo_id in ids.items():
        row = external.row_of(shared, photo_id)
        assert row["is_external"]
        assert (row["hosted_bucket"], row["hosted_key"]) == (shared.store.bucket, KEYS[name])
        assert row["hosted_url"].startswith(external.PUBLIC)
        assert row["sha256"] == hashlib.sha256(files[name]).hexdigest()
        assert row["format"] == {"a": "jpeg", "b": "png", "c": "webp"}[name]
    found = external.contents(shared.store)
    assert {found[key] for key in KEYS.values()} == set(files.values())
    others = {key for key in found if key not in KEYS.values()}
    assert all(key.startswith(tuple(f"media-variants/{photo_id}/" for photo_id in ids.values())) for key in others)
    assert value(shared.database, "select count(*) from core.media_asset_variants") == len(others) > 0
    assert value(shared.database, "select bool_and(is_external) from core.media_asset_versions")
    result = reconcile(shared, hashes=True)
    assert result.is_clean
    assert (result.external_checked, result.orphan_objects, result.foreign_objects) == (3, 0, 0)


def test_the_photos_that_save_least_are_drawn_from_where_they_are(archive: Archive, render_pool: RenderPool) -> None:
    external.put(archive.store, KEYS["a"], picture(1))
    external.adopt(archive, {"a": KEYS["a"]})
    run_all(archive, render_pool)
    assert make_least_saved_sheet(archive, external.BATCH) is not None


def test_a_photo_that_cannot_be_read_fails_by_itself_with_its_reason(shared: Archive, render_pool: RenderPool) -> None:
    external.put(shared.store, "good.jpg", picture(1))
    external.put(shared.store, "a page.jpg", b"<html>not here</html>")
    external.put(shared.store, "empty.jpg", b"")
    keys = {"good": "good.jpg", "page": "a page.jpg", "empty": "empty.jpg", "missing": "no such.jpg"}
    ids = external.adopt(shared, keys)
    assert run_all(shared, render_pool) == {"complete": 1, "not_an_image": 1, "empty_file": 1, "fetch_not_found": 1}
    assert external.row_of(shared, ids["missing"])["reason"] == "fetch_not_found"
    detail = value(
        shared.database,
        "select detail from core.variant_generations where media_asset_id = %s and kind = 'original'",
        ids["missing"],
    )
    assert "no such.jpg" in detail
    assert reconcile(shared).is_clean, "a photo that was never read has lost nothing"


def test_another_bucket_of_the_same_endpoint_is_read(archive: Archive, moto: S3Server, render_pool: RenderPool) -> None:
    with bucket_on(moto, moto.client()) as store, bucket_on(moto, moto.client()) as former:
        shared = replace(archive, store=store)
        external.put(store, "old key.jpg", picture(1), former.bucket)
        ids = external.adopt(shared, {"a": "old key.jpg"}, bucket=former.bucket)
        assert run_all(shared, render_pool) == {"complete": 1}
        assert external.row_of(shared, ids["a"])["hosted_bucket"] == former.bucket
        assert reconcile(shared, hashes=True).external_checked == 1


def test_the_same_bytes_in_two_objects_are_one_photo_and_both_objects_stay(
    shared: Archive, render_pool: RenderPool
) -> None:
    for key in ("one.jpg", "two.jpg"):
        external.put(shared.store, key, picture(1))
    external.adopt(shared, {"a": "one.jpg", "b": "two.jpg"})
    assert run_all(shared, render_pool) == {"complete": 1, "duplicate": 1}
    assert value(shared.database, "select count(*) from core.media_assets") == 1
    list_removable(shared, grace_days=0)
    remove_listed(shared, grace_days=0, undo_days=0)
    assert {"one.jpg", "two.jpg"} <= set(external.contents(shared.store))
    assert value(shared.database, "select count(*) from core.retired_objects") == 0


def test_an_import_of_the_same_bytes_is_a_duplicate_and_stores_nothing(
    shared: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    external.put(shared.store, "one.jpg", picture(1))
    external.adopt(shared, {"a": "one.jpg"})
    run_all(shared, render_pool)
    before = external.contents(shared.store)
    batch = import_files(shared, tmp_path / "in", {"same.jpg": picture(1)})
    assert dict(run(shared, batch, "second", pool=render_pool).originals.ended) == {"duplicate": 1}
    assert external.contents(shared.store) == before


def test_new_bytes_under_an_old_key_are_a_new_version_with_new_urls(shared: Archive, render_pool: RenderPool) -> None:
    external.put(shared.store, "one.jpg", picture(1))
    photo_id = external.adopt(shared, {"a": "one.jpg"})["a"]
    run_all(shared, render_pool)
    urls = query(shared.database, "select hosted_url from core.media_asset_variants")
    external.put(shared.store, "one.jpg", picture(2))
    assert reconcile(shared, hashes=True).external_changed == 1
    query(shared.database, "update core.variant_generations set recipe = '0123456789ab' where kind = 'base'")
    rerender_photos(shared, Scope(photo_ids=(photo_id,)), "rerender", None)
    row = external.row_of(shared, photo_id)
    assert row["sha256"] == hashlib.sha256(picture(2)).hexdigest()
    assert (row["state"], row["hosted_key"], row["is_external"]) == ("mirrored", "one.jpg", True)
    states = query(shared.database, "select kind, state from core.variant_generations order by kind")
    assert {state["state"] for state in states} == {"complete"}
    now = query(
        shared.database, "select hosted_url, source_version from core.media_asset_variants where superseded_at is null"
    )
    assert {one["source_version"] for one in now} == {row["sha256"]}
    assert not {one["hosted_url"] for one in now} & {one["hosted_url"] for one in urls}
    assert value(shared.database, "select count(*) from core.media_asset_versions") == 2
    assert reconcile(shared, hashes=True).is_clean
    list_removable(shared, grace_days=0)
    remove_listed(shared, grace_days=0, undo_days=0)
    assert external.contents(shared.store)["one.jpg"] == picture(2)


def test_a_run_that_finds_new_bytes_leaves_the_photo_to_the_next_which_reads_it_again(
    archive: Archive, render_pool: RenderPool
) -> None:
    external.put(archive.store, "one.jpg", picture(1))
    photo_id = external.adopt(archive, {"a": "one.jpg"})["a"]
    scope = Scope(batch=external.BATCH)
    mirror_originals(archive, scope, "first")
    external.put(archive.store, "one.jpg", picture(2))
    assert dict(render_photos(archive, scope, "first", pool=render_pool).ended) == {"storage_unavailable": 1}
    detail = value(archive.database, "select detail from core.variant_generations where kind = 'base'")
    assert "one.jpg in local has changed: sha256" in detail
    assert archive.database.run(lambda conn: ledger.retries_due(conn, 10)) == [photo_id]
    run_all(archive, render_pool)
    assert external.row_of(archive, photo_id)["state"] == "mirrored"
    assert value(archive.database, "select bool_and(state = 'complete') from core.variant_generations")


def test_new_bytes_that_are_no_image_end_the_photo_and_keep_what_was_rendered(
    archive: Archive, render_pool: RenderPool
) -> None:
    external.put(archive.store, "one.jpg", picture(1))
    photo_id = external.adopt(archive, {"a": "one.jpg"})["a"]
    run_all(archive, render_pool)
    external.put(archive.store, "one.jpg", b"<html>")
    query(archive.database, "update core.variant_generations set recipe = '0123456789ab' where kind <> 'original'")
    for number in range(8):
        query(
            archive.database,
            "update core.variant_generations set next_attempt_at = now() where next_attempt_at is not null",
        )
        rerender_photos(archive, Scope(photo_ids=(photo_id,)), f"rerender-{number}", None)
    rows = query(archive.database, "select kind, state, reason, next_attempt_at from core.variant_generations")
    ended = {row["kind"]: (row["state"], row["reason"], row["next_attempt_at"]) for row in rows}
    assert ended["original"] == ("failed", "not_an_image", None)
    assert ended["base"] == ("failed", "storage_unavailable", None), "parked: it is not tried for ever"
    assert value(archive.database, "select count(*) from core.media_asset_variants where superseded_at is null") > 0
    assert external.row_of(archive, photo_id)["state"] == "mirrored"


def test_bytes_that_have_gone_elsewhere_belong_to_the_photo_that_has_them(
    archive: Archive, render_pool: RenderPool
) -> None:
    external.put(archive.store, "one.jpg", picture(1))
    first = external.adopt(archive, {"a": "one.jpg"})["a"]
    run_all(archive, render_pool)
    external.put(archive.store, "one.jpg", picture(2))
    external.put(archive.store, "moved.jpg", picture(1))
    query(archive.database, "update core.variant_generations set state = 'pending', asked_at = now()"
                            " where kind = 'original'")  # fmt: skip
    rerender_photos(archive, Scope(photo_ids=(first,)), "again", None)
    second = external.adopt(archive, {"b": "moved.jpg"})["b"]
    run_all(archive, render_pool)
    assert external.row_of(archive, first)["sha256"] == hashlib.sha256(picture(2)).hexdigest()
    assert external.row_of(archive, second)["sha256"] == hashlib.sha256(picture(1)).hexdigest()


def test_a_replacement_is_ours_and_the_external_original_stays(archive: Archive, render_pool: RenderPool) -> None:
    external.put(archive.store, "one.jpg", picture(1))
    photo_id = external.adopt(archive, {"a": "one.jpg"})["a"]
    run_all(archive, render_pool)
    assert not replace_original(archive, photo_id, picture(1), author=EDITOR, pool=render_pool).changed
    assert replace_original(archive, photo_id, picture(5), author=EDITOR, pool=render_pool).changed
    row = external.row_of(archive, photo_id)
    assert (row["is_external"], row["hosted_key"].startswith("media/")) == (False, True)
    assert replace_original(archive, photo_id, picture(1), author=EDITOR, pool=render_pool).changed
    row = external.row_of(archive, photo_id)
    assert (row["is_external"], row["hosted_key"].startswith("media/")) == (False, True), "a copy of ours"
    rerender_photos(archive, Scope(photo_ids=(photo_id,)), "replaced", None)
    assert external.contents(archive.store)["one.jpg"] == picture(1)
    assert reconcile(archive, hashes=True).is_clean


class TestInABucketThatIsSharedWithoutAnyPhotoYet:
    @pytest.fixture
    def shared(self, archive: Archive) -> Archive:
        values = archive.settings.model_dump() | {"application_db_url": "postgresql://u:p@127.0.0.1:1/application"}
        return replace(archive, settings=Settings(**values))

    def test_an_original_that_another_program_wrote_is_used_and_is_not_ours(
        self, shared: Archive, tmp_path: Path, render_pool: RenderPool
    ) -> None:
        data = picture(1)
        sha256 = hashlib.sha256(data).hexdigest()
        external.put(shared.store, f"media/{sha256[:2]}/{sha256}.jpg", data)
        run(shared, import_files(shared, tmp_path / "in", {"a.jpg": data, "b.jpg": picture(2)}), pool=render_pool)
        ids = photo_ids(shared)
        assert external.row_of(shared, ids["a.jpg"])["is_external"]
        assert not external.row_of(shared, ids["b.jpg"])["is_external"]
        assert reconcile(shared, hashes=True).is_clean

    def test_an_object_of_another_program_with_other_bytes_is_not_overwritten(
        self, shared: Archive, tmp_path: Path, render_pool: RenderPool
    ) -> None:
        sha256 = hashlib.sha256(picture(1)).hexdigest()
        key = f"media/{sha256[:2]}/{sha256}.jpg"
        external.put(shared.store, key, picture(2))
        batch = import_files(shared, tmp_path / "in", {"a.jpg": picture(1)})
        assert dict(run(shared, batch, pool=render_pool).originals.ended) == {"storage_denied": 1}
        assert external.contents(shared.store)[key] == picture(2)

    def test_without_sharing_it_is_a_damaged_object_of_ours(self, archive: Archive) -> None:
        sha256 = hashlib.sha256(picture(1)).hexdigest()
        key = f"media/{sha256[:2]}/{sha256}.jpg"
        external.put(archive.store, key, picture(2))
        assert store_original(archive, picture(1))[1]
        assert external.contents(archive.store)[key] == picture(1)

    def test_a_retired_original_of_ours_that_comes_back_is_still_ours(
        self, shared: Archive, tmp_path: Path, render_pool: RenderPool
    ) -> None:
        run(shared, import_files(shared, tmp_path / "in", {"a.jpg": picture(1)}), pool=render_pool)
        query(
            shared.database,
            "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes)"
            " select hosted_bucket, hosted_key, id, bytes from core.media_assets",
        )
        query(shared.database, "delete from core.media_assets")
        run(shared, import_files(shared, tmp_path / "again", {"b.jpg": picture(1)}), "again", pool=render_pool)
        assert not external.row_of(shared, photo_ids(shared)["b.jpg"])["is_external"]
