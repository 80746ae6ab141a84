"""The face-bank toggle and the photos for Screenalytics, over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import UUID, uuid4

import httpx
import pytest

from trr_pipelines.api.cursors import encode_cursor
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.backends import ADMIN_APP, OTHER_ADMIN, SCREENALYTICS, admin

Link = Callable[..., UUID]
NOW, ID = int(time.time() * 1e6), str(UUID(int=1))


def toggle(client: httpx.Client, person: UUID | str, link: UUID | str, body: object, **headers: str) -> httpx.Response:
    return client.patch(
        f"/api/v1/admin/person/{person}/gallery/{link}/facebank-seed", json=body, headers={**ADMIN_APP, **headers}
    )


def photos(client: httpx.Client, person: UUID | str, **params: str | int) -> httpx.Response:
    return client.get(f"/api/v1/screenalytics/people/{person}/photos", params=params, headers=SCREENALYTICS)


def test_a_photo_is_flagged_and_unflagged(client: httpx.Client, archive: Archive, person: UUID, link: Link) -> None:
    photo = link(person)
    for flag in (True, False):
        response = toggle(client, person, photo, {"facebank_seed": flag})
        assert response.status_code == 200
        assert response.json() == {"link_id": str(photo), "person_id": str(person), "facebank_seed": flag}
        assert value(archive.database, "select facebank_seed from core.media_links where id = %s", photo) is flag


def test_a_change_is_audited_with_its_admin_and_a_repetition_is_not(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    photo = link(person)
    toggle(client, person, photo, {"facebank_seed": True}, **{"X-TRR-Acting-Admin": OTHER_ADMIN.upper()})
    toggle(client, person, photo, {"facebank_seed": True})
    client.patch(
        f"/api/v1/admin/person/{person}/gallery/{photo}/facebank-seed", json={"facebank_seed": False}, headers=admin()
    )
    rows = query(archive.database, "select actor, caller, action, entity_id, old, new from core.audit_log order by id")
    assert [(row["actor"], row["caller"], row["action"], row["entity_id"]) for row in rows] == [
        (OTHER_ADMIN.upper(), "admin_app", "facebank_seed", str(photo)),
        ("admin@example.com", "admin", "facebank_seed", str(photo)),
    ]
    assert [(row["old"]["facebank_seed"], row["new"]["facebank_seed"]) for row in rows] == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"facebank_seed": "true"},
        {"facebank_seed": 1},
        {"facebank_seed": None},
        {},
        {"facebank_seed": True, "note": "x"},
        [],
        None,
        True,
    ],
)
def test_a_body_of_another_shape_is_422_and_changes_nothing(
    client: httpx.Client, archive: Archive, person: UUID, link: Link, body: object
) -> None:
    photo = link(person)
    response = toggle(client, person, photo, body)
    assert response.status_code == 422
    assert response.json()["errors"]
    assert value(archive.database, "select facebank_seed from core.media_links") is False


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_json_is_415(client: httpx.Client, person: UUID, link: Link, content_type: str) -> None:
    response = client.patch(
        f"/api/v1/admin/person/{person}/gallery/{link(person)}/facebank-seed",
        content=b'{"facebank_seed": true}',
        headers={**ADMIN_APP, "Content-Type": content_type},
    )
    assert response.status_code == 415


def test_a_too_large_body_is_413_with_and_without_content_length(
    client: httpx.Client, person: UUID, link: Link
) -> None:
    path = f"/api/v1/admin/person/{person}/gallery/{link(person)}/facebank-seed"
    headers = {**ADMIN_APP, "Content-Type": "application/json"}
    large = b" " * 1_000_001
    assert client.patch(path, content=large, headers=headers).status_code == 413
    assert client.patch(path, content=iter([large[:600_000], large[:600_000]]), headers=headers).status_code == 413


def test_malformed_ids_are_422_naming_the_field(client: httpx.Client, person: UUID) -> None:
    for where, response in {
        "person_id": toggle(client, "unknown", uuid4(), {"facebank_seed": True}),
        "link_id": toggle(client, person, "nothing", {"facebank_seed": True}),
    }.items():
        assert response.status_code == 422
        assert [error["field"] for error in response.json()["errors"]] == [where]


def test_a_link_of_another_person_is_404_and_unchanged(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    photo = link(person)
    (other,) = query(archive.database, "insert into core.people (full_name) values ('Person Two') returning id")
    for person_id, link_id in [(other["id"], photo), (uuid4(), photo), (person, uuid4())]:
        response = toggle(client, person_id, link_id, {"facebank_seed": True})
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/problem+json"
    assert value(archive.database, "select count(*) from core.media_links where facebank_seed") == 0
    assert value(archive.database, "select count(*) from core.audit_log") == 0


def test_screenalytics_reads_all_photos_or_only_seeds(client: httpx.Client, person: UUID, link: Link) -> None:
    links = [link(person, seed=True), link(person), link(person, seed=True)]
    everything = photos(client, person)
    assert [photo["link_id"] for photo in everything.json()] == [str(link_id) for link_id in links]
    headers = ("X-Total-Count", "X-Unserved", "Link")
    assert [everything.headers.get(name) for name in headers] == ["3", "0", None]
    seeds = photos(client, person, seed_only="true")
    assert seeds.json() == [photo for photo in everything.json() if photo["facebank_seed"]]
    assert seeds.headers["X-Total-Count"] == "2"
    assert set(seeds.json()[0]) == {
        "served_url", "hosted_key", "is_primary", "width", "height", "kind", "link_id", "media_asset_id", "sha256",
        "source", "facebank_seed", "caption", "updated_at",
    }  # fmt: skip


def test_photos_are_listed_best_first(client: httpx.Client, archive: Archive, person: UUID, link: Link) -> None:
    links = [link(person) for _ in range(5)]
    query(archive.database, "update core.media_links set position = 7 where id = any(%s)", links[:3])
    query(archive.database, "update core.media_links set is_primary = true where id = any(%s)", links[2:3])
    expected = [links[2], links[3], links[4], *sorted(links[:2])]
    assert [photo["link_id"] for photo in photos(client, person).json()] == [str(link_id) for link_id in expected]
    assert [photo["is_primary"] for photo in photos(client, person).json()] == [True, False, False, False, False]


def test_unserved_photos_are_counted_but_not_listed(client: httpx.Client, person: UUID, link: Link) -> None:
    link(person, seed=True, served=False)
    response = photos(client, person, seed_only="true")
    assert (response.json(), response.headers["X-Total-Count"], response.headers["X-Unserved"]) == ([], "0", "1")


def pages(client: httpx.Client, person: UUID, between: Callable[[int], object] = lambda _: None) -> list[list[str]]:
    """The links of each page of three, by following `Link`; `between` is called with the number of each page."""
    found: list[list[str]] = []
    response = photos(client, person, limit=3)
    while True:
        found.append([photo["link_id"] for photo in response.json()])
        following = response.links.get("next")
        if following is None:
            return found
        between(len(found))
        response = client.get(following["url"], headers=SCREENALYTICS)


def test_pages_list_every_photo_once(client: httpx.Client, person: UUID, link: Link) -> None:
    links = [str(link(person)) for _ in range(7)]
    assert pages(client, person) == [links[:3], links[3:6], links[6:]]
    by_offset = [photos(client, person, limit=3, offset=offset).json() for offset in (0, 3, 6, 9)]
    assert [[photo["link_id"] for photo in page] for page in by_offset] == [links[:3], links[3:6], links[6:], []]


def test_photos_that_come_and_go_between_pages_skip_and_repeat_none(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    links = [link(person) for _ in range(9)]

    def change(page: int) -> None:
        first = link(person)  # a new photo before all others, and one that is gone
        query(archive.database, "update core.media_links set is_primary = true where id = %s", first)
        query(archive.database, "delete from core.media_links where id = %s", links[page - 1])

    assert [link_id for page in pages(client, person, change) for link_id in page] == [str(one) for one in links]


def test_photos_that_move_between_pages_keep_the_order_in_which_the_list_was_begun(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    """By their new rank, those that move forwards would be skipped, and those that move back repeated."""
    links = [link(person) for _ in range(12)]

    def change(page: int) -> None:
        move = "update core.media_links set position = %s, is_primary = %s where id = %s"
        query(archive.database, move, 100 + page, False, links[0])  # seen, now at the end; moved again each time
        query(archive.database, move, -page, True, links[3 * page + 1])  # not seen, now at the start
        query(archive.database, move, -page, False, links[11])
        query(archive.database, "update core.media_links set position = position + 1 where id = %s", links[11])

    assert [link_id for page in pages(client, person, change) for link_id in page] == [str(one) for one in links]
    again = [link_id for page in pages(client, person) for link_id in page]
    assert (again[0], again[-1], len(set(again))) == (str(links[10]), str(links[0]), 12)


def test_a_move_that_is_committed_after_the_first_page_comes_later_whenever_it_began(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    links = [link(person) for _ in range(6)]
    with archive.database.transaction() as conn:
        conn.execute("update core.media_links set position = 0 where id = %s", [links[5]])
        first = photos(client, person, limit=3)
    second = client.get(first.links["next"]["url"], headers=SCREENALYTICS)
    listed = [photo["link_id"] for response in (first, second) for photo in response.json()]
    assert listed == [str(one) for one in links]


def test_earlier_ranks_are_kept_for_an_hour(archive: Archive, person: UUID, link: Link) -> None:
    first, second = link(person), link(person)
    for one in (first, second):
        query(archive.database, "update core.media_links set position = position + 9 where id = %s", one)
        query(archive.database, "update core.media_link_ranks set replaced_at = now() - interval '61 minutes'")
    query(archive.database, "update core.media_links set caption = 'another' where id = %s", first)
    assert value(archive.database, "select count(*) from core.media_link_ranks") == 1
    query(archive.database, "delete from core.media_links")
    assert value(archive.database, "select count(*) from core.media_link_ranks") == 0


def test_a_next_page_has_the_same_list_and_size(client: httpx.Client, person: UUID, link: Link) -> None:
    for _ in range(3):
        link(person, seed=True)
    following = photos(client, person, seed_only="true", limit=2).links["next"]["url"]
    assert following.startswith(f"/api/v1/screenalytics/people/{person}/photos?seed_only=true&limit=2&cursor=")


@pytest.mark.parametrize(
    "params",
    [
        {"seed_only": "1"},
        {"seed_only": "yes"},
        {"seed_only": ""},
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "ten"},
        {"cursor": "x"},
        {"cursor": "WzFd"},
        {"cursor": "é"},
        {"cursor": encode_cursor("1:1:", NOW, 2, 1, ID)},
        {"cursor": encode_cursor("1:1:", NOW, 0, 2**31, ID)},
        {"cursor": encode_cursor("1:1:", NOW, 0, 1, "x")},
        {"cursor": encode_cursor("1:1:", NOW - 7_200_000_000, 0, 1, ID)},
        {"cursor": encode_cursor("1:1:", 10**30, 0, 1, ID)},
        {"cursor": encode_cursor("one", NOW, 0, 1, ID)},
        {"cursor": encode_cursor("9:1:", NOW, 0, 1, ID)},
        {"cursor": encode_cursor("1:9:5,4", NOW, 0, 1, ID)},
        {"cursor": encode_cursor("1:1:", NOW, 0, 1, ID), "offset": "1"},
        {"offset": "-1"},
        {"offset": "2147483648"},
    ],
)
def test_an_invalid_parameter_is_422(client: httpx.Client, person: UUID, params: dict[str, str]) -> None:
    assert photos(client, person, **params).status_code == 422


def test_an_unknown_person_is_404(client: httpx.Client) -> None:
    assert photos(client, uuid4()).status_code == 404


def test_seeds_are_the_flagged_subset_during_concurrent_toggles(
    client: httpx.Client, archive: Archive, person: UUID, link: Link
) -> None:
    links = [link(person) for _ in range(6)]
    stop = threading.Event()

    def toggling() -> None:
        flags = dict.fromkeys(links, False)
        while not stop.is_set():
            for link_id in links:
                flags[link_id] = not flags[link_id]
                assert toggle(client, person, link_id, {"facebank_seed": flags[link_id]}).status_code == 200

    thread = threading.Thread(target=toggling)
    thread.start()
    try:
        for _ in range(40):
            everything = photos(client, person).json()
            seeds = photos(client, person, seed_only="true").json()
            assert {photo["link_id"] for photo in seeds} <= {photo["link_id"] for photo in everything}
            assert all(photo["facebank_seed"] for photo in seeds)
    finally:
        stop.set()
        thread.join()
    everything = photos(client, person).json()
    assert photos(client, person, seed_only="true").json() == [p for p in everything if p["facebank_seed"]]
