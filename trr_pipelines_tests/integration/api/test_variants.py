"""Variants on request over real HTTP: the answer when they exist, after a wait, and the refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.api.routes import variants
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, photo_ids, query, run, value
from trr_pipelines_tests.support.backends import ADMIN_APP, app_token

CROP = {"mode": "manual", "x": 50, "y": 32, "zoom": 1.25}


@pytest.fixture
def rendered(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> UUID:
    """A photo after the pipeline, with its proposal rendered."""
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg()}), pool=render_pool)
    return photo_ids(archive)["a.jpg"]


def post(client: httpx.Client, photo: UUID, body: Any = None, *, of: str = "media-assets") -> httpx.Response:
    return client.post(f"/api/v1/admin/{of}/{photo}/variants", json={} if body is None else body, headers=ADMIN_APP)


@contextmanager
def rendering(archive: Archive, photo: UUID, pool: RenderPool, *, after: float = 0.3) -> Iterator[None]:
    """Render what is pending of a photo after a moment, as a run of Dagster would."""

    def work() -> None:
        time.sleep(after)
        render_photos(archive, Scope(photo_ids=(photo,)), "run-2", pool=pool)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.mark.parametrize("of", ["media-assets", "cast-photos"])
def test_a_complete_base_set_is_answered_at_once(client: httpx.Client, rendered: UUID, of: str) -> None:
    response = post(client, rendered, of=of)
    assert response.status_code == 200
    body = response.json()
    assert (body["asset_id"], body["crop_signature"], body["generated"]) == (str(rendered), "base", 6)
    found = {(one["variant_key"], one["format"]) for one in body["variants"]}
    assert found == {(key, name) for key in ("thumb", "card", "detail") for name in ("webp", "jpg")}
    assert set(body["variants"][0]) == {
        "variant_key", "format", "hosted_url", "width", "height", "bytes", "crop_signature",
    }  # fmt: skip
    assert {one["crop_signature"] for one in body["variants"]} == {"base"}


def test_a_crop_is_set_and_answered_when_it_is_rendered(
    client: httpx.Client, archive: Archive, rendered: UUID, render_pool: RenderPool
) -> None:
    with rendering(archive, rendered, render_pool):
        response = post(client, rendered, {"force": False, "crop": CROP})
    assert response.status_code == 200
    body = response.json()
    assert (body["crop_signature"], body["generated"]) == ("manual:50.000:32.000:1.250", 4)
    assert {one["variant_key"] for one in body["variants"]} == {"crop_card", "crop_detail"}
    again = post(client, rendered, {"crop": CROP})
    assert (again.status_code, again.json()) == (200, body)
    assert value(archive.database, "select count(*) from core.audit_log where action = 'crop'") == 1


def test_an_automatic_crop_never_replaces_a_manual_one(
    client: httpx.Client, archive: Archive, rendered: UUID, render_pool: RenderPool
) -> None:
    with rendering(archive, rendered, render_pool):
        post(client, rendered, {"crop": CROP})
    response = post(client, rendered, {"crop": {**CROP, "mode": "auto", "x": 10}})
    assert response.json()["crop_signature"] == "manual:50.000:32.000:1.250"


def test_force_renders_again(client: httpx.Client, archive: Archive, rendered: UUID, render_pool: RenderPool) -> None:
    version = "select version from core.variant_generations where kind = 'base'"
    before = value(archive.database, version)
    with rendering(archive, rendered, render_pool):
        response = post(client, rendered, {"force": True})
    assert (response.status_code, response.json()["generated"]) == (200, 6)
    assert value(archive.database, version) > before
    assert value(archive.database, "select count(*) from core.audit_log where action = 'reprocess'") == 1


def test_what_is_not_complete_in_time_is_202_with_what_exists(
    client: httpx.Client, rendered: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "WAIT_SECONDS", 0.5)
    started = time.monotonic()
    base, crop = post(client, rendered, {"force": True}), post(client, rendered, {"crop": CROP})
    assert time.monotonic() - started < 5
    assert [(one.status_code, one.json()["generated"]) for one in (base, crop)] == [(202, 6), (202, 0)]


def test_an_unknown_photo_is_404(client: httpx.Client) -> None:
    for of in ("media-assets", "cast-photos"):
        for body in ({}, {"crop": CROP}, {"force": True}):
            assert post(client, uuid4(), body, of=of).status_code == 404


def test_a_photo_without_an_original_is_409_with_the_reason(
    client: httpx.Client, archive: Archive, tmp_path: Path, render_pool: RenderPool
) -> None:
    files = {"broken.jpg": pictures.jpeg()[:2_000], "empty.jpg": b""}
    run(archive, import_files(archive, tmp_path / "in", files), pool=render_pool)
    ids = photo_ids(archive)
    for name, reason in (("broken.jpg", "truncated"), ("empty.jpg", "empty_file")):
        response = post(client, ids[name])
        assert (response.status_code, response.json()["reason"]) == (409, reason)
        assert reason in response.json()["detail"]
    assert post(client, ids["empty.jpg"], {"crop": CROP}).status_code == 409


def test_a_photo_that_is_not_mirrored_yet_is_202_and_has_no_crop(
    client: httpx.Client, archive: Archive, person: UUID, link: Callable[..., UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "WAIT_SECONDS", 0.2)
    link(person, served=False)
    photo = value(archive.database, "select id from core.media_assets")
    assert (post(client, photo).status_code, post(client, photo).json()["variants"]) == (202, [])
    refused = post(client, photo, {"crop": CROP})
    assert (refused.status_code, "is pending" in refused.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "body",
    [
        {"force": "yes"},
        {"crop": {"x": 50}},
        {"crop": {**CROP, "x": 101}},
        {"crop": {**CROP, "y": "32"}},
        {"crop": {**CROP, "zoom": 0.5}},
        {"crop": {**CROP, "mode": "other"}},
        {"crop": {**CROP, "note": 1}},
        {"note": 1},
        [],
    ],
)
def test_a_body_of_another_shape_is_422(client: httpx.Client, rendered: UUID, body: Any) -> None:
    assert post(client, rendered, body).status_code == 422


def test_the_app_calls_it_with_its_token_and_without_a_body(client: httpx.Client, rendered: UUID) -> None:
    headers = {"Authorization": f"Bearer {app_token()}"}
    response = client.post(f"/api/v1/admin/media-assets/{rendered}/variants", headers=headers)
    assert (response.status_code, response.json()["generated"]) == (200, 6)


def test_waiting_requests_hold_neither_threads_nor_connections(
    client: httpx.Client, archive: Archive, rendered: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """80 requests wait at once; 40 threads and 16 connections would be taken by half of them."""
    monkeypatch.setattr(variants, "WAIT_SECONDS", 10.0)
    query(archive.database, "update core.variant_generations set state = 'pending'")
    with ThreadPoolExecutor(80) as threads:
        waiting = [threads.submit(post, client, rendered) for _ in range(40)]
        waiting += [threads.submit(post, client, rendered, of="cast-photos") for _ in range(40)]
        time.sleep(1.5)
        slowest = 0.0
        for path in ("/healthz", "/api/v1/admin/shows", f"/api/v1/admin/media-assets/{rendered}"):
            started = time.monotonic()
            assert client.get(path, headers=ADMIN_APP).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        assert not any(one.done() for one in waiting)
        query(archive.database, "update core.variant_generations set state = 'complete'")
        assert {one.result().status_code for one in waiting} == {200}
    assert slowest < 1
