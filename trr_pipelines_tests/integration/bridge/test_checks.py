"""The checks of what was published: they hold after a publication, and each fails when what it guards is broken."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from trr_pipelines.bridge import checks
from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.bridge.sync import sync
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.integration.bridge.conftest import Put, RenderAll
from trr_pipelines_tests.support.applications import Reader, Rows

CHECKS = (checks.published_is_what_was_rendered, checks.no_published_url_is_dead, checks.nothing_of_others_was_changed)


class _Quiet(SimpleHTTPRequestHandler):
    extensions_map = {".webp": "image/webp", ".jpg": "image/jpeg", "": "text/plain"}  # noqa: RUF012  as its base has it

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: a test's output is its own."""


@pytest.fixture
def archive(archive: Archive, tmp_path: Path) -> Iterator[Archive]:
    """The test's archive, whose objects a server of its own makes public."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path / "media"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        given = archive.settings.model_dump(include={"home", "database_url", "media_store", "render_processes"})
        settings = Settings(**given, media_base_url=url)
        yield replace(archive, settings=settings, store=open_store(settings.store_url, base_url=settings.base_url))
        server.shutdown()


Break = Callable[[Rows, Path, UUID, UUID, str], None]


def _change_key(rows: Rows, _folder: Path, photo: UUID, _link: UUID, _card: str) -> None:
    rows.execute('update core.media_assets set metadata = metadata || \'{"thumb_url": "x"}\' where id = %s', photo)


def _lose_sets(rows: Rows, _folder: Path, photo: UUID, _link: UUID, _card: str) -> None:
    rows.execute("update core.media_assets set metadata = metadata - 'variants' where id = %s", photo)


def _change_link(rows: Rows, _folder: Path, _photo: UUID, link: UUID, _card: str) -> None:
    rows.execute("update core.media_links set context = context - 'crop_detail_url' where id = %s", link)


def _delete_row(rows: Rows, _folder: Path, photo: UUID, _link: UUID, _card: str) -> None:
    rows.execute("delete from core.media_assets where id = %s", photo)


def _delete_card(_rows: Rows, folder: Path, _photo: UUID, _link: UUID, card: str) -> None:
    (folder / urlsplit(card).path.lstrip("/")).unlink()


def _delete_original(_rows: Rows, folder: Path, _photo: UUID, _link: UUID, _card: str) -> None:
    (folder / "1.jpg").unlink()


def _change_original(_rows: Rows, folder: Path, _photo: UUID, _link: UUID, _card: str) -> None:
    (folder / "1.jpg").write_bytes(b"others")


@pytest.mark.parametrize(
    ("broken", "failing", "named"),
    [
        (_change_key, "published_is_what_was_rendered", "another writer changed thumb_url"),
        (_lose_sets, "published_is_what_was_rendered", "another writer changed base, manual:20.000:30.000:1.000"),
        (_change_link, "published_is_what_was_rendered", "another writer changed crop_detail_url of link"),
        (_delete_row, "published_is_what_was_rendered", "its row is missing"),
        (_delete_card, "no_published_url_is_dead", "/card.webp: status 404"),
        (_delete_original, "nothing_of_others_was_changed", "1.jpg is missing"),
        (_change_original, "nothing_of_others_was_changed", "1.jpg has 6 bytes, not"),
    ],
    ids=lambda value: value.__name__.strip("_") if callable(value) else "",
)
def test_a_check_names_what_is_broken(
    archive: Archive,
    application: Application,
    rows: Rows,
    reader: Reader,
    put: Put,
    render_all: RenderAll,
    tmp_path: Path,
    broken: Break,
    failing: str,
    named: str,
) -> None:
    crop = {"thumbnail_crop": {"x": 20, "y": 30, "zoom": 1, "mode": "manual"}}
    photo = rows.asset("1.jpg")
    link = rows.link(photo, "person", rows.person("Ana"), context=crop)
    put("1.jpg")
    sync(archive, application, lane="live")
    render_all()
    assert publish_due(archive.database, application) == {"published": 1}
    found = {check.__name__: check(archive, application, None) for check in CHECKS}
    assert [row for finding in found.values() for row in finding.broken] == []
    assert all(finding.looked_at for finding in found.values())
    broken(rows, tmp_path / "media", photo, link, reader.asset(photo)["card"])
    found = {check.__name__: check(archive, application, None) for check in CHECKS}
    assert [name for name, finding in found.items() if not finding.passed] == [failing]
    (row,) = found[failing].broken
    assert (row["photo"], named in str(row["problem"])) == (str(photo), True), row
