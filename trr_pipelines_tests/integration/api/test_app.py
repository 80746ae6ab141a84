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
from trr_pipelines_tests.support.archives import import_files, query, run

PHOTO = pictures.jpeg()


@pytest.fixture
def urls(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> list[str]:
    """Paths of everything that one photo has."""
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}), pool=render_pool)
    rows = query(
        archive.database,
        "select hosted_url from core.media_assets union all select hosted_url from core.media_asset_variants",
    )
    return [row["hosted_url"].removeprefix("http://127.0.0.1:8000") for row in rows]


def test_it_says_that_it_lives_and_is_ready(client: httpx.Client) -> None:
    assert (client.get("/healthz").status_code, client.get("/healthz").json()) == (200, {"status": "ok"})
    assert (client.get("/readyz").status_code, client.get("/readyz").json()) == (200, {"status": "ready"})


def test_it_is_not_ready_with_a_schema_that_it_was_not_written_for(client: httpx.Client, environment: str) -> None:
    with psycopg.connect(environment) as conn:
        conn.execute("update core.alembic_version set version_num = '9999'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "newer than this code" in answer.json()["detail"]
    assert client.get("/healthz").status_code == 200


def test_every_object_is_served_where_its_row_says(client: httpx.Client, archive: Archive, urls: list[str]) -> None:
    assert len(urls) == 11
    for url in urls:
        answer = client.get(url)
        assert answer.status_code == 200
        assert answer.content == archive.store.get(url.removeprefix("/media/"))
        assert answer.headers["content-length"] == str(len(answer.content))
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        extension = url.rpartition(".")[2]
        assert answer.headers["content-type"] == {"jpg": "image/jpeg", "webp": "image/webp"}[extension]


@pytest.mark.parametrize(
    "path",
    [
        "/media/originals/00/missing.jpg",
        "/media/",
        "/media/originals",
        "/media/../home/secret.webp",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/..%2f..%2fetc%2fpasswd",
        "/media/originals/%00.jpg",
        "/media/.incoming/x.webp",
        "/media//etc/passwd",
        "/media/a\\b.webp",
        "/media/" + "x/" * 500 + "a.webp",
    ],
)
def test_nothing_else_is_served(client: httpx.Client, urls: list[str], path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)  # sends paths as they are
    connection.request("GET", path)
    answer = connection.getresponse()
    assert (answer.status, PHOTO in answer.read()) == (404, False)
    connection.close()


def test_a_link_out_of_the_store_is_not_followed(client: httpx.Client, urls: list[str], tmp_path: Path) -> None:
    (tmp_path / "secret.webp").write_bytes(b"secret")
    (tmp_path / "media" / "variants" / "out.webp").symlink_to(tmp_path / "secret.webp")
    answer = client.get("/media/variants/out.webp")
    assert answer.status_code in (404, 503)
    assert answer.content != b"secret"
