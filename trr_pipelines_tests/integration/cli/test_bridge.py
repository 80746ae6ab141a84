"""`trr bridge` as a user runs it, from the check to taking everything back."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.integration.bridge.conftest import render_everything
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.applications import Reader, Rows, new_application
from trr_pipelines_tests.support.commands import Trr, one_line


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {".webp": "image/webp", ".jpg": "image/jpeg"}  # noqa: RUF012  the base class has it like this

    def log_message(self, *_: object) -> None:
        """No log."""


@pytest.fixture
def public_url(tmp_path: Path) -> Iterator[str]:
    """The bucket's objects for everyone."""
    folder = tmp_path / "media"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def rows(postgres: EmbeddedPostgres) -> Iterator[Rows]:
    with new_application(postgres) as url:
        yield Rows(url)


@pytest.fixture
def trr(tmp_path: Path, database_url: str, rows: Rows, public_url: str) -> Trr:
    return Trr(
        tmp_path,
        TRR_DATABASE_URL=database_url,
        TRR_APPLICATION_DB_URL=rows.url,
        TRR_MEDIA_STORE=f"file:{tmp_path / 'media'}",
        TRR_MEDIA_BASE_URL=public_url,
    )


def add_photos(rows: Rows, folder: Path, count: int) -> list[object]:
    """Photos of one person, with their objects."""
    person = rows.person("Ana")
    assets = []
    for number in range(count):
        (folder / f"{number} (1).JPG").write_bytes(jpeg(200, 250, seed=number))
        assets.append(rows.asset(f"{number} (1).JPG", hosted_bytes=5_000))
        rows.link(assets[-1], "person", person)  # type: ignore[arg-type]
    return assets


def test_from_the_check_to_taking_back(
    trr: Trr, rows: Rows, tmp_path: Path, database: Database, render_pool: RenderPool, public_url: str
) -> None:
    assets = add_photos(rows, tmp_path / "media", 3)
    before = rows.dump()
    check = trr.here("bridge", "check", "--json")
    states = {finding["name"]: finding["state"] for finding in check.json}
    assert states == {
        "server": "ok",
        "tables": "ok",
        "grants": "ok",
        "visible rows": "ok",
        "indexes": "warning",
        "pooler": "ok",
        "originals": "ok",
        "public URL": "ok",
    }
    assert [path.name for path in (tmp_path / "media").rglob("check*")] == []
    plan = trr.here("bridge", "plan", "--json").json
    assert (plan["photos"], plan["objects"], plan["bytes"], plan["galleries"]) == (3, 3, 15_000, 1)
    assert rows.dump() == before

    synced = trr.here("bridge", "sync", "--limit", "2", "--json").json
    assert (synced["photos"], synced["new_links"], len(synced["batches"])) == (2, 2, 1)
    settings = load_settings(media_store=f"file:{tmp_path / 'media'}", media_base_url=public_url)
    archive = Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url))
    render_everything(archive, render_pool)
    assert trr.here("bridge", "publish").out == "2 published; 0 edits written back\n"
    status = trr.here("bridge", "status", "--json").json
    assert (status["rows"], status["published"], status["due"], status["is_publishing"]) == (2, 2, 0, True)
    reader = Reader(rows.url)
    assert sorted(reader.asset(asset)["missing_variants"] for asset in assets) == [False, False, True]  # type: ignore[arg-type]

    assert trr.here("bridge", "unpublish", "--yes").out == (
        "2 taken back; publishing is off until `trr bridge publish`\n"
    )
    assert rows.dump() == before
    assert "publishing is off" in trr.here("bridge", "status").out
    everything = trr.here("bridge", "sync").out
    assert "1 new photos" in everything
    assert "2 links read" not in everything


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"TRR_APPLICATION_DB_URL": ""}, "TRR_APPLICATION_DB_URL is not set"),
        ({"TRR_APPLICATION_DB_URL": "mysql://x"}, "TRR_APPLICATION_DB_URL: Value error, must be a PostgreSQL URL"),
        (
            {"TRR_APPLICATION_DB_URL": "postgresql://nobody@127.0.0.1:1/x"},
            "cannot reach the application's database: connection",
        ),
    ],
)
def test_a_wrong_setting_is_one_line(trr: Trr, variables: dict[str, str], problem: str) -> None:
    for command in (("check",), ("plan",), ("sync",), ("publish",)):
        one_line(Trr(trr.folder, **{**trr.environment, **variables}).here("bridge", *command), problem)


def test_the_catalogue_is_no_application(trr: Trr, database_url: str) -> None:
    own = Trr(trr.folder, **{**trr.environment, "TRR_APPLICATION_DB_URL": database_url})
    result = own.here("bridge", "check")
    assert result.code == 1
    assert "core.media_assets has no column media_type" in result.out
    one_line(own.here("bridge", "sync"), "core.media_assets has no column media_type")


def test_a_public_url_that_refuses_is_named(trr: Trr, rows: Rows, tmp_path: Path, public_url: str) -> None:
    add_photos(rows, tmp_path / "media", 1)
    elsewhere = Trr(trr.folder, **{**trr.environment, "TRR_MEDIA_BASE_URL": f"{public_url}/elsewhere"})
    result = elsewhere.here("bridge", "check", "--json")
    assert result.code == 1
    (finding,) = [finding for finding in result.json if finding["state"] == "error"]
    assert finding["name"] == "public URL"
    assert "answers 404" in finding["detail"]
    assert "TRR_MEDIA_BASE_URL" in finding["remedy"]


def test_an_unknown_selection_is_one_line(trr: Trr, rows: Rows, tmp_path: Path) -> None:
    add_photos(rows, tmp_path / "media", 1)
    one_line(trr.here("bridge", "sync", "--show", "Missing"), "the application has no photos of show 'Missing'")
    one_line(trr.here("bridge", "plan", "--source", "none"), "the application has no photos of source 'none'")
