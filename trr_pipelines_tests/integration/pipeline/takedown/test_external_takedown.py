"""Takedown of photos with external originals: what another program wrote is deleted only when asked, always named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.takedown.finishing import finish_unfinished
from trr_pipelines.pipeline.takedown.recall import repeat_takedowns
from trr_pipelines.pipeline.takedown.takedown import take_down_photo
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support import external
from trr_pipelines_tests.support.archives import EDITOR, import_files, query, run, value
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

KEY = "images/people/Jane Doe (1).JPG"
URL = f"{external.PUBLIC}/{quote(KEY)}"
PICTURE = saved(photo(96, 80, seed=1), "JPEG")


@pytest.fixture(params=["directory", "moto"])
def archive(request: pytest.FixtureRequest, archive: Archive) -> Iterator[Archive]:
    """An archive on each kind of store."""
    if request.param == "directory":
        yield archive
    else:
        server: S3Server = request.getfixturevalue("moto")
        with bucket_on(server, server.client()) as store:
            yield replace(archive, store=S3Store(store.client, store.bucket, "https://cdn.example"))


@pytest.fixture
def photo_id(archive: Archive, render_pool: RenderPool) -> UUID:
    """A rendered photo with an external original, and a variant of the other program."""
    external.put(archive.store, KEY, PICTURE)
    photo_id = external.adopt(archive, {"a": KEY})["a"]
    external.put(archive.store, their_variant(photo_id), b"their card")
    run(archive, external.BATCH, pool=render_pool)
    return photo_id


def their_variant(photo_id: UUID) -> str:
    return f"media-variants/{photo_id}/0123456789ab/card.webp"


def test_what_another_program_wrote_stays_and_is_named(archive: Archive, photo_id: UUID) -> None:
    theirs = {KEY, their_variant(photo_id)}
    planned = take_down_photo(archive, photo_id, author=EDITOR, dry_run=True)
    taken = take_down_photo(archive, photo_id, author=EDITOR)
    assert set(external.contents(archive.store)) == theirs
    their_urls = {URL, archive.store.public_url(their_variant(photo_id))}
    for result in (planned, taken):
        assert set(result.kept_external_urls) == their_urls
        assert their_urls < set(result.purge_urls)
    assert (planned.objects, planned.bytes, set(planned.purge_urls)) == (
        taken.objects, taken.bytes, set(taken.purge_urls))  # fmt: skip
    finish_unfinished(archive)
    assert set(external.contents(archive.store)) == theirs, "the daemon deletes no more"


def test_with_the_word_it_is_deleted_too_and_named(archive: Archive, photo_id: UUID) -> None:
    planned = take_down_photo(archive, photo_id, author=EDITOR, dry_run=True, delete_external=True)
    taken = take_down_photo(archive, photo_id, author=EDITOR, delete_external=True)
    assert external.contents(archive.store) == {}
    assert taken.kept_external_urls == planned.kept_external_urls == ()
    assert {URL, archive.store.public_url(their_variant(photo_id))} < set(taken.purge_urls)
    assert (planned.objects, planned.bytes) == (taken.objects, taken.bytes)


def test_a_second_takedown_deletes_it_when_asked(archive: Archive, photo_id: UUID) -> None:
    take_down_photo(archive, photo_id, author=EDITOR)
    again = take_down_photo(archive, photo_id, author=EDITOR)
    assert URL in again.kept_external_urls
    third = take_down_photo(archive, photo_id, author=EDITOR, delete_external=True)
    assert (third.objects, third.kept_external_urls) == (2, ())
    assert URL in third.purge_urls
    assert external.contents(archive.store) == {}


def test_a_takedown_that_was_cut_off_deletes_it_later(archive: Archive, photo_id: UUID) -> None:
    take_down_photo(archive, photo_id, author=EDITOR)
    query(archive.database, "update core.takedowns set deletes_external = true, objects_gone_at = null")
    assert finish_unfinished(archive) == 1
    assert external.contents(archive.store) == {}


def test_an_original_that_was_never_read_is_named_as_well(archive: Archive) -> None:
    external.put(archive.store, KEY, PICTURE)
    photo_id = external.adopt(archive, {"a": KEY})["a"]
    taken = take_down_photo(archive, photo_id, author=EDITOR)
    assert (taken.purge_urls, taken.kept_external_urls) == ((URL,), (URL,))
    assert set(external.contents(archive.store)) == {KEY}


def test_a_photo_taken_down_does_not_return_by_its_bytes(
    archive: Archive, photo_id: UUID, tmp_path: Path, render_pool: RenderPool
) -> None:
    take_down_photo(archive, photo_id, author=EDITOR)
    external.put(archive.store, "images/copy.jpg", PICTURE)
    external.adopt(archive, {"copy": "images/copy.jpg"})
    assert dict(run(archive, external.BATCH, "again", pool=render_pool).originals.ended) == {"taken_down": 1}
    batch = import_files(archive, tmp_path / "in", {"same.jpg": PICTURE})
    assert dict(run(archive, batch, "third", pool=render_pool).originals.ended) == {"taken_down": 1}
    assert value(archive.database, "select count(*) from core.media_assets") == 0
    assert {KEY, "images/copy.jpg"} <= set(external.contents(archive.store))


def test_a_restored_catalogue_takes_it_down_again_and_leaves_the_object(archive: Archive, photo_id: UUID) -> None:
    take_down_photo(archive, photo_id, author=EDITOR)
    query(archive.database, "delete from core.takedowns")
    query(archive.database, "delete from core.taken_down_fingerprints")
    external.adopt(archive, {"a": KEY})
    assert repeat_takedowns(archive) == 1
    assert value(archive.database, "select count(*) from core.media_assets") == 0
    assert KEY in external.contents(archive.store)
