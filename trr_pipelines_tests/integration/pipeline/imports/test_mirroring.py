"""Mirroring originals from files and a real HTTP server: stored bytes, and failures with their reasons."""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import ClassVar

import pytest

from trr_pipelines.catalogue import hosts, ledger
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rework.reprocessing import ReprocessFilter, reprocess, reprocess_photo
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.upkeep.reconcile import reconcile
from trr_pipelines.settings import Settings
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import (
    EDITOR,
    import_files,
    import_path,
    ledger_of,
    photo_ids,
    query,
    run,
    value,
    write_files,
)
from trr_pipelines_tests.support.scripted_server import Received, ScriptedServer, answer

PHOTO, OTHER = pictures.jpeg(), pictures.jpeg(seed=1)


class Source(BaseHTTPRequestHandler):
    """Serves one photo at `/a.jpg` and `/again.jpg`, and a failure at each other path, as its name says."""

    answers: ClassVar[dict[str, tuple[int, dict[str, str], bytes]]] = {
        "/a.jpg": (200, {}, PHOTO),
        "/again.jpg": (200, {}, PHOTO),
        "/page.jpg": (200, {"Content-Type": "image/jpeg"}, b"<html>Sign in</html>"),
        "/empty.jpg": (200, {}, b""),
        "/gone.jpg": (410, {}, b""),
        "/forbidden.jpg": (403, {"Retry-After": "90"}, b""),
        "/down.jpg": (503, {}, b""),
        "/moved.jpg": (302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""),
        "/wide.png": (200, {}, pictures.png_of_zeros(31_000, 10)),
    }

    def do_GET(self) -> None:
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def source() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def lan_archive(archive: Archive) -> Archive:
    """An archive whose operator allows fetching from this machine."""
    settings = Settings.model_validate({**dict(archive.settings), "fetch_allow_networks": ["127.0.0.0/8"]})
    return Archive(settings, archive.database, archive.store)


def import_urls(archive: Archive, folder: Path, *urls: str) -> Scope:
    (folder / "manifest.csv").write_text("url\n" + "".join(f"{url}\n" for url in urls), encoding="utf-8")
    (batch,) = import_path(archive, folder / "manifest.csv").batches
    return Scope(batch=batch)


def failure(archive: Archive, name: str) -> tuple[str, str, bool]:
    """Reason, detail, and whether the work will be retried."""
    (row,) = query(
        archive.database,
        "select g.reason, g.detail, g.next_attempt_at is not null as is_retried from core.variant_generations g"
        " join core.media_assets a on a.id = g.media_asset_id where a.source_url like %s and g.state = 'failed'",
        f"%/{name}",
    )
    return row["reason"], row["detail"], row["is_retried"]


def test_an_original_is_stored_unchanged_under_its_hash(archive: Archive, tmp_path: Path) -> None:
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    tally = mirror_originals(archive, Scope(batch=batch), "run-1")
    sha256 = hashlib.sha256(PHOTO).hexdigest()
    (row,) = query(archive.database, "select * from core.media_assets")
    assert (row["state"], row["sha256"], row["bytes"], row["width"], row["height"], row["format"], row["frames"]) == (
        "mirrored",
        sha256,
        len(PHOTO),
        400,
        300,
        "jpeg",
        1,
    )
    assert row["hosted_key"] == f"media/{sha256[:2]}/{sha256}.jpg"
    assert row["hosted_url"] == archive.store.public_url(row["hosted_key"])
    assert archive.store.get(row["hosted_key"]) == PHOTO
    assert (tally.complete, tally.failed, tally.objects_written, tally.bytes_written) == (1, 0, 1, len(PHOTO))
    assert ledger_of(archive, "a.jpg") == {"original": "complete", "base": "pending", "crop": "pending"}


def test_a_second_mirroring_reads_and_writes_nothing(archive: Archive, tmp_path: Path) -> None:
    scope = Scope(batch=import_files(archive, tmp_path / "in", {"a.jpg": PHOTO}))
    mirror_originals(archive, scope, "run-1")
    again = mirror_originals(archive, scope, "run-2")
    assert (again.complete, again.objects_written, again.bytes_read) == (0, 0, 0)


def test_width_and_height_are_those_of_the_upright_picture(archive: Archive, tmp_path: Path) -> None:
    exif = pictures.photo(60, 40).getexif()
    exif[0x0112] = 6
    turned = pictures.saved(pictures.photo(60, 40), "JPEG", exif=exif)
    mirror_originals(archive, Scope(batch=import_files(archive, tmp_path / "in", {"a.jpg": turned})), "run-1")
    assert query(archive.database, "select width, height from core.media_assets") == [{"width": 40, "height": 60}]


def test_photos_of_a_web_server_are_mirrored_or_fail_with_a_reason(
    lan_archive: Archive, source: str, tmp_path: Path
) -> None:
    names = [*(path.strip("/") for path in Source.answers), "missing.jpg"]
    scope = import_urls(lan_archive, tmp_path, *(f"{source}/{name}" for name in names))
    tally = mirror_originals(lan_archive, scope, "run-1")
    assert dict(tally.ended) == {
        "complete": 1,
        "duplicate": 1,
        "not_an_image": 1,
        "empty_file": 1,
        "fetch_not_found": 2,
        "fetch_forbidden": 1,
        "fetch_failed": 1,
        "blocked_address": 1,
        "side_too_long": 1,
    }
    is_retried = {
        name: failure(lan_archive, name)[2] for name in (*names, "missing.jpg") if name not in ("a.jpg", "again.jpg")
    }
    assert {name for name, retried in is_retried.items() if retried} == {
        "gone.jpg",
        "missing.jpg",
        "forbidden.jpg",
        "down.jpg",
    }
    assert failure(lan_archive, "missing.jpg")[1] == f"{source}/missing.jpg answered 404"
    waits = value(
        lan_archive.database,
        "select extract(epoch from next_attempt_at - now()) from core.variant_generations"
        " where reason = 'fetch_failed'",
    )
    assert 20 < waits <= 30
    assert reconcile(lan_archive).is_clean


def test_without_permission_nothing_is_fetched_from_this_machine(archive: Archive, source: str, tmp_path: Path) -> None:
    tally = mirror_originals(archive, import_urls(archive, tmp_path, f"{source}/a.jpg"), "run-1")
    assert dict(tally.ended) == {"blocked_address": 1}


def test_known_bytes_become_links_of_the_existing_photo(archive: Archive, tmp_path: Path) -> None:
    first = import_files(archive, tmp_path / "one", {"a.jpg": PHOTO, "b.jpg": OTHER}, show="The Valley")
    mirror_originals(archive, Scope(batch=first), "run-1")
    second = import_files(
        archive, tmp_path / "two", {"c.jpg": PHOTO, "d.jpg": PHOTO}, source="bravo", show="Harbour Lights"
    )
    tally = mirror_originals(archive, Scope(batch=second), "run-2")
    assert (dict(tally.ended), tally.objects_written) == ({"duplicate": 2}, 0)
    assert list(photo_ids(archive)) == ["a.jpg", "b.jpg"]
    kept = photo_ids(archive)["a.jpg"]
    titles = query(
        archive.database,
        "select title from core.media_links join core.shows on shows.id = show_id where media_asset_id = %s order by 1",
        kept,
    )
    assert [row["title"] for row in titles] == ["Harbour Lights", "The Valley"]


def test_concurrent_arrivals_of_the_same_bytes_are_one_photo(archive: Archive, tmp_path: Path) -> None:
    batches = [
        import_files(
            archive, tmp_path / source, {f"{number}.jpg": PHOTO for number in range(6)}, source=source, show=source
        )
        for source in ("bravo", "deadline", "hulu")
    ]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda batch: mirror_originals(archive, Scope(batch=batch), batch), batches))
    assert value(archive.database, "select count(*) from core.media_assets") == 1
    assert value(archive.database, "select count(*) from core.media_links") == 3
    assert value(archive.database, "select count(*) from core.import_items where media_asset_id is null") == 0


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("text.jpg", b"<!DOCTYPE html><title>404</title>", "not_an_image"),
        ("empty.jpg", b"", "empty_file"),
        ("wide.png", pictures.png_of_zeros(30_001, 8), "side_too_long"),
        ("many.png", pictures.png_of_zeros(9_000, 8_500, bit_depth=1, colour_type=0), "too_many_pixels"),
        ("document.psd", b"8BPS\0\1" + bytes(100), "unsupported_format"),
    ],
)
def test_an_unusable_file_fails_alone_and_permanently(
    archive: Archive, tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    batch = import_files(archive, tmp_path / "in", {name: data, "good.jpg": PHOTO})
    tally = mirror_originals(archive, Scope(batch=batch), "run-1")
    assert dict(tally.ended) == {"complete": 1, reason: 1}
    actual, detail, is_retried = failure(archive, name)
    assert (actual, is_retried) == (reason, False)
    assert detail
    assert value(archive.database, "select reason from core.media_assets where state = 'failed'") == reason


@pytest.mark.parametrize("name", [b"gone.jpg", b"caf\xe9.jpg"])
def test_a_missing_file_is_retried(archive: Archive, tmp_path: Path, name: bytes) -> None:
    folder = write_files(tmp_path / "in", {"good.jpg": PHOTO})
    lost = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    lost.write_bytes(OTHER)
    (batch,) = import_path(archive, folder).batches
    lost.unlink()
    tally = mirror_originals(archive, Scope(batch=batch), "run-1")
    assert dict(tally.ended) == {"complete": 1, "fetch_not_found": 1}
    lost.write_bytes(OTHER)
    query(archive.database, "update core.variant_generations set next_attempt_at = now() where state = 'failed'")
    assert mirror_originals(archive, Scope(batch=batch), "run-2").complete == 1


def test_a_stored_original_that_was_damaged_is_rewritten(archive: Archive, tmp_path: Path) -> None:
    sha256 = hashlib.sha256(PHOTO).hexdigest()
    key = f"media/{sha256[:2]}/{sha256}.jpg"
    archive.store.put_if_absent(key, PHOTO, content_type="image/jpeg")
    (tmp_path / "media" / key).write_bytes(b"damaged")
    batch = import_files(archive, tmp_path / "in", {"a.jpg": PHOTO})
    tally = mirror_originals(archive, Scope(batch=batch), "run-1")
    assert (tally.complete, tally.objects_written) == (1, 1)
    assert archive.store.get(key) == PHOTO


@pytest.mark.parametrize("order", [("a.jpg", "b.jpg"), ("b.jpg", "a.jpg")])
def test_duplicates_keep_the_first_imported_photo_whichever_arrives_first(
    archive: Archive, tmp_path: Path, order: tuple[str, str]
) -> None:
    data = pictures.jpeg(60, 40)
    import_files(archive, tmp_path / "in", {"a.jpg": data, "b.jpg": data})
    ids = photo_ids(archive)
    for name in order:
        mirror_originals(archive, Scope(photo_ids=(ids[name],)), "run")
    assert list(photo_ids(archive)) == ["a.jpg"]
    again = import_files(archive, tmp_path / "in", {})
    assert again
    assert list(photo_ids(archive)) == ["a.jpg"]


# Fetched again -----------------------------------------------------------------------------------------------------

CUT = PHOTO[: len(PHOTO) // 2]


@pytest.fixture
def cut(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> Path:
    """The file of a photo that failed as truncated, and of one that was mirrored."""
    batch = import_files(archive, tmp_path / "in", {"cut.jpg": CUT, "good.jpg": OTHER}, show="The Valley")
    run(archive, batch, pool=render_pool)
    assert ledger_of(archive, "cut.jpg") == {"original": "complete", "base": "truncated", "crop": "truncated"}
    return tmp_path / "in" / "cut.jpg"


def ask(archive: Archive, way: str, file: Path) -> None:
    """Ask for the failed photo again, as a user does."""
    if way == "import":
        assert import_path(archive, file.parent, show="The Valley").fetched_again == 1
    elif way == "photo":
        reprocess_photo(archive.database, photo_ids(archive)["cut.jpg"], author=EDITOR)
    else:
        assert reprocess(archive.database, ReprocessFilter(reason="truncated"), author=EDITOR).estimate.photos == 1


def work_off(archive: Archive) -> None:
    """A run of the photos that the sensor `retry_failed` finds."""
    due = archive.database.run(lambda conn: ledger.retries_due(conn, 10))
    rerender_photos(archive, Scope(photo_ids=tuple(due)), "run-2", None)


@pytest.mark.parametrize("way", ["import", "photo", "reason"])
def test_a_file_that_was_corrected_is_fetched_again_when_asked(archive: Archive, cut: Path, way: str) -> None:
    photo = photo_ids(archive)["cut.jpg"]
    cut.write_bytes(PHOTO)
    ask(archive, way, cut)
    work_off(archive)
    assert ledger_of(archive, "cut.jpg") == dict.fromkeys(("original", "base", "crop"), "complete")
    (row,) = query(archive.database, "select id, state, reason, sha256 from core.media_assets where id = %s", photo)
    assert (row["state"], row["reason"], row["sha256"]) == ("mirrored", None, hashlib.sha256(PHOTO).hexdigest())
    assert (
        value(archive.database, "select count(*) from core.media_asset_versions where media_asset_id = %s", photo) == 2
    )
    assert reconcile(archive).is_clean
    assert import_path(archive, cut.parent, show="The Valley").fetched_again == 0


@pytest.mark.parametrize("now", [CUT, None, b"", b"<html>"], ids=["the same", "gone", "empty", "a page"])
def test_a_source_without_a_better_file_leaves_the_photo_as_it_was(
    archive: Archive, cut: Path, now: bytes | None
) -> None:
    if now is None:
        cut.unlink()
    else:
        cut.write_bytes(now)
    ask(archive, "reason", cut)
    work_off(archive)
    assert ledger_of(archive, "cut.jpg") == {"original": "complete", "base": "truncated", "crop": "truncated"}
    assert value(archive.database, "select reason from core.media_assets where state = 'failed'") == "truncated"
    assert value(archive.database, "select count(*) from core.media_asset_versions") == 2


def test_a_corrected_file_that_another_photo_has_makes_the_failed_photo_a_duplicate(
    archive: Archive, cut: Path
) -> None:
    cut.write_bytes(OTHER)
    ask(archive, "import", cut)
    work_off(archive)
    assert list(photo_ids(archive)) in (["cut.jpg"], ["good.jpg"])
    assert reconcile(archive).is_clean


@pytest.mark.parametrize(
    ("name", "data"), [("empty.jpg", b""), ("page.jpg", b"<html>"), ("gone.jpg", None)], ids=["empty", "page", "gone"]
)
def test_an_import_fetches_again_what_could_not_be_mirrored(
    archive: Archive, tmp_path: Path, name: str, data: bytes | None
) -> None:
    folder = write_files(tmp_path / "in", {"good.jpg": OTHER, name: data or b"x"})
    (batch,) = import_path(archive, folder).batches
    if data is None:
        (folder / name).unlink()
    for _ in range(4):
        mirror_originals(archive, Scope(batch=batch), "run-1")
        query(
            archive.database,
            "update core.variant_generations set next_attempt_at = now() where next_attempt_at > now()",
        )
    (folder / name).write_bytes(PHOTO)
    assert import_path(archive, folder).fetched_again == 1
    work_off(archive)
    assert ledger_of(archive, name) == dict.fromkeys(("original", "base", "crop"), "complete")


def test_a_file_that_an_editor_gave_is_not_taken_back_to_its_source(
    archive: Archive, cut: Path, render_pool: RenderPool
) -> None:
    photo = photo_ids(archive)["cut.jpg"]
    replace_original(archive, photo, PHOTO, author=EDITOR, pool=render_pool)
    query(
        archive.database,
        "update core.variant_generations set state = 'failed', reason = 'decode_timeout'"
        " where media_asset_id = %s and kind = 'base'",
        photo,
    )
    assert reprocess_photo(archive.database, photo, author=EDITOR) == ("base",)
    assert import_path(archive, cut.parent, show="The Valley").fetched_again == 0


# Hosts that limit their rate ---------------------------------------------------------------------------------------


class Limited:
    """A server that answers at most `most` requests in each `seconds`, and asks the others to wait."""

    def __init__(self, most: int, seconds: float, status: int, retry_after: str | None) -> None:
        self.times: list[float] = []
        self.refused = self.at_once = self.most_at_once = 0
        self._limit = most, seconds, status, retry_after
        self._lock = Lock()

    def __call__(self, request: Received, connection: socket.socket) -> None:
        most, seconds, status, retry_after = self._limit
        with self._lock:
            now = time.monotonic()
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            is_refused = len([at for at in self.times if at > now - seconds]) >= most
            self.refused += is_refused
            self.times += [] if is_refused else [now]
        time.sleep(0.02)
        with self._lock:
            self.at_once -= 1
        if is_refused:
            answer(status, b"", *([] if retry_after is None else [f"Retry-After: {retry_after}"]))(request, connection)
        else:
            seed = int(request.path.removeprefix("/").removesuffix(".jpg"))
            answer(200, pictures.jpeg(60, 40, seed=seed))(request, connection)


@contextmanager
def limited(
    photos: int, most: int, seconds: float, status: int, retry_after: str | None
) -> Iterator[tuple[Limited, list[str]]]:
    script = Limited(most, seconds, status, retry_after)
    with ScriptedServer({f"/{number}.jpg": script for number in range(photos)}) as server:
        yield script, [f"{server.url}/{number}.jpg" for number in range(photos)]


def test_short_waits_of_a_host_are_sat_out_by_all_runs_and_cost_no_attempt(
    lan_archive: Archive, tmp_path: Path
) -> None:
    with limited(12, 4, 1.0, 429, "1") as (script, urls):
        scope = import_urls(lan_archive, tmp_path, *urls)
        with ThreadPoolExecutor(2) as runs:
            tallies = list(runs.map(lambda run_id: mirror_originals(lan_archive, scope, run_id), ("run-1", "run-2")))
    assert sum(tally.complete for tally in tallies) == 12
    assert sum(tally.failed for tally in tallies) == 0
    assert script.refused <= 12
    assert script.most_at_once <= 4


@pytest.mark.parametrize(("status", "retry_after"), [(429, "600"), (503, "600"), (429, None)])
def test_a_long_wait_belongs_to_the_host_and_outlasts_the_run(
    lan_archive: Archive, tmp_path: Path, status: int, retry_after: str | None
) -> None:
    with limited(20, 3, 1e6, status, retry_after) as (script, urls):
        scope = import_urls(lan_archive, tmp_path, *urls)
        first = mirror_originals(lan_archive, scope, "run-1")
        assert (first.complete, first.failed) == (3, 17)
        asked = script.refused
        assert asked <= 4
        for number in range(6):  # more often than a photo has attempts
            query(
                lan_archive.database,
                "update core.variant_generations set next_attempt_at = now() where state = 'failed'",
            )
            assert mirror_originals(lan_archive, scope, f"again-{number}").failed == 17
        assert script.refused == asked
        assert value(lan_archive.database, "select max(attempts) from core.variant_generations") == 0
        longest = value(
            lan_archive.database,
            "select extract(epoch from max(next_attempt_at) - now()) from core.variant_generations",
        )
        assert float(retry_after or 30) - 20 < longest <= float(retry_after or 30)
        script.times.clear()
        query(lan_archive.database, "update core.source_hosts set not_before = now()")
        query(
            lan_archive.database, "update core.variant_generations set next_attempt_at = now() where state = 'failed'"
        )
        assert mirror_originals(lan_archive, scope, "run-3").complete == 3


def test_a_request_of_a_killed_run_does_not_hold_its_host_for_long(lan_archive: Archive) -> None:
    def take() -> hosts.Turn:
        return lan_archive.database.run(lambda conn: hosts.take(conn, "a.example", most=2, lease_seconds=0.3))

    first, second, third = take(), take(), take()
    assert (first.lease is None, second.lease is None, third.lease is None) == (False, False, True)
    time.sleep(0.4)
    assert take().lease is not None
