"""Media files over real HTTP: ranges, validators, and originals that need a signed URL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message

from trr_pipelines.api.app import create_app
from trr_pipelines.api.routes.media import ByteRange, SentFile
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import import_files, query, run, value
from trr_pipelines_tests.support.s3_servers import ACCESS_KEY, BASE_URL, SECRET_KEY, S3Server, bucket_on

PHOTO = pictures.jpeg()


@pytest.fixture
def keys(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> dict[str, str]:
    """Keys of one photo: its original and one derivative."""
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}, person="Person One"), pool=render_pool)
    return {
        "original": value(archive.database, "select hosted_key from core.media_assets"),
        "variant": value(
            archive.database,
            "select hosted_key from core.media_asset_variants where variant_key = 'card' and format = 'webp'",
        ),
    }


@pytest.mark.parametrize(
    ("requested", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-", 100, None),
        ("bytes=-50", -50, None),
        ("bytes=0-999999999", 0, None),
        ("bytes=7-7", 7, 7),
        ("BYTES=7-8", 7, 8),
    ],
)
def test_a_range_returns_its_bytes(
    client: httpx.Client, archive: Archive, keys: dict[str, str], requested: str, first: int, last: int | None
) -> None:
    whole = archive.store.get(keys["variant"])
    expected = whole[first:] if last is None else whole[first : last + 1]
    response = client.get(f"/media/{keys['variant']}", headers={"Range": requested})
    assert (response.status_code, response.content) == (206, expected)
    start = len(whole) + first if first < 0 else first
    assert response.headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(whole)}"
    assert response.headers["content-length"] == str(len(expected))


@pytest.mark.parametrize(
    "requested",
    [
        "bytes=5-2",
        "bytes=-",
        "items=0-5",
        "bytes=0-1,5-6",
        "bytes=a-b",
        f"bytes=0-{'9' * 5000}",
        f"bytes={'9' * 5000}-",
    ],
)
def test_an_unsupported_range_returns_the_whole_file(
    client: httpx.Client, keys: dict[str, str], requested: str
) -> None:
    response = client.get(f"/media/{keys['original']}", headers={"Range": requested})
    assert (response.status_code, response.content) == (200, PHOTO)


def test_a_range_beyond_the_end_is_416(client: httpx.Client, keys: dict[str, str]) -> None:
    for requested in (f"bytes={len(PHOTO)}-", "bytes=-0"):
        response = client.get(f"/media/{keys['original']}", headers={"Range": requested})
        assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{len(PHOTO)}")


def test_a_cached_object_is_not_sent_again(client: httpx.Client, keys: dict[str, str]) -> None:
    url = f"/media/{keys['original']}"
    etag = client.get(url).headers["etag"]
    for known in (etag, f'"other", W/{etag}', "*"):
        response = client.get(url, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    assert client.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(url, headers={"If-Range": '"other"', "Range": "bytes=0-9"}).status_code == 200
    assert client.get(url, headers={"If-Range": etag, "Range": "bytes=0-9"}).status_code == 206


def test_head_has_the_headers_of_get(client: httpx.Client, keys: dict[str, str]) -> None:
    url = f"/media/{keys['original']}"
    head, get = client.head(url), client.get(url)
    assert head.content == b""
    for name in ("content-length", "content-type", "etag", "cache-control", "content-disposition"):
        assert head.headers[name] == get.headers[name]
    assert client.head("/media/media/00/none.jpg").status_code == 404
    assert client.get(f"{url}%0a").status_code == 404
    assert client.post(url).status_code == 405


class TestSignedOriginals:
    """With TRR_ORIGINALS=signed."""

    @pytest.fixture
    def signed(self, environment: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
        monkeypatch.setenv("TRR_ORIGINALS", "signed")
        with backends.serving(create_app()) as client:
            yield client

    @pytest.fixture
    def served_url(self, signed: httpx.Client, archive: Archive, keys: dict[str, str]) -> str:
        person: UUID = query(archive.database, "select id from core.people")[0]["id"]
        response = signed.get(f"/api/v1/screenalytics/people/{person}/photos", headers=backends.SCREENALYTICS)
        url: str = response.json()[0]["served_url"]
        return url.removeprefix("http://127.0.0.1:8000")

    def test_the_url_in_a_payload_expires_after_one_to_two_hours(self, signed: httpx.Client, served_url: str) -> None:
        response = signed.get(served_url)
        assert (response.status_code, response.content) == (200, PHOTO)
        assert response.headers["cache-control"] == "private, max-age=3600"
        expires = int(parse_qs(urlsplit(served_url).query)["expires"][0])
        assert 3600 <= expires - time.time() <= 7200

    def test_an_original_needs_a_valid_signature(
        self, signed: httpx.Client, served_url: str, keys: dict[str, str]
    ) -> None:
        bare, _, parameters = served_url.partition("?")
        expires, signature = (parse_qs(parameters)[name][0] for name in ("expires", "signature"))
        for query_string in (
            "",
            f"?signature={signature}",
            f"?expires={int(expires) + 3600}&signature={signature}",
            f"?expires={expires}&signature={'0' * 64}",
            f"?expires={expires}&signature=é",
            f"?expires=²&signature={signature}",
            f"?expires={int(time.time()) - 1}&signature={signature}",
        ):
            response = signed.get(bare + query_string)
            assert (response.status_code, PHOTO in response.content) == (403, False), query_string
        assert signed.get(f"/media/{keys['variant']}").status_code == 200

    def test_a_gallery_has_only_signed_urls_of_originals(
        self, signed: httpx.Client, archive: Archive, keys: dict[str, str]
    ) -> None:
        person: UUID = query(archive.database, "select id from core.people")[0]["id"]
        response = signed.get(f"/api/v1/admin/people/{person}/gallery", headers=backends.admin())
        (item,) = response.json()["items"]
        assert item["original_url"] == item["hosted_url"]
        assert signed.get(item["original_url"].removeprefix("http://127.0.0.1:8000")).content == PHOTO
        assert f'{keys["original"]}"' not in response.text


@pytest.mark.parametrize("name", ["moto", "rclone"])
def test_in_a_bucket_originals_are_read_by_presigned_urls(
    environment: str,
    archive: Archive,
    tmp_path: Path,
    render_pool: RenderPool,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    server: S3Server = request.getfixturevalue(name)
    with bucket_on(server, server.client()) as store:
        batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}, person="Person One")
        run(replace(archive, store=store), batch, pool=render_pool)
        for variable, setting in {
            "TRR_ORIGINALS": "signed",
            "TRR_MEDIA_STORE": f"s3://{store.bucket}/{store.prefix}",
            "TRR_MEDIA_BASE_URL": BASE_URL,
            "AWS_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            monkeypatch.setenv(variable, setting)
        person = query(archive.database, "select id from core.people")[0]["id"]
        with backends.serving(create_app()) as client:
            response = client.get(f"/api/v1/screenalytics/people/{person}/photos", headers=backends.SCREENALYTICS)
        url: str = response.json()[0]["served_url"]
        parameters = parse_qs(urlsplit(url).query)
        assert 3600 <= int(parameters["X-Amz-Expires"][0]) <= 7200
        with httpx.Client(trust_env=False) as reader:
            assert reader.get(url).content == PHOTO
            if name == "rclone":  # moto accepts any signature
                for other in (url.partition("?")[0], url.replace(parameters["X-Amz-Signature"][0], "0" * 64)):
                    assert (PHOTO in reader.get(other).content) is False


def test_a_disconnect_before_the_first_byte_closes_the_file(tmp_path: Path) -> None:
    (tmp_path / "card.webp").write_bytes(b"0123456789")
    file = (tmp_path / "card.webp").open("rb")
    response = SentFile(file, ByteRange(0, 10), 200, {}, "image/webp")

    async def gone(message: Message) -> None:
        raise OSError("the connection is closed")

    async def silence() -> Message:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    scope = {"type": "http", "asgi": {"spec_version": "2.4"}}
    with ThreadPoolExecutor(1) as thread, pytest.raises(ClientDisconnect):  # Playwright runs a loop in this thread
        thread.submit(asyncio.run, response(scope, silence, gone)).result()  # type: ignore[arg-type]
    assert file.closed
