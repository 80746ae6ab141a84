"""Crops over real HTTP: results and refusals of edits, and concurrent edits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.imaging.geometry import Crop
from trr_pipelines.imaging.signature import crop_signature
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import import_files, photo_ids, query, run, value
from trr_pipelines_tests.support.backends import ADMIN_APP, OTHER_ADMIN, admin

TIGHT = {"mode": "manual", "x": 20, "y": 10.5, "zoom": 2}
WIDE = {"mode": "manual", "x": 80, "y": 90, "zoom": 1}
FIRST = {"If-None-Match": "*"}


@pytest.fixture
def photo(archive: Archive, person: UUID, link: Callable[..., UUID]) -> UUID:
    """A mirrored photo without a crop."""
    found: UUID = value(archive.database, "select media_asset_id from core.media_links where id = %s", link(person))
    return found


@pytest.fixture
def rendered(archive: Archive, tmp_path: Path, render_pool: RenderPool) -> UUID:
    """A photo after the pipeline, with its proposal rendered."""
    run(archive, import_files(archive, tmp_path / "in", {"a.jpg": pictures.jpeg()}), pool=render_pool)
    return photo_ids(archive)["a.jpg"]


def put(client: httpx.Client, photo: UUID, body: object, **headers: str) -> httpx.Response:
    return client.put(f"/api/v1/admin/media-assets/{photo}/crop", json=body, headers={**ADMIN_APP, **headers})


def history(client: httpx.Client, photo: UUID) -> httpx.Response:
    return client.get(f"/api/v1/admin/media-assets/{photo}/crops", headers=ADMIN_APP)


def matching(response: httpx.Response) -> dict[str, str]:
    """The precondition for an edit after this response."""
    return {"If-Match": response.headers["etag"]}


def test_an_edit_returns_the_new_signature_and_its_etag(client: httpx.Client, archive: Archive, photo: UUID) -> None:
    response = put(client, photo, TIGHT, **FIRST)
    sha256 = value(archive.database, "select sha256 from core.media_assets where id = %s", photo)
    signature = crop_signature(Crop("manual", 20, 10.5, 2), sha256)
    assert response.status_code == 200
    assert response.json() == {
        "media_asset_id": str(photo),
        "signature": signature,
        "crop": {"mode": "manual", "x": 20.0, "y": 10.5, "zoom": 2.0, "signature": signature},
        "changed": True,
        "served": False,
    }
    assert response.headers["etag"] == f'"{signature}"'
    for tag in (f'"{signature}"', signature):
        again = put(client, photo, TIGHT, **{"If-Match": tag})
        assert (again.status_code, again.json()["changed"]) == (200, False)


def test_an_edit_without_a_precondition_is_refused(client: httpx.Client, archive: Archive, photo: UUID) -> None:
    path = f"/api/v1/admin/media-assets/{photo}"
    for headers in ({}, {"If-Match": "*"}, {"If-Match": ""}):
        for response in (
            put(client, photo, TIGHT, **headers),
            client.delete(f"{path}/crop", headers={**ADMIN_APP, **headers}),
            client.post(f"{path}/crops/{'0' * 64}/activate", headers={**ADMIN_APP, **headers}),
        ):
            assert response.status_code == 428
            assert response.headers["content-type"] == "application/problem+json"
    assert value(archive.database, "select count(*) from core.media_asset_crops") == 0


def test_a_conflicting_edit_is_412_with_the_current_signature(
    client: httpx.Client, archive: Archive, photo: UUID
) -> None:
    first = put(client, photo, TIGHT, **FIRST)
    second = put(client, photo, WIDE, **matching(first))
    current = second.json()["signature"]
    path = f"/api/v1/admin/media-assets/{photo}"
    for headers in (
        matching(first),
        FIRST,
        {"If-Match": f"W/{second.headers['etag']}"},
        {"If-Match": '""'},
        {"If-Match": f"{first.headers['etag']}, {second.headers['etag']}"},
    ):
        for response in (
            put(client, photo, TIGHT, **headers),
            client.delete(f"{path}/crop", headers={**ADMIN_APP, **headers}),
            client.post(f"{path}/crops/{first.json()['signature']}/activate", headers={**ADMIN_APP, **headers}),
        ):
            assert response.status_code == 412, headers
            if not headers.get("If-Match", "").startswith("W/"):
                assert current in response.json()["detail"]
                assert response.headers["etag"] == f'"{current}"'
    assert history(client, photo).json()["signature"] == current
    assert value(archive.database, "select count(*) from core.media_asset_crops") == 2


def test_contradicting_preconditions_are_422(client: httpx.Client, photo: UUID) -> None:
    for headers in ({"If-Match": "0" * 64, **FIRST}, {"If-None-Match": '"etag"'}):
        assert put(client, photo, TIGHT, **headers).status_code == 422


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        *((name, wrong) for name in ("x", "y") for wrong in (-0.1, 100.1, True, "50", None, [50], 10**400)),
        *(("zoom", wrong) for wrong in (0.9, 4.001, True, "2", None)),
        ("mode", "auto"),
        ("mode", "MANUAL"),
        ("note", "x"),
    ],
)
def test_an_invalid_crop_is_422_naming_the_field(client: httpx.Client, photo: UUID, field: str, wrong: object) -> None:
    response = put(client, photo, {**TIGHT, field: wrong}, **FIRST)
    assert response.status_code == 422
    assert [error["field"] for error in response.json()["errors"]] == [field]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_nan_and_infinity_are_422(client: httpx.Client, photo: UUID, number: str) -> None:
    response = client.put(
        f"/api/v1/admin/media-assets/{photo}/crop",
        content=f'{{"mode": "manual", "x": {number}, "y": 0, "zoom": 1}}',
        headers={**ADMIN_APP, **FIRST, "Content-Type": "application/json"},
    )
    assert response.status_code == 422


def test_one_of_concurrent_edits_wins_and_the_others_are_412(
    client: httpx.Client, archive: Archive, photo: UUID
) -> None:
    seen = put(client, photo, TIGHT, **FIRST)

    def edit(x: int) -> int:
        return put(client, photo, {**WIDE, "x": x}, **matching(seen)).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(edit, range(8)))
    assert statuses == [200] + [412] * 7
    assert value(archive.database, "select count(*) from core.media_asset_crops") == 2


def test_an_earlier_crop_and_the_proposal_can_be_restored(client: httpx.Client, rendered: UUID) -> None:
    before = history(client, rendered)
    tight = put(client, rendered, TIGHT, **matching(before))
    wide = put(client, rendered, WIDE, **matching(tight))
    path = f"/api/v1/admin/media-assets/{rendered}"
    back = client.post(f"{path}/crops/{tight.json()['signature']}/activate", headers={**ADMIN_APP, **matching(wide)})
    assert (back.status_code, back.json()["signature"]) == (200, tight.json()["signature"])
    auto = client.delete(f"{path}/crop", headers={**ADMIN_APP, **matching(back)})
    assert (auto.json()["signature"], auto.json()["served"]) == (before.json()["signature"], True)
    entries = history(client, rendered).json()["crops"]
    assert [(entry["mode"], entry["is_active"]) for entry in entries] == [
        ("auto", True), ("manual", False), ("manual", False), ("manual", False), ("auto", False),
    ]  # fmt: skip
    assert client.get(f"{path}/crops", params={"limit": 1}, headers=ADMIN_APP).json()["crops"] == entries[:1]


def test_a_photo_without_a_proposal_has_no_signature(client: httpx.Client, photo: UUID) -> None:
    first = put(client, photo, TIGHT, **FIRST)
    response = client.delete(f"/api/v1/admin/media-assets/{photo}/crop", headers={**ADMIN_APP, **matching(first)})
    assert response.status_code == 200
    assert "etag" not in response.headers
    assert (response.json()["signature"], response.json()["crop"], response.json()["changed"]) == (None, None, True)
    assert put(client, photo, TIGHT, **FIRST).status_code == 200


def test_the_history_and_the_audit_trail_name_the_acting_admin(
    client: httpx.Client, archive: Archive, photo: UUID
) -> None:
    first = put(client, photo, TIGHT, **FIRST, **{"X-TRR-Acting-Admin": OTHER_ADMIN})
    client.put(
        f"/api/v1/admin/media-assets/{photo}/crop", json=WIDE, headers={**admin(), **matching(first)}
    ).raise_for_status()
    entries = history(client, photo).json()["crops"]
    assert [entry["author"] for entry in entries] == ["admin@example.com", OTHER_ADMIN]
    rows: list[dict[str, Any]] = query(
        archive.database, "select actor, caller, old, new from core.audit_log order by id"
    )
    assert [(row["actor"], row["caller"]) for row in rows] == [
        (OTHER_ADMIN, "admin_app"),
        ("admin@example.com", "admin"),
    ]
    assert (rows[0]["old"]["crop"], rows[1]["old"]) == (None, rows[0]["new"])


def test_unknown_photos_and_crops_are_404(client: httpx.Client, photo: UUID) -> None:
    nothing = uuid4()
    assert put(client, nothing, TIGHT, **FIRST).status_code == 404
    assert history(client, nothing).status_code == 404
    first = put(client, photo, TIGHT, **FIRST)
    path = f"/api/v1/admin/media-assets/{photo}/crops"
    assert client.post(f"{path}/{'0' * 64}/activate", headers={**ADMIN_APP, **matching(first)}).status_code == 404
    assert client.post(f"{path}/latest/activate", headers={**ADMIN_APP, **matching(first)}).status_code == 422


def test_a_photo_that_is_not_mirrored_has_no_crop(
    client: httpx.Client, archive: Archive, person: UUID, link: Callable[..., UUID]
) -> None:
    pending = value(
        archive.database, "select media_asset_id from core.media_links where id = %s", link(person, served=False)
    )
    response = put(client, pending, TIGHT, **FIRST)
    assert (response.status_code, "is pending" in response.json()["detail"]) == (422, True)


# The own crop of a link --------------------------------------------------------------------------


@pytest.fixture
def links(archive: Archive, photo: UUID, person: UUID) -> list[UUID]:
    """The two links of a mirrored photo of the application."""
    query(
        archive.database,
        "insert into core.media_links (media_asset_id, person_id, kind, is_external) values (%s, %s, 'photo', true)",
        photo,
        person,
    )
    rows = query(archive.database, "update core.media_links set is_external = true returning id")
    return [row["id"] for row in rows]


def put_of_link(client: httpx.Client, photo: UUID, link: object, body: object, **headers: str) -> httpx.Response:
    return client.put(
        f"/api/v1/admin/media-assets/{photo}/crop",
        params={"link_id": str(link)},
        json=body,
        headers={**ADMIN_APP, **headers},
    )


def delete_of_link(client: httpx.Client, photo: UUID, link: object, **headers: str) -> httpx.Response:
    return client.delete(
        f"/api/v1/admin/media-assets/{photo}/crop", params={"link_id": str(link)}, headers={**ADMIN_APP, **headers}
    )


def own_crops(archive: Archive) -> dict[UUID, tuple[float, float, float] | None]:
    rows = query(archive.database, "select id, crop_x, crop_y, crop_zoom from core.media_links")
    return {
        row["id"]: None if row["crop_x"] is None else (row["crop_x"], row["crop_y"], row["crop_zoom"]) for row in rows
    }


def test_an_edit_of_a_link_changes_its_own_crop_only_and_is_audited(
    client: httpx.Client, archive: Archive, photo: UUID, links: list[UUID]
) -> None:
    first, second = links
    edit = put_of_link(client, photo, first, TIGHT, **FIRST)
    sha256 = value(archive.database, "select sha256 from core.media_assets where id = %s", photo)
    signature = crop_signature(Crop("manual", 20, 10.5, 2), sha256)
    assert edit.json() == {
        "media_asset_id": str(photo),
        "signature": signature,
        "crop": {"mode": "manual", "x": 20.0, "y": 10.5, "zoom": 2.0, "signature": signature},
        "changed": True,
        "served": False,
    }
    assert edit.headers["etag"] == f'"{signature}"'
    assert own_crops(archive) == {first: (20, 10.5, 2), second: None}
    assert value(archive.database, "select count(*) from core.media_asset_crops") == 0
    again = put_of_link(client, photo, first, TIGHT, **matching(edit))
    assert (again.status_code, again.json()["changed"]) == (200, False)
    removed = delete_of_link(client, photo, first, **matching(edit))
    assert (removed.json()["crop"], removed.json()["changed"], removed.json()["served"]) == (None, True, True)
    assert own_crops(archive) == {first: None, second: None}
    rows = query(archive.database, "select action, entity_kind, entity_id, old, new from core.audit_log order by id")
    assert [(row["action"], row["entity_kind"], row["entity_id"]) for row in rows] == [
        ("crop", "media_link", str(first))
    ] * 2
    of_photo, crop = {"media_asset_id": str(photo)}, edit.json()["crop"]
    assert (rows[0]["old"], rows[0]["new"]) == ({"crop": None, **of_photo}, {"crop": crop, **of_photo})
    assert (rows[1]["old"], rows[1]["new"]) == (rows[0]["new"], rows[0]["old"])


def test_the_precondition_of_a_link_is_the_crop_that_it_shows(
    client: httpx.Client, archive: Archive, photo: UUID, links: list[UUID]
) -> None:
    first, second = links
    own = put_of_link(client, photo, first, TIGHT, **FIRST)
    for link, headers in ((first, FIRST), (first, {"If-Match": "0" * 64}), (second, matching(own))):
        for response in (
            put_of_link(client, photo, link, WIDE, **headers),
            delete_of_link(client, photo, link, **headers),
        ):
            assert response.status_code == 412
            assert str(link) in response.json()["detail"]
    query(archive.database, "update core.media_links set is_external = false, kind = 'news' where id = %s", second)
    active = put(client, photo, WIDE, **FIRST)  # of the photo: not all of its links have crops of their own
    other = put_of_link(client, photo, second, TIGHT, **matching(active))
    assert other.json()["signature"] == own.json()["signature"]
    back = delete_of_link(client, photo, second, **matching(other))
    assert (back.json()["signature"], back.json()["changed"]) == (active.json()["signature"], True)


def test_a_link_of_another_photo_and_an_unknown_one_are_404_and_change_nothing(
    client: httpx.Client, archive: Archive, photo: UUID, links: list[UUID], person: UUID, link: Callable[..., UUID]
) -> None:
    before = own_crops(archive)
    foreign = link(person)
    for unknown in (foreign, uuid4()):
        assert put_of_link(client, photo, unknown, TIGHT, **FIRST).status_code == 404
        response = delete_of_link(client, photo, unknown, **FIRST)
        assert (response.status_code, str(unknown) in response.json()["detail"]) == (404, True)
    malformed = put_of_link(client, photo, "7", TIGHT, **FIRST)
    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (422, "link_id")
    assert own_crops(archive) == {**before, foreign: None}


def test_without_a_link_the_only_one_of_the_application_is_edited_and_of_several_none(
    client: httpx.Client, archive: Archive, photo: UUID, links: list[UUID]
) -> None:
    for response in (
        put(client, photo, TIGHT, **FIRST),
        client.delete(f"/api/v1/admin/media-assets/{photo}/crop", headers={**ADMIN_APP, **FIRST}),
    ):
        assert (response.status_code, "has 2 links" in response.json()["detail"]) == (422, True)
    query(archive.database, "delete from core.media_links where id = %s", links[1])
    edit = put(client, photo, TIGHT, **FIRST)
    assert (edit.status_code, own_crops(archive)) == (200, {links[0]: (20, 10.5, 2)})
    assert put(client, photo, WIDE, **FIRST).status_code == 412
