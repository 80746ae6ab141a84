"""A bucket that another program uses too: nothing of it is listed for deletion, deleted, or taken for an orphan."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline import epochs
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.checks.invariants import originals_are_intact
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.pipeline.upkeep.retention import adopt_store, list_removable, removal_list, remove_listed
from trr_pipelines.settings import Settings
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.archives import query, run
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

PICTURE = saved(photo(96, 80, seed=1), "JPEG")
SHA = "0123456789abcdef" * 4


@pytest.fixture(params=["directory", "moto"])
def archive(request: pytest.FixtureRequest, archive: Archive) -> Iterator[Archive]:
    """An archive on each kind of store."""
    if request.param == "directory":
        yield archive
    else:
        server: S3Server = request.getfixturevalue("moto")
        with bucket_on(server, server.client()) as store:
            yield replace(archive, store=S3Store(store.client, store.bucket, "https://cdn.example"))


def with_application(archive: Archive) -> Archive:
    values = archive.settings.model_dump() | {"application_db_url": "postgresql://u:p@127.0.0.1:1/application"}
    return replace(archive, settings=Settings(**values))


def put_their_objects(archive: Archive) -> dict[str, bytes]:
    """Objects as the application has them: originals, variants of its generator, and others."""
    keys = [
        f"media/{SHA[:2]}/{SHA}.jpg",
        f"media/{SHA[:2]}/{SHA}.bin",
        f"media-variants/{uuid4()}/0123456789ab/card.webp",
        f"media-variants/{uuid4()}/0123456789ab/crop_card.jpg",
        "images/people/Jane Doe (1).JPG",
    ]
    for key in keys:
        external.put(archive.store, key, key.encode())
    return {key: key.encode() for key in keys}


def collect(archive: Archive) -> None:
    """List and delete at once, twice, as `trr gc --no-grace` does."""
    for _ in range(2):
        list_removable(archive, grace_days=0)
        remove_listed(archive, grace_days=0, undo_days=0)


OWN_ORPHAN = f"media-variants/{uuid4()}/0123456789abcdef/0123456789ab/card.webp"


@pytest.mark.parametrize("how", ["setting", "photo"])
def test_objects_of_another_program_are_foreign_and_stay(archive: Archive, how: str) -> None:
    theirs = put_their_objects(archive)
    archive.store.put_if_absent(OWN_ORPHAN, b"x", content_type="image/webp")
    if how == "setting":
        archive = with_application(archive)
    else:
        external.adopt(archive, {"a": "images/people/Jane Doe (1).JPG"})
    result = reconcile(archive)
    assert result.orphan_examples == (OWN_ORPHAN,), "their variants have one level less than ours"
    assert result.foreign_objects == 4, "whatever is elsewhere, or has another form, is never listed"
    totals = list_removable(archive, grace_days=0)
    assert totals["foreign"].objects == 4
    assert [one.hosted_key for one in removal_list(archive)] == [OWN_ORPHAN]
    collect(archive)
    assert external.contents(archive.store) == theirs
    assert reconcile(archive).is_clean


def test_objects_that_were_listed_before_the_bucket_was_shared_stay(archive: Archive) -> None:
    theirs = put_their_objects(archive)
    assert list_removable(archive, grace_days=0)["orphan"].objects == 4
    remove_listed(with_application(archive), grace_days=0, undo_days=0)
    assert removal_list(archive) == []
    assert external.contents(archive.store) == theirs


def test_a_bucket_that_was_shared_once_stays_shared(archive: Archive) -> None:
    theirs = put_their_objects(archive)
    external.adopt(archive, {"a": "images/people/Jane Doe (1).JPG"})
    epochs.advance(archive)
    query(archive.database, "delete from core.media_assets")
    collect(archive)
    assert external.contents(archive.store) == theirs


def test_a_restored_catalogue_knows_that_the_bucket_is_shared(archive: Archive) -> None:
    theirs = put_their_objects(archive)
    external.adopt(archive, {"a": "images/people/Jane Doe (1).JPG"})
    epochs.advance(archive)
    query(archive.database, "delete from core.media_assets")
    query(archive.database, "delete from core.store_epochs")
    adopt_store(archive)
    list_removable(archive, grace_days=0)
    assert removal_list(archive) == []
    assert external.contents(archive.store) == theirs


def test_a_store_of_our_own_is_swept_as_ever(archive: Archive) -> None:
    put_their_objects(archive)
    collect(archive)
    assert set(external.contents(archive.store)) == {"images/people/Jane Doe (1).JPG"}


def test_an_external_original_with_a_key_like_ours_is_no_orphan(archive: Archive, render_pool: RenderPool) -> None:
    key = f"media/{SHA[:2]}/{SHA}.jpg"
    external.put(archive.store, key, PICTURE)
    external.adopt(archive, {"a": key})
    for _ in range(2):  # before it is read, and after
        result = reconcile(archive, hashes=True)
        assert (result.is_clean, result.foreign_objects) == (True, 0)
        collect(archive)
        assert external.contents(archive.store)[key] == PICTURE
        run(archive, external.BATCH, pool=render_pool)


def test_a_retired_object_that_a_photo_has_as_its_external_original_is_not_deleted(archive: Archive) -> None:
    key = f"media/{SHA[:2]}/{SHA}.jpg"
    external.put(archive.store, key, PICTURE)
    photo_id = external.adopt(archive, {"a": key})["a"]
    query(
        archive.database,
        "insert into core.retired_objects (hosted_bucket, hosted_key, media_asset_id, bytes) values (%s, %s, %s, 1)",
        archive.store.bucket,
        key,
        photo_id,
    )
    list_removable(archive, grace_days=0)
    assert remove_listed(archive, grace_days=0, undo_days=0).refused == (key,)
    assert external.contents(archive.store)[key] == PICTURE


def test_a_missing_external_original_is_counted_by_itself_and_named(archive: Archive, render_pool: RenderPool) -> None:
    external.put(archive.store, "images/a b.jpg", PICTURE)
    external.adopt(archive, {"a": "images/a b.jpg"})
    run(archive, external.BATCH, pool=render_pool)
    assert originals_are_intact(archive, external.BATCH).passed
    assert originals_are_intact(archive, None).passed
    external.remove(archive.store, "images/a b.jpg")
    result = reconcile(archive)
    assert (result.rows_without_objects, result.external_missing, result.is_clean) == (0, 1, False)
    assert result.external_missing_examples == (f"{archive.store.bucket}/images/a b.jpg",)
    assert originals_are_intact(archive, external.BATCH).broken_count == 1
