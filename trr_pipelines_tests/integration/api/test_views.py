"""Gallery views and image timings of the admin app, and their figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.backends import ADMIN_APP


def seen(client: httpx.Client, entity: UUID, **fields: Any) -> httpx.Response:
    body = {"entity_kind": "person", "entity_id": str(entity), "photos": 60, **fields}
    return client.post("/api/v1/admin/views", json=body, headers=ADMIN_APP)


def test_a_view_is_stored_and_its_timings_are_reported(client: httpx.Client, archive: Archive, person: UUID) -> None:
    times = [{"key": "card", "ms": ms} for ms in range(1, 51)] + [{"key": "original", "ms": 900}]
    assert seen(client, person, timings=times).status_code == 204
    (view,) = query(archive.database, "select entity_kind, entity_id, photos from core.gallery_views")
    assert view == {"entity_kind": "person", "entity_id": person, "photos": 60}
    figures = client.get("/api/v1/admin/operations", headers=ADMIN_APP).json()["image_times"]
    assert list(figures) == ["original", "card"]
    assert figures["card"] == {"count": 50, "p50_ms": 25, "p95_ms": 48}


def test_a_view_of_a_season_counts_for_the_season(client: httpx.Client, archive: Archive) -> None:
    show = value(archive.database, "insert into core.shows (title) values ('The Valley') returning id")
    season = value(archive.database, "insert into core.seasons (show_id, number) values (%s, 2) returning id", show)
    assert seen(client, show, entity_kind="season", season=2).status_code == 204
    assert value(archive.database, "select entity_id from core.gallery_views") == season
    assert seen(client, show, entity_kind="season", season=3).status_code == 404
    assert seen(client, show, entity_kind="season").status_code == 404


@pytest.mark.parametrize(
    "fields",
    [
        {"entity_kind": "asset"},
        {"photos": -1},
        {"photos": "60"},
        {"timings": [{"key": "card", "ms": 1}] * 61},
        {"timings": [{"key": "<b>", "ms": 1}]},
        {"timings": [{"key": "card", "ms": 120_001}]},
        {"timings": [{"key": "card", "ms": -1}]},
        {"timings": [{"key": "card", "ms": 1.5}]},
        {"who": "x"},
    ],
)
def test_an_invalid_view_is_422_and_not_stored(
    client: httpx.Client, archive: Archive, person: UUID, fields: dict[str, Any]
) -> None:
    assert seen(client, person, **fields).status_code == 422
    assert value(archive.database, "select count(*) from core.gallery_views") == 0


def test_an_unknown_gallery_is_404(client: httpx.Client, archive: Archive) -> None:
    assert seen(client, uuid4()).status_code == 404
    assert value(archive.database, "select count(*) from core.image_timings") == 0


def test_a_new_view_deletes_views_older_than_ninety_days(
    client: httpx.Client, archive: Archive, person: UUID, link: Callable[..., UUID]
) -> None:
    seen(client, person, timings=[{"key": "card", "ms": 5}])
    for table in ("gallery_views", "image_timings"):
        query(archive.database, f"update core.{table} set at = now() - interval '91 days'")  # noqa: S608  our own names
    seen(client, person)
    assert value(archive.database, "select count(*) from core.gallery_views") == 1
    assert value(archive.database, "select count(*) from core.image_timings") == 0
