"""External originals over HTTP: their URLs, their bytes from a directory store, and their takedown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from trr_pipelines.api.app import create_app
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.storage.s3 import S3Store
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import backends, external
from trr_pipelines_tests.support.archives import query, run
from trr_pipelines_tests.support.s3_servers import S3Server, bucket_on

KEY = "images/people/Zoë + Jane (1).bin"
URL = f"{external.PUBLIC}/{quote(KEY)}"
PHOTO = pictures.jpeg()


@pytest.fixture
def linked(archive: Archive, person: UUID) -> UUID:
    """A pending photo of the person with an external original in the directory store."""
    external.put(archive.store, KEY, PHOTO)
    return _linked(archive, person)


def _linked(archive: Archive, person: UUID, bucket: str | None = None) -> UUID:
    photo_id = external.adopt(archive, {"a": KEY}, bucket=bucket)["a"]
    query(
        archive.database,
        "insert into core.media_links (media_asset_id, person_id, kind) values (%s, %s, 'photo')",
        photo_id,
        person,
    )
    return photo_id


@pytest.fixture
def signed(environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    monkeypatch.setenv("TRR_ORIGINALS", "signed")
    with backends.serving(create_app()) as client:
        yield client


def original_urls(client: httpx.Client, person: UUID, photo_id: UUID) -> set[str]:
    """The URL of the original in every payload that has one."""
    app = backends.ADMIN_APP
    gallery = client.get(f"/api/v1/admin/people/{person}/gallery", headers=app).json()["items"]
    asset = client.get(f"/api/v1/admin/media-assets/{photo_id}", headers=app).json()
    explained = client.get(f"/api/v1/admin/media-assets/{photo_id}/explain", headers=app).json()
    return {gallery[0]["original_url"], gallery[0]["hosted_url"], asset["original_url"], explained["original"]["url"]}


def test_its_url_is_served_as_it_is(
    client: httpx.Client, archive: Archive, person: UUID, linked: UUID, render_pool: RenderPool
) -> None:
    assert original_urls(client, person, linked) == {URL}, "before it is read"
    run(archive, external.BATCH, pool=render_pool)
    assert original_urls(client, person, linked) == {URL}


def test_a_directory_store_serves_it_by_the_type_of_its_bytes(client: httpx.Client, linked: UUID) -> None:
    response = client.get(f"/media/{quote(KEY)}")
    assert (response.status_code, response.content) == (200, PHOTO)
    assert response.headers["content-type"] == "image/jpeg"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "public, max-age=3600", "its program may change it"
    assert "immutable" not in response.headers["cache-control"]
    assert client.get(f"/media/{quote(KEY)}", headers={"Range": "bytes=0-3"}).content == PHOTO[:4]


def test_a_directory_store_serves_nothing_else_of_another_program(
    client: httpx.Client, archive: Archive, linked: UUID
) -> None:
    external.put(archive.store, "images/Private.jpg", PHOTO)
    external.put(archive.store, "images/Page.html", b"<script>alert(1)</script>")
    external.adopt(archive, {"page": "images/Page.html", "up": "../home/x.jpg", "record": ".records/x.json"})
    for path in (
        "images/Private.jpg",
        "images/Page.html",
        "%2e%2e/home/x.jpg",
        ".records/x.json",
        "images/%00",
        "a%0Ab",
    ):
        assert client.get(f"/media/{path}").status_code == 404, path


def test_with_signed_originals_it_needs_a_signature(
    signed: httpx.Client, archive: Archive, person: UUID, linked: UUID
) -> None:
    (url,) = original_urls(signed, person, linked)
    assert url.startswith(f"http://127.0.0.1:8000/media/{quote(KEY)}?expires=")
    path = url.removeprefix("http://127.0.0.1:8000")
    assert signed.get(path).content == PHOTO
    assert signed.get(path).headers["cache-control"] == "private, max-age=3600"
    assert signed.get(path.partition("?")[0]).status_code == 403


def test_with_signed_originals_it_is_signed_for_its_own_bucket_and_key(
    archive: Archive, person: UUID, environment: str, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket_on(moto, moto.client()) as store, bucket_on(moto, moto.client()) as former:
        external.put(store, KEY, PHOTO, former.bucket)
        shared = replace(archive, store=S3Store(store.client, store.bucket, "https://cdn.example"))
        photo_id = _linked(shared, person, former.bucket)
        for variable, setting in (
            moto.environment()
            | {"TRR_ORIGINALS": "signed", "TRR_MEDIA_STORE": f"s3://{store.bucket}", "TRR_MEDIA_BASE_URL": "https://x"}
        ).items():
            monkeypatch.setenv(variable, setting)
        with backends.serving(create_app()) as client:
            (url,) = original_urls(client, person, photo_id)
        assert url.startswith(f"{moto.url}/{former.bucket}/")
        assert httpx.get(url).content == PHOTO


@pytest.mark.parametrize("word", ["", "true"])
def test_a_takedown_deletes_it_only_when_asked(
    client: httpx.Client, archive: Archive, person: UUID, linked: UUID, word: str
) -> None:
    parameters = {"delete_external_originals": word} if word else {}
    path = f"/api/v1/admin/{f'people/{person}/photos' if word else f'media-assets/{linked}'}"
    taken = client.delete(path, headers=backends.admin(), params=parameters).json()
    assert taken["media_asset_ids"] == [str(linked)]
    assert taken["purge_urls"] == [URL]
    assert taken["kept_external_urls"] == ([] if word else [URL])
    assert os.path.exists(archive.settings.media_store.removeprefix("file:") + f"/{KEY}") is not bool(word)  # noqa: PTH110
