"""One photo over real HTTP: its details, the reasons for its served files, and replacing its original."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, photo_ids, query, run, value
from trr_pipelines_tests.support.backends import ADMIN_APP, OTHER_ADMIN

PHOTO, BETTER, TWIN = (pictures.jpeg(width, 300, seed=width) for width in (400, 600, 500))
FILES = {"a.jpg": PHOTO, "twin.jpg": TWIN, "cut.jpg": pictures.jpeg(seed=9)[:4000]}


@pytest.fixture
def ids(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> dict[str, UUID]:
    """Two valid photos of a season and a truncated one."""
    run(archive, import_files(archive, tmp_path / "in", FILES, show="The Valley", season=2), pool=render_pool)
    return photo_ids(archive)


def get(client: httpx.Client, photo: UUID, what: str = "") -> httpx.Response:
    return client.get(f"/api/v1/admin/media-assets/{photo}{what}", headers=ADMIN_APP)


def put(client: httpx.Client, photo: UUID, data: Any, content_type: str = "image/jpeg") -> httpx.Response:
    headers = {**ADMIN_APP, "Content-Type": content_type, "X-TRR-Acting-Admin": OTHER_ADMIN}
    return client.put(f"/api/v1/admin/media-assets/{photo}/original", content=data, headers=headers)


def test_a_photo_has_its_urls_links_and_work(client: httpx.Client, archive: Archive, ids: dict[str, UUID]) -> None:
    asset = get(client, ids["a.jpg"]).json()
    assert (asset["state"], asset["bytes"], asset["width"], asset["height"]) == ("mirrored", len(PHOTO), 400, 300)
    assert [(link["title"], link["season"], link["person_id"]) for link in asset["links"]] == [("The Valley", 2, None)]
    assert [work["state"] for work in asset["generations"]] == ["complete"] * 3
    assert [version["author"] for version in asset["versions"]] == ["import"]
    assert asset["crop"]["mode"] == "auto"
    for name in ("original_url", "display_url", "detail_url", "crop_display_url", "crop_detail_url"):
        assert client.get(asset[name].removeprefix("http://127.0.0.1:8000")).status_code == 200


def test_each_url_is_explained(client: httpx.Client, archive: Archive, ids: dict[str, UUID]) -> None:
    asset, explanation = get(client, ids["a.jpg"]).json(), get(client, ids["a.jpg"], "/explain").json()
    served = explanation["served"]
    assert {name: served[name]["url"] for name in served} == {name: asset[name] for name in served}
    assert "present recipe" in served["display_url"]["why"]
    assert asset["crop"]["signature"] in served["crop_display_url"]["why"]
    assert [(kept["kind"], kept["is_current_recipe"], kept["is_current_original"]) for kept in explanation["sets"]] == [
        ("base", True, True),
        ("crop", True, True),
    ]
    assert [work["run_id"] for work in explanation["generations"]] == ["run-1"] * 3
    assert explanation["last_error"] is None


def test_a_pending_edit_and_too_large_files_are_given_as_reasons(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    query(archive.database, "update core.media_asset_crops set crop_signature = repeat('f', 64)")
    query(archive.database, "update core.media_assets set bytes = 1, metadata = metadata || '{\"original_unfit\": []}'")
    served = get(client, ids["a.jpg"], "/explain").json()["served"]
    assert served["display_url"]["url"] == get(client, ids["a.jpg"]).json()["original_url"]
    assert "every card is bigger" in served["display_url"]["why"]
    assert "bigger than the original" in served["crop_display_url"]["why"]
    query(archive.database, "update core.media_assets set metadata = metadata - 'original_unfit'")
    served = get(client, ids["a.jpg"], "/explain").json()["served"]
    assert f"the active crop {'f' * 64} is not rendered yet" in served["crop_display_url"]["why"]


def test_a_failed_photo_has_its_last_error(client: httpx.Client, ids: dict[str, UUID]) -> None:
    explanation = get(client, ids["cut.jpg"], "/explain").json()
    assert (explanation["state"], explanation["last_error"]["reason"]) == ("failed", "truncated")
    assert "there is no base set" in explanation["served"]["display_url"]["why"]
    assert "truncated" in explanation["served"]["display_url"]["why"]
    assert explanation["served"]["crop_display_url"] == {"url": None, "why": "no crop is active"}


def test_a_better_file_replaces_the_original_and_is_audited(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    before = get(client, ids["cut.jpg"]).json()["sha256"]
    response = put(client, ids["cut.jpg"], BETTER)
    assert (response.status_code, response.json()["changed"]) == (200, True)
    asset = get(client, ids["cut.jpg"]).json()
    assert (asset["state"], asset["sha256"], asset["bytes"]) == ("mirrored", response.json()["sha256"], len(BETTER))
    assert [version["author"] for version in asset["versions"]] == [OTHER_ADMIN, "import"]
    assert put(client, ids["cut.jpg"], BETTER).json()["changed"] is False
    (row,) = query(archive.database, "select actor, action, old, new from core.audit_log")
    assert (row["actor"], row["action"]) == (OTHER_ADMIN, "original")
    assert (row["old"]["sha256"], row["new"]["sha256"]) == (before, asset["sha256"])


@pytest.mark.parametrize(
    ("data", "reason"), [(b"", "empty_file"), (b"<svg/>", "unsupported_format"), (FILES["cut.jpg"], "truncated")]
)
def test_an_invalid_image_is_422_with_its_reason_and_changes_nothing(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID], data: bytes, reason: str
) -> None:
    response = put(client, ids["a.jpg"], data)
    assert (response.status_code, response.json()["reason"]) == (422, reason)
    assert value(archive.database, "select count(*) from core.media_asset_versions") == len(FILES)


def test_bytes_of_another_photo_are_409_and_wrong_types_and_sizes_are_refused(
    client: httpx.Client, ids: dict[str, UUID]
) -> None:
    response = put(client, ids["a.jpg"], TWIN)
    assert (response.status_code, str(ids["twin.jpg"]) in response.json()["detail"]) == (409, True)
    for content_type in ("application/octet-stream", "application/json", "text/html"):
        assert put(client, ids["a.jpg"], PHOTO, content_type).status_code == 415
    chunk = b"\0" * 1_000_000
    assert put(client, ids["a.jpg"], (chunk for _ in range(51))).status_code == 413
    assert put(client, uuid4(), PHOTO).status_code == 404


def test_unknown_photos_are_404(client: httpx.Client) -> None:
    for what in ("", "/explain"):
        assert get(client, uuid4(), what).status_code == 404
        assert client.get(f"/api/v1/admin/media-assets/nothing{what}", headers=ADMIN_APP).status_code == 422


def test_operations_are_reported_in_figures(client: httpx.Client, archive: Archive, ids: dict[str, UUID]) -> None:
    client.post(f"/api/v1/admin/media-assets/{ids['a.jpg']}/reprocess", headers=ADMIN_APP)
    query(archive.database, "update core.media_assets set created_at = now() - interval '1 year'")
    query(archive.database, "update core.variant_generations set asked_at = asked_at - interval '1 hour'")
    operations = client.get("/api/v1/admin/operations", headers=ADMIN_APP).json()
    base = operations["queue"]["base"]
    assert (base["waiting"], base["asked_again"], base["running"], base["ended_failed"]) == (1, 1, 0, 1)
    assert 3600 <= operations["lag_seconds"] < 7200, "the request is an hour old, not the photo"
    assert operations["failures"] == [{"source": "deadline", "reason": "truncated", "photos": 1}]
    assert (operations["failed_by_reason"], operations["failed_by_source"]) == ({"truncated": 1}, {"deadline": 1})
    saved = operations["saved"]
    assert saved["photos"] == 2
    assert saved["bytes_before"] == len(PHOTO) + len(TWIN)
    assert saved["bytes_saved"] == saved["bytes_before"] - saved["bytes_after"]
    assert operations["backfills"] == []
