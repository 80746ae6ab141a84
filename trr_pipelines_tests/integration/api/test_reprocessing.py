"""Reprocessing over real HTTP: reopened work, estimates, and refusals."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.catalogue.audit import Author
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.errors import InputError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rework import reprocessing
from trr_pipelines.pipeline.rework.reprocessing import ReprocessFilter, plan_reprocessing, reprocess
from trr_pipelines.pipeline.rework.rerender import rerender_photos
from trr_pipelines.pipeline.scheduling import request_batches, request_retries
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, ledger_of, photo_ids, query, run, value
from trr_pipelines_tests.support.backends import ADMIN_APP, admin

FILES = {"a.jpg": pictures.jpeg(), "b.jpg": pictures.jpeg(seed=1), "cut.jpg": pictures.jpeg()[:4000], "no.jpg": b"text"}


@pytest.fixture
def ids(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> dict[str, UUID]:
    """Two valid photos of a season, a truncated one, and a file that is not an image."""
    batch = import_files(archive, tmp_path / "in", FILES, show="The Valley", season=2)
    run(archive, batch, pool=render_pool)
    return photo_ids(archive)


def post_reprocess(client: httpx.Client, **filters: object) -> httpx.Response:
    return client.post("/api/v1/admin/reprocess", json=filters, headers=ADMIN_APP)


def due(archive: Archive) -> set[UUID]:
    """The photos in the scope of scattered work."""
    request = request_retries(archive.database, lambda _: True)
    return set() if request is None else set(request.photo_ids)


def test_one_photo_is_reprocessed_by_the_run_of_scattered_photos_not_by_its_batch(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    path = f"/api/v1/admin/media-assets/{ids['a.jpg']}/reprocess"
    response = client.post(path, headers=ADMIN_APP)
    assert (response.status_code, response.json()["reopened"]) == (202, ["base", "crop"])
    assert client.post(path, headers=ADMIN_APP).json()["reopened"] == []
    assert due(archive) == {ids["a.jpg"]}
    assert request_batches(archive.database, lambda _: True) == []
    tally = rerender_photos(archive, Scope(photo_ids=(ids["a.jpg"],)), "again", None).tally
    assert (tally.complete, tally.objects_written, tally.rows_written) == (1, 0, 0)
    assert ledger_of(archive, "a.jpg") == {"original": "complete", "base": "complete", "crop": "complete"}
    assert due(archive) == set()
    (row,) = query(archive.database, "select action, entity_id, new from core.audit_log")
    assert (row["action"], row["entity_id"], row["new"]) == (
        "reprocess", str(ids["a.jpg"]), {"reopened": ["base", "crop"]},
    )  # fmt: skip


def test_a_lost_object_is_restored(client: httpx.Client, archive: Archive, ids: dict[str, UUID]) -> None:
    keys = [row["hosted_key"] for row in query(archive.database, "select hosted_key from core.media_asset_variants")]
    archive.store.delete(keys)
    assert post_reprocess(client, source="deadline").json()["photos"] == 4
    rerender_photos(archive, Scope(photo_ids=tuple(ids.values())), "again", None)
    assert all(archive.store.head(key) for key in keys)


def test_only_the_failed_work_of_failed_photos_is_reprocessed(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    reason = ledger_of(archive, "cut.jpg")["base"]
    assert post_reprocess(client, reason=reason).json()["photos"] == 1
    assert due(archive) == {ids["cut.jpg"]}
    assert ledger_of(archive, "cut.jpg") == {"original": "pending", "base": "pending", "crop": "pending"}
    assert ledger_of(archive, "no.jpg") == {"original": "not_an_image"}
    assert post_reprocess(client, state="failed").json()["photos"] == 1
    assert due(archive) == {ids["cut.jpg"], ids["no.jpg"]}


def test_filters_are_combined_and_a_show_includes_its_seasons(client: httpx.Client, ids: dict[str, UUID]) -> None:
    assert post_reprocess(client, show="the-valley", dry_run=True).json()["photos"] == 4
    assert post_reprocess(client, show="the-valley", state="mirrored", dry_run=True).json()["photos"] == 2
    assert post_reprocess(client, source="deadline", reason="not_an_image", dry_run=True).json()["photos"] == 1
    assert post_reprocess(client, state="pending", dry_run=True).json()["photos"] == 0


def test_a_dry_run_returns_the_estimate_and_changes_nothing(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    response = post_reprocess(client, state="mirrored", dry_run=True)
    assert response.status_code == 202
    price = response.json()
    assert price["dry_run"] is True
    assert price["bytes_to_read"] == len(FILES["a.jpg"]) + len(FILES["b.jpg"])
    assert price["photos_per_second"] > 0
    assert price["minutes"] == pytest.approx(2 / price["photos_per_second"] / 60, abs=0.1)
    assert price["new_storage_bytes"] == 0
    query(archive.database, "update core.variant_generations set recipe = 'older' where kind = 'base'")
    sets = value(archive.database, "select sum(bytes)::bigint from core.media_asset_variants where crop_signature = ''")
    assert post_reprocess(client, state="mirrored", dry_run=True).json()["new_storage_bytes"] == pytest.approx(
        sets, abs=1
    )
    assert due(archive) == set()
    assert value(archive.database, "select count(*) from core.audit_log") == 0


def test_a_request_above_the_limit_is_not_fully_counted_and_is_refused(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert post_reprocess(client, state="mirrored", dry_run=True).json()["photos_capped"] is False
    monkeypatch.setattr(reprocessing, "MAX_PHOTOS", 1)
    assert plan_reprocessing(archive.database, ReprocessFilter(state="mirrored")).photos_capped
    with pytest.raises(InputError, match="2 photos match, or more; at most 1 at a time"):
        reprocess(archive.database, ReprocessFilter(state="mirrored"), author=Author("admin@example.com", "admin"))
    assert due(archive) == set()


def test_a_large_request_is_done_in_parts_and_is_one_request(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reprocessing, "PHOTOS_AT_ONCE", 1)
    answer = post_reprocess(client, source="deadline").json()
    assert answer["photos"] == 4
    report = client.get(f"/api/v1/admin/reprocess/{answer['id']}", headers=ADMIN_APP).json()
    assert (report["photos"], report["open"], report["gone"]) == (4, 4, 0)
    assert due(archive) == set(ids.values())
    assert value(archive.database, "select count(*) from core.audit_log where action = 'reprocess'") == 1
    assert post_reprocess(client, source="deadline").json()["id"] is None


def test_the_estimate_is_unknown_before_anything_is_rendered(
    client: httpx.Client, archive: Archive, tmp_path: Path
) -> None:
    import_files(archive, tmp_path / "in", {"a.jpg": FILES["a.jpg"]})
    price = post_reprocess(client, source="deadline", dry_run=True).json()
    assert (price["photos"], price["minutes"], price["new_storage_bytes"]) == (0, None, None)


@pytest.mark.parametrize(
    ("filters", "named"),
    [
        ({}, "at least one"),
        ({"dry_run": True}, "at least one"),
        ({"state": "broken"}, "'broken'"),
        ({"reason": "bad_luck"}, "'bad_luck'"),
        ({"source": "nowhere"}, "'nowhere'"),
        ({"show": "no-such-show"}, "'no-such-show'"),
        ({"show": str(uuid4())}, "unknown show"),
        ({"state": "failed", "who": "me"}, "who"),
        ({"state": ""}, "state"),
        ({"state": "failed", "dry_run": "true"}, "dry_run"),
    ],
)
def test_unknown_filter_values_are_refused_by_name(
    client: httpx.Client, filters: dict[str, object], named: str
) -> None:
    response = post_reprocess(client, **filters)
    assert response.status_code == 422
    assert named in response.json()["detail"]


def test_an_unknown_photo_is_404(client: httpx.Client) -> None:
    assert client.post(f"/api/v1/admin/media-assets/{uuid4()}/reprocess", headers=ADMIN_APP).status_code == 404


def test_a_report_counts_fixed_and_failing_photos_by_reason(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    query(archive.database, "update core.variant_generations set reason = 'corrupt' where reason = 'not_an_image'")
    assert post_reprocess(client, state="failed", dry_run=True).json()["id"] is None
    number = post_reprocess(client, state="failed").json()["id"]
    path = f"/api/v1/admin/reprocess/{number}"
    report = client.get(path, headers=ADMIN_APP).json()
    assert [report[name] for name in ("photos", "fixed", "open", "is_done")] == [2, 0, 2, False]
    rerender_photos(archive, Scope(photo_ids=tuple(due(archive))), "again", None)
    report = client.get(path, headers=ADMIN_APP).json()
    assert report["filter"] == {"state": "failed", "reason": None, "source": None, "show": None}
    assert [report[name] for name in ("open", "fixed", "gone", "is_done")] == [0, 0, 0, True]
    assert (report["still_failing"], report["failing_otherwise"]) == ({"truncated": 1}, {"not_an_image": 1})
    assert report["seconds"] > 0
    assert client.get("/api/v1/admin/operations", headers=ADMIN_APP).json()["retries"] == [report]


def test_a_replaced_photo_counts_as_fixed_and_a_removed_one_as_gone(
    client: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    number = post_reprocess(client, show="the-valley").json()["id"]
    better = {**ADMIN_APP, "Content-Type": "image/jpeg"}
    path = f"/api/v1/admin/media-assets/{ids['cut.jpg']}/original"
    client.put(path, content=pictures.jpeg(seed=3), headers=better).raise_for_status()
    rerender_photos(archive, Scope(photo_ids=tuple(ids.values())), "again", None)
    client.delete(f"/api/v1/admin/media-assets/{ids['a.jpg']}", headers=admin()).raise_for_status()
    report = client.get(f"/api/v1/admin/reprocess/{number}", headers=ADMIN_APP).json()
    assert [report[name] for name in ("photos", "fixed", "gone")] == [4, 2, 1]
    assert report["still_failing"] == {"not_an_image": 1}


@pytest.mark.parametrize(("number", "status"), [("7", 404), ("0", 422), ("x", 422), ("9" * 30, 422)])
def test_an_unknown_request_has_no_report(client: httpx.Client, number: str, status: int) -> None:
    assert client.get(f"/api/v1/admin/reprocess/{number}", headers=ADMIN_APP).status_code == status
