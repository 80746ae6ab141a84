"""Imports over real HTTP: the result of each row, and repeated requests."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from trr_pipelines.catalogue import imports
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support.archives import query, value
from trr_pipelines_tests.support.backends import ADMIN_APP, OTHER_ADMIN, admin

URL = "https://photos.example/a.jpg"
ROW = {
    "source": "Deadline",
    "source_url": URL,
    "show": "The Valley",
    "season": 2,
    "people": ["Person One", "Person Two"],
    "kind": "photo",
    "caption": "both",
    "tags": ["red", "carpet"],
}


def post(client: httpx.Client, *rows: Any, key: str | None = None, email: str | None = None) -> httpx.Response:
    headers = admin() if email is None else admin(email)
    if key is not None:
        headers["Idempotency-Key"] = key
    headers["Content-Type"] = "application/json"
    return client.post("/api/v1/admin/imports", content=json.dumps({"rows": list(rows)}), headers=headers)


def test_a_row_creates_a_photo_with_its_links_in_a_batch(client: httpx.Client, archive: Archive) -> None:
    response = post(client, ROW)
    assert response.status_code == 202
    result = response.json()
    assert (result["rows"], result["created"], result["known"], result["rejected"], result["links"]) == (1, 1, 0, 0, 3)
    (item,) = result["items"]
    assert (item["row"], item["outcome"], item["detail"]) == (1, "created", "")
    (photo,) = query(archive.database, "select id, source, source_url, state, batch_key from core.media_assets")
    assert item["media_asset_id"] == str(photo["id"])
    assert (photo["source"], photo["source_url"], photo["state"]) == ("deadline", URL, "pending")
    assert result["batches"] == [photo["batch_key"]]
    links = query(
        archive.database,
        "select s.number, p.full_name, l.caption, l.tags from core.media_links l"
        " left join core.seasons s on s.id = l.season_id left join core.people p on p.id = l.person_id order by 1, 2",
    )
    assert [(link["number"], link["full_name"]) for link in links] == [
        (2, None), (None, "Person One"), (None, "Person Two"),
    ]  # fmt: skip
    assert all((link["caption"], link["tags"]) == ("both", ["red", "carpet"]) for link in links)
    (row,) = query(archive.database, "select actor, action, entity_id, new from core.audit_log")
    assert (row["actor"], row["action"], row["entity_id"]) == ("admin@example.com", "import", result["import_id"])
    assert row["new"] == {"created": 1, "known": 0, "rejected": 0, "links": 3}


BAD_ROWS: list[tuple[Any, str]] = [
    (17, "not an object"),
    ({}, "source is missing"),
    ({"source": "deadline"}, "source_url is missing"),
    ({**ROW, "url": URL}, "unknown field 'url'"),
    ({**ROW, "path": "/etc/passwd"}, "unknown field 'path'"),
    ({**ROW, "source_url": "file:///etc/passwd"}, "only http and https"),
    ({**ROW, "source_url": "ftp://photos.example/a.jpg"}, "only http and https"),
    ({**ROW, "source_url": "http://2130706433/"}, "dotted decimal form"),
    ({**ROW, "source_url": "http://0x7f.1/"}, "dotted decimal form"),
    ({**ROW, "source_url": "http://0177.0.0.1/"}, "Invalid IPv4 address"),
    ({**ROW, "source_url": "http://user:secret@photos.example/"}, "credentials"),
    ({**ROW, "source_url": 5}, "not text"),
    ({**ROW, "source": "!!!"}, "no letter or digit"),
    ({**ROW, "people": "Person One"}, "not a list of names"),
    ({**ROW, "people": ["x"] * 51}, "at most 50"),
    ({**ROW, "tags": [f"tag {number}" for number in range(51)]}, "at most 50"),
    ({**ROW, "kind": "poster"}, "unknown kind"),
    ({**ROW, "season": "two"}, "not a whole number"),
    ({**ROW, "show": "", "season": 2}, "without a show"),
    ({**ROW, "tags": [1]}, "tags"),
    ({**ROW, "caption": "x" * 2001}, "at most 2000"),
    ({**ROW, "caption": "\0"}, "NUL"),
    ({**ROW, "caption": "\ud800"}, "Unicode"),
]


def test_invalid_rows_are_reported_and_do_not_affect_others(client: httpx.Client, archive: Archive) -> None:
    result = post(client, *(row for row, _ in BAD_ROWS), ROW, ROW).json()
    assert [item["row"] for item in result["items"]] == list(range(1, len(BAD_ROWS) + 3))
    for item, (row, problem) in zip(result["items"], BAD_ROWS, strict=False):
        assert item["outcome"] == "rejected", row
        assert problem in item["detail"], row
        assert item["media_asset_id"] is None
    assert [item["outcome"] for item in result["items"][-2:]] == ["created", "known"]
    assert value(archive.database, "select count(*) from core.media_assets") == 1


def test_a_repeated_request_gets_the_same_response_and_imports_once(client: httpx.Client, archive: Archive) -> None:
    first = post(client, ROW, key="key-1")
    query(archive.database, "delete from core.media_assets")
    again = post(client, ROW, key="key-1")
    assert (again.status_code, again.content) == (202, first.content)
    assert value(archive.database, "select count(*) from core.media_assets") == 0
    assert post(client, {**ROW, "caption": "another"}, key="key-1").status_code == 409
    assert post(client, ROW, key="key-1", email=OTHER_ADMIN).json()["created"] == 1
    assert post(client, ROW, key="key-2").json()["known"] == 1
    query(archive.database, "update core.idempotency_keys set created_at = now() - interval '24 hours 1 second'")
    assert post(client, {**ROW, "caption": "another"}, key="key-1").status_code == 202


def test_concurrent_requests_with_one_key_are_one_import(client: httpx.Client, archive: Archive) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: post(client, ROW, key="at-once"), range(6)))
    assert {response.status_code for response in answers} == {202}
    assert len({response.content for response in answers}) == 1
    assert value(archive.database, "select count(distinct import_id) from core.import_items") == 1
    assert value(archive.database, "select count(*) from core.audit_log") == 1


@pytest.mark.parametrize("body", [{}, {"rows": []}, {"rows": [ROW] * 501}, {"rows": ROW}, {"rows": [ROW], "x": 1}, []])
def test_an_invalid_manifest_is_422(client: httpx.Client, archive: Archive, body: object) -> None:
    assert client.post("/api/v1/admin/imports", json=body, headers=admin()).status_code == 422
    assert value(archive.database, "select count(*) from core.import_items") == 0


@pytest.mark.parametrize("key", ["", "a b", "x" * 201])
def test_an_invalid_key_is_422(client: httpx.Client, key: str) -> None:
    assert post(client, ROW, key=key).status_code == 422


def test_a_key_that_is_sent_twice_is_400(client: httpx.Client) -> None:
    keys = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    response = client.post("/api/v1/admin/imports", json={"rows": [ROW]}, headers=[*admin().items(), *keys])
    assert response.status_code == 400


def test_only_admins_import(client: httpx.Client) -> None:
    assert client.post("/api/v1/admin/imports", json={"rows": [ROW]}, headers=ADMIN_APP).status_code == 403


def test_a_deeply_nested_row_is_refused(client: httpx.Client) -> None:
    for depth in (900, 5_000, 100_000):
        body = (
            '{"rows": [{"source": "a", "source_url": "https://photos.example/", "tags": '
            + "[" * depth
            + "]" * depth
            + "}]}"
        )
        response = client.post(
            "/api/v1/admin/imports", content=body, headers={**admin(), "Content-Type": "application/json"}
        )
        assert response.status_code in (202, 422)
        if response.status_code == 202:
            assert response.json()["rejected"] == 1


# Row "single clients" of SECURITY: an import within the limits stops no other work ------------------------------------


def rows_with_people(count: int, people: int, source: str) -> list[dict[str, Any]]:
    return [
        {
            "source": source,
            "source_url": f"https://photos.example/{source}/{number}.jpg",
            "people": [f"{source} Person {number} {one}" for one in range(people)],
        }
        for number in range(count)
    ]


def test_thousands_of_new_names_take_seconds_and_others_name_people_meanwhile(client: httpx.Client) -> None:
    """25,000 new names took 210 s, and every other import with a new name 503."""
    with ThreadPoolExecutor(1) as threads:
        began = time.monotonic()
        large = threads.submit(post, client, *rows_with_people(200, 50, "large"))
        waits = []
        while not large.done():
            started = time.monotonic()
            small = post(client, *rows_with_people(1, 2, f"small{len(waits)}"), email=OTHER_ADMIN)
            assert small.status_code == 202
            waits.append(time.monotonic() - started)
        assert large.result().json()["links"] == 10_000
        assert time.monotonic() - began < 20
        assert max(waits) < 3


def test_a_wait_for_another_import_is_named_as_that(client: httpx.Client, archive: Archive) -> None:
    with archive.database.transaction() as conn:
        imports.lock_source(conn, "deadline")
        response = post(client, ROW)
    assert response.status_code == 503
    assert "the catalogue cannot be reached" not in response.text
    assert "another change" in response.json()["detail"]
    assert post(client, ROW).status_code == 202


def test_one_account_cannot_take_all_connections(client: httpx.Client, archive: Archive) -> None:
    with ThreadPoolExecutor(12) as threads, archive.database.transaction() as conn:
        imports.lock_source(conn, "deadline")
        waiting = [threads.submit(post, client, {**ROW, "source_url": f"{URL}?{n}"}) for n in range(12)]
        time.sleep(0.3)
        started = time.monotonic()
        assert post(client, {**ROW, "source": "other"}, email=OTHER_ADMIN).status_code == 202
        assert time.monotonic() - started < 2
        refused = [one.result() for one in waiting if one.result(30).status_code == 503]
    assert any("4 imports under way" in answer.json()["detail"] for answer in refused)
    assert client.get("/readyz").status_code == 200
