"""Shows, people and slugs over real HTTP."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import httpx
import pytest

from trr_pipelines.catalogue import imports
from trr_pipelines.catalogue.database import Connection
from trr_pipelines.catalogue.imports import NewLink, Target
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import DAY, query
from trr_pipelines_tests.support.backends import ADMIN_APP, admin

UNKNOWN_ID = UUID(int=1)


@pytest.fixture
def ids(archive: Archive) -> dict[str, UUID]:
    """Two shows, one of them with a season, and two people; three photos linked to them."""

    def work(conn: Connection) -> dict[str, UUID]:
        entity_ids = {
            "valley": imports.ensure_show(conn, "The Valley: Persian Style"),
            "other": imports.ensure_show(conn, "Another Show"),
            "one": imports.ensure_person(conn, "Person One"),
            "two": imports.ensure_person(conn, "person two"),
        }
        season = imports.ensure_season(conn, entity_ids["valley"], 2)
        imports.ensure_season(conn, entity_ids["valley"], 1)
        photos = list(imports.add_photos(conn, "deadline", DAY, ["a", "b", "c"]).ids.values())
        places = [
            (photos[0], Target(show_id=entity_ids["valley"]), "photo"),
            (photos[1], Target(season_id=season), "photo"),
            (photos[2], Target(season_id=season), "news"),
            (photos[0], Target(person_id=entity_ids["one"]), "photo"),
        ]
        imports.add_links(conn, [NewLink(photo, target, kind, 0, "", ()) for photo, target, kind in places])
        return entity_ids

    return archive.database.run(work)


@pytest.fixture
def app(client: httpx.Client, ids: dict[str, UUID]) -> httpx.Client:
    """A client as the admin app."""
    client.headers.update(ADMIN_APP)
    return client


def get(client: httpx.Client, path: str, **params: Any) -> Any:
    response = client.get(f"/api/v1/admin/{path}", params=params)
    assert response.status_code == 200, response.text
    return response.json()


def rename(client: httpx.Client, path: str, **body: Any) -> httpx.Response:
    return client.patch(f"/api/v1/admin/{path}", json=body, headers=admin())


def counts(**kinds: int) -> dict[str, int]:
    return {"photo": 0, "video_still": 0, "brand": 0, "social": 0, "news": 0, "total": 0, **kinds}


def test_shows_are_listed_by_title_with_counts_including_seasons(app: httpx.Client, ids: dict[str, UUID]) -> None:
    shows = get(app, "shows")
    assert shows["next_cursor"] is None
    assert [(show["id"], show["slug"], show["title"], show["counts"]) for show in shows["items"]] == [
        (str(ids["other"]), "another-show", "Another Show", counts(seasons=0)),
        (
            str(ids["valley"]),
            "the-valley-persian-style",
            "The Valley: Persian Style",
            counts(photo=2, news=1, total=3, seasons=2),
        ),
    ]


def test_a_show_has_its_seasons(app: httpx.Client, ids: dict[str, UUID]) -> None:
    show = get(app, "shows/the-valley-persian-style")
    assert show == get(app, f"shows/{ids['valley']}")
    assert [(season["number"], season["counts"]) for season in show["seasons"]] == [
        (1, counts()),
        (2, counts(photo=1, news=1, total=2)),
    ]


def test_people_are_listed_by_name_ignoring_case(app: httpx.Client, ids: dict[str, UUID]) -> None:
    people = get(app, "people")["items"]
    assert [person["full_name"] for person in people] == ["Person One", "person two"]
    assert people[0] == get(app, "people/person-one") == get(app, f"people/{ids['one']}")
    assert people[0]["counts"] == counts(photo=1, total=1, facebank_seeds=0)


def test_a_search_matches_literal_text_in_names(app: httpx.Client) -> None:
    assert [show["slug"] for show in get(app, "shows", q="VALLEY")["items"]] == ["the-valley-persian-style"]
    assert get(app, "people", q="%")["items"] == []
    assert len(get(app, "people", q="")["items"]) == 2


def test_pages_list_every_person_once_in_order(app: httpx.Client, archive: Archive) -> None:
    names = [f"Person {number:03}" for number in range(15)]
    archive.database.run(lambda conn: [imports.ensure_person(conn, name) for name in reversed(names)])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = get(app, "people", q="person 0", limit=4, **cursor)
        seen += [person["full_name"] for person in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert seen == names


def test_an_entity_without_a_slug_is_addressed_by_its_id(app: httpx.Client, archive: Archive) -> None:
    (row,) = query(archive.database, "insert into core.people (full_name) values ('A Person') returning id")
    assert get(app, "people")["items"][0]["slug"] == str(row["id"]) == get(app, f"people/{row['id']}")["slug"]


def test_a_rename_changes_the_slug_and_keeps_the_old_one(
    app: httpx.Client, archive: Archive, ids: dict[str, UUID]
) -> None:
    response = rename(app, "shows/the-valley-persian-style", title="  The   Valley ")
    assert (response.status_code, response.json()["title"], response.json()["slug"]) == (
        200,
        "The Valley",
        "the-valley",
    )
    assert response.json() == get(app, "shows/the-valley-persian-style") == get(app, "shows/the-valley")
    old = get(app, "slugs/shows/the-valley-persian-style")
    assert old == {
        "id": str(ids["valley"]),
        "slug": "the-valley-persian-style",
        "canonical": False,
        "canonical_slug": "the-valley",
    }
    (row,) = query(archive.database, "select actor, caller, action, entity_id, old, new from core.audit_log")
    assert row == {
        "actor": "admin@example.com",
        "caller": "admin",
        "action": "rename",
        "entity_id": str(ids["valley"]),
        "old": {"name": "The Valley: Persian Style", "slug": "the-valley-persian-style"},
        "new": {"name": "The Valley", "slug": "the-valley"},
    }


def test_renaming_to_the_current_name_changes_nothing(app: httpx.Client, archive: Archive) -> None:
    assert rename(app, "people/person-one", full_name="Person One").status_code == 200
    assert query(archive.database, "select from core.audit_log") == []


def test_an_old_slug_can_be_reused_by_its_own_entity_only(app: httpx.Client) -> None:
    assert rename(app, "people/person-one", full_name="Other Name").json()["slug"] == "other-name"
    assert rename(app, "people/person-two", full_name="Person-One").json()["slug"] == "person-one-2"
    assert rename(app, "people/other-name", full_name="Person One").json()["slug"] == "person-one"
    assert get(app, "slugs/people/other-name")["canonical_slug"] == "person-one"
    assert rename(app, "people/person-one", full_name="PERSON ONE").json()["slug"] == "person-one"


def test_the_name_of_another_entity_is_a_conflict(app: httpx.Client) -> None:
    response = rename(app, "people/person-one", full_name="PERSON TWO")
    assert (response.status_code, response.headers["content-type"]) == (409, "application/problem+json")
    assert get(app, "people/person-one")["full_name"] == "Person One"


@pytest.mark.parametrize(
    "body",
    [{}, {"title": ""}, {"title": "   "}, {"title": "x" * 301}, {"title": 1}, {"title": "a\0b"}, {"title": "a\u001bb"},
     {"title": "A\u202eB"}, {"title": "\u200b"}, {"title": "\u0301"},
     {"title": "A", "slug": "b"}, {"full_name": "A"}],
)  # fmt: skip
def test_an_invalid_name_is_422(app: httpx.Client, body: dict[str, Any]) -> None:
    assert rename(app, "shows/another-show", **body).status_code == 422
    assert get(app, "shows/another-show")["title"] == "Another Show"


@pytest.mark.parametrize(
    ("name", "slug"), [("News", "news-2"), ("Season 4", "season-4-2"), (str(UNKNOWN_ID), f"{UNKNOWN_ID}-2")]
)
def test_a_reserved_word_is_not_used_as_a_slug(app: httpx.Client, name: str, slug: str) -> None:
    assert rename(app, "shows/another-show", title=name).json()["slug"] == slug


@pytest.mark.parametrize(
    "given",
    ["The-Valley-Persian-Style", "the-valley-persian-style-", "the-valley-persian-style.html",
     "the-valley-persian-style)", "the-valley-persian-style\"><script>", "THE VALLEY: PERSIAN STYLE",
     "the_valley_persian_style", "the-valley-persian-style&x=1"],
)  # fmt: skip
def test_a_misspelt_slug_resolves_to_the_canonical_one(app: httpx.Client, ids: dict[str, UUID], given: str) -> None:
    response = app.get(httpx.URL(f"{app.base_url}").copy_with(raw_path=b"/api/v1/admin/slugs/shows/" + quoted(given)))
    assert response.json() == {
        "id": str(ids["valley"]),
        "slug": given,
        "canonical": False,
        "canonical_slug": "the-valley-persian-style",
    }


def quoted(text: str) -> bytes:
    from urllib.parse import quote

    return quote(text, safe="").encode()


def test_the_current_slug_is_canonical(app: httpx.Client, ids: dict[str, UUID]) -> None:
    assert get(app, "slugs/people/person-one") == {
        "id": str(ids["one"]), "slug": "person-one", "canonical": True, "canonical_slug": "person-one",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    ["slugs/shows/person-one", "slugs/people/unknown", "slugs/shows/the-valley", "slugs/shows/%2e%2e%2f",
     "shows/unknown", f"shows/{UNKNOWN_ID}", "people/unknown", f"people/{UNKNOWN_ID}", "shows/-"],
)  # fmt: skip
def test_an_unknown_entity_is_404(app: httpx.Client, path: str) -> None:
    response = app.get(f"/api/v1/admin/{path}")
    assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["slugs/seasons/x", "shows/%00", "slugs/shows/%00", "shows?q=%00", "people?cursor=x"])
def test_invalid_parameters_are_422(app: httpx.Client, path: str) -> None:
    assert app.get(f"/api/v1/admin/{path}").status_code == 422


def test_only_admins_rename(app: httpx.Client) -> None:
    response = app.patch("/api/v1/admin/shows/another-show", json={"title": "Mine"})
    assert response.status_code == 403
