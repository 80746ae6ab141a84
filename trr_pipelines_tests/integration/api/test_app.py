"""The backend over real HTTP: health, and the media files of a directory store."""

from __future__ import annotations

import http.client
from pathlib import Path

import httpx
import psycopg
import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, move_to_earlier_keys, query, run

PHOTO = pictures.jpeg()


@pytest.fixture
def urls(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> list[str]:
    """URL paths of all objects of one photo."""
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}), pool=render_pool)
    return url_paths(archive)


def url_paths(archive: Archive) -> list[str]:
    rows = query(
        archive.database,
        "select hosted_url from core.media_assets union all select hosted_url from core.media_asset_variants",
    )
    return [row["hosted_url"].removeprefix("http://127.0.0.1:8000") for row in rows]


def test_liveness_and_readiness(client: httpx.Client) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (200, {"status": "ready"})


def test_it_is_not_ready_with_another_schema_version(client: httpx.Client, environment: str) -> None:
    with psycopg.connect(environment) as conn:
        conn.execute("update core.alembic_version set version_num = '9999'")
    response = client.get("/readyz")
    assert (response.status_code, response.headers["retry-after"]) == (503, "2")
    assert response.headers["content-type"] == "application/problem+json"
    assert "newer than this code" in response.json()["detail"]
    assert client.get("/healthz").status_code == 200


def test_every_object_is_served_at_the_url_of_its_row(client: httpx.Client, archive: Archive, urls: list[str]) -> None:
    assert len(urls) == 11
    assert all(url.startswith(("/media/media/", "/media/media-variants/")) for url in urls)
    each_is_served(client, archive, urls)


def test_an_object_at_an_earlier_key_is_served_at_the_url_of_its_row(
    client: httpx.Client, archive: Archive, urls: list[str]
) -> None:
    move_to_earlier_keys(archive)
    assert not set(urls) & set(url_paths(archive))
    each_is_served(client, archive, url_paths(archive))


def each_is_served(client: httpx.Client, archive: Archive, urls: list[str]) -> None:
    for url in urls:
        response = client.get(url)
        assert response.status_code == 200
        assert response.content == archive.store.get(url.removeprefix("/media/"))
        assert response.headers["content-length"] == str(len(response.content))
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert response.headers["x-content-type-options"] == "nosniff"
        extension = url.rpartition(".")[2]
        assert response.headers["content-type"] == {"jpg": "image/jpeg", "webp": "image/webp"}[extension]


@pytest.mark.parametrize(
    "path",
    [
        "/media/media/00/missing.jpg",
        "/media/",
        "/media/media",
        "/media/../home/secret.webp",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/media/%00.jpg",
        "/media/.incoming/x.webp",
        "/media//etc/passwd",
        "/media/a\\b.webp",
        "/media/" + "x/" * 500 + "a.webp",
    ],
)
def test_nothing_else_is_served(client: httpx.Client, urls: list[str], path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)  # sends paths unchanged
    connection.request("GET", path)
    response = connection.getresponse()
    assert (response.status, PHOTO in response.read()) == (404, False)
    connection.close()


def test_a_symbolic_link_out_of_the_store_is_not_followed(
    client: httpx.Client, urls: list[str], tmp_path: Path
) -> None:
    (tmp_path / "secret.webp").write_bytes(b"secret")
    (tmp_path / "media" / "media-variants" / "out.webp").symlink_to(tmp_path / "secret.webp")
    response = client.get("/media/media-variants/out.webp")
    assert response.status_code in (404, 503)
    assert response.content != b"secret"
