"""The proxy: what reaches the backend, what does not, and what a browser may not get away with."""

from __future__ import annotations

import http.client
import socket
import threading
from uuid import UUID

import httpx
import pytest

from trr_pipelines.admin.proxy import PASSAGES
from trr_pipelines_tests.integration.admin.conftest import RecordingBackend
from trr_pipelines_tests.support import backends

PERSON, LINK, PHOTO = (UUID(int=number << 96 | number) for number in (0xA1, 0xB2, 0xC3))
SIGNATURE = "0a" * 32
SEED = f"/admin/api/person/{PERSON}/gallery/{LINK}/facebank-seed"
CANARIES = (backends.SERVICE_ROLE, backends.ADMIN_SECRET, backends.JWT_SECRET)

ROUTES = {
    ("PATCH", SEED): f"/api/v1/admin/person/{PERSON}/gallery/{LINK}/facebank-seed",
    ("PUT", f"/admin/api/media-assets/{PHOTO}/crop"): f"/api/v1/admin/media-assets/{PHOTO}/crop",
    ("DELETE", f"/admin/api/media-assets/{PHOTO}/crop"): f"/api/v1/admin/media-assets/{PHOTO}/crop",
    (
        "POST",
        f"/admin/api/media-assets/{PHOTO}/crops/{SIGNATURE}/activate",
    ): f"/api/v1/admin/media-assets/{PHOTO}/crops/{SIGNATURE}/activate",
    ("POST", f"/admin/api/media-assets/{PHOTO}/reprocess"): f"/api/v1/admin/media-assets/{PHOTO}/reprocess",
    ("POST", "/admin/api/reprocess"): "/api/v1/admin/reprocess",
    ("PUT", f"/admin/api/media-assets/{PHOTO}/original"): f"/api/v1/admin/media-assets/{PHOTO}/original",
    ("POST", "/admin/api/views"): "/api/v1/admin/views",
}


def test_the_list_of_routes_is_the_contracts() -> None:
    assert len(PASSAGES) == len(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_change_goes_on_with_credentials_that_the_browser_never_had(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str], method: str, path: str
) -> None:
    is_image = path.endswith("/original")
    kind = "image/jpeg" if is_image else "application/json"
    body = b"\xff\xd8\xff" if is_image else b'{"facebank_seed": true}'
    answer = client.request(method, path, content=body, headers={**csrf, "Content-Type": kind, "If-Match": '"abc"'})
    assert (answer.status_code, answer.json()) == (200, {"ok": True})
    (heard,) = backend.received
    assert (heard.method, heard.path, heard.body) == (method, ROUTES[method, path], body)
    assert heard.header("authorization") == [f"Bearer {backends.SERVICE_ROLE}"]
    assert heard.header("x-trr-internal-admin-secret") == [backends.ADMIN_SECRET]
    assert heard.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    assert heard.header("content-type") == [kind]
    assert heard.header("if-match") == ['"abc"']
    assert heard.header("cookie") == []


def test_no_other_path_and_no_other_method_reaches_the_backend(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str]
) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        for path in {path for _, path in ROUTES}:
            if (method, path) not in ROUTES and (method, path) != ("POST", SEED):  # that is the star's form
                assert client.request(method, path, headers=csrf).status_code in (404, 405), (method, path)
    for path in (
        "/admin/api/shows",
        f"/admin/api/media-assets/{PHOTO}",
        f"/admin/api/people/{PERSON}/photos",
        "/admin/api/imports",
        "/admin/api/",
        f"{SEED}/more",
        f"/admin/api/media-assets/{PHOTO}/crop/",
    ):
        for method in ("POST", "DELETE", "PUT", "PATCH"):
            assert client.request(method, path, json={}, headers=csrf).status_code in (307, 404, 405), (method, path)
    assert backend.received == []


def test_the_stars_form_becomes_the_same_change_and_leads_back(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str]
) -> None:
    form = {
        "csrf_token": csrf["X-CSRF-Token"],
        "facebank_seed": "true",
        "next": "/admin/trr-people/x/media-gallery?q=a",
    }
    answer = client.post(SEED, data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{form['next']}#photo-{LINK}")
    (heard,) = backend.received
    assert (heard.method, heard.path, heard.body) == ("PATCH", ROUTES["PATCH", SEED], b'{"facebank_seed": true}')
    assert heard.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    away = client.post(SEED, data={**form, "next": "https://attacker.example/"})
    assert away.headers["location"] == f"/admin/trr-shows#photo-{LINK}"


def test_a_stars_form_that_is_not_right_changes_nothing(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str]
) -> None:
    form = {"csrf_token": csrf["X-CSRF-Token"], "facebank_seed": "true"}
    foreign = {"Origin": "https://attacker.example"}
    for status, fields, headers in (
        (403, {**form, "csrf_token": "bm9uZQ=="}, {}),
        (403, {"facebank_seed": "true", "x": csrf["X-CSRF-Token"]}, csrf),  # only the field counts
        (403, form, foreign),
        (422, {**form, "facebank_seed": "1"}, {}),
        (413, {**form, "next": "x" * 40_000}, {}),
    ):
        answer = client.post(SEED, data=fields, headers=headers)
        assert answer.status_code == status, fields
        assert "text/html" in answer.headers["content-type"]
    assert client.post(SEED, json={"facebank_seed": True}, headers=csrf).status_code == 415
    assert client.post(SEED.replace(str(LINK), "no-id"), data=form).status_code == 422
    client.cookies.clear()
    assert client.post(SEED, data=form).headers["location"] == "/admin/sign-in?next=/admin/trr-shows"
    assert backend.received == []


def test_headers_of_the_browser_stay_behind(client: httpx.Client, backend: RecordingBackend) -> None:
    client.patch(
        SEED,
        json={"facebank_seed": True},
        headers={
            "Authorization": "Bearer of-the-browser",
            "X-TRR-Internal-Admin-Secret": "guess",
            "X-TRR-Acting-Admin": "other@example.com",
            "X-TRR-Anything": "1",
            "X-Forwarded-For": "203.0.113.7",
            "X-Forwarded-Host": "attacker.example",
            "Forwarded": "for=203.0.113.7",
            "X-Original-URL": "/api/v1/admin/imports",
            "X-HTTP-Method-Override": "DELETE",
            "If-Match": '"kept-out"',
            "Connection": "close, If-Match, X-TRR-Acting-Admin",
        },
    )
    (heard,) = backend.received
    assert heard.header("authorization") == [f"Bearer {backends.SERVICE_ROLE}"]
    assert heard.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    assert heard.header("x-trr-internal-admin-secret") == [backends.ADMIN_SECRET]
    names = {name.lower() for name, _ in heard.headers}
    assert not names & {
        "x-trr-anything", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-original-url",
        "x-http-method-override", "if-match", "cookie", "origin",
    }  # fmt: skip
    assert heard.path == ROUTES["PATCH", SEED]


def test_a_query_does_not_go_on(client: httpx.Client, backend: RecordingBackend) -> None:
    client.patch(f"{SEED}?dry_run=false&x=1", json={"facebank_seed": True})
    assert backend.received[0].path == ROUTES["PATCH", SEED]


@pytest.mark.parametrize(
    "name", ["Authorization", "X-TRR-Internal-Admin-Secret", "X-TRR-Acting-Admin", "If-Match", "Origin", "Cookie"]
)
def test_a_header_that_is_sent_twice_is_400(client: httpx.Client, backend: RecordingBackend, name: str) -> None:
    own = [("Origin", str(client.base_url).rstrip("/")), ("Content-Type", "application/json")]
    headers = [(one, value) for one, value in own if one != name] + [(name, "a"), (name, "b")]
    with httpx.Client(base_url=client.base_url, cookies=client.cookies, trust_env=False) as bare:
        answer = bare.patch(SEED, content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert backend.received == []


@pytest.mark.parametrize(
    "target",
    [
        f"/admin/api/person/{PERSON}%2fgallery/{LINK}/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%2Ffacebank-seed",
        f"/admin/api/person/{PERSON}/gallery/../gallery/{LINK}/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/%2e%2e/gallery/{LINK}/facebank-seed",
        f"/admin/api//person/{PERSON}/gallery/{LINK}/facebank-seed",
        f"//admin/api/person/{PERSON}/gallery/{LINK}/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%00/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%0d%0a/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%5c/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}\\/facebank-seed",
        f"/admin/api/person/{PERSON}/./gallery/{LINK}/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%252f/facebank-seed",
        f"http://127.0.0.1:8000{ROUTES['PATCH', SEED]}",
        f"http://attacker.example{SEED}",
        "*",
    ],
)
def test_a_target_that_can_be_read_in_two_ways_is_400(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str], target: str
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)  # sends targets as they are
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {**csrf, "Origin": str(client.base_url).rstrip("/"), "Cookie": cookie, "Content-Type": "application/json"}
    connection.request("PATCH", target, b"{}", headers)
    assert connection.getresponse().status == 400
    connection.close()
    assert backend.received == []


@pytest.mark.parametrize(
    "path",
    [
        f"/admin/api/person/{PERSON}x/gallery/{LINK}/facebank-seed",
        f"/admin/api/person/@127.0.0.1:1/gallery/{LINK}/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%3Fx=1/facebank-seed",
        f"/admin/api/person/{PERSON}/gallery/{LINK}%23/facebank-seed",
        f"/admin/api/person/{PERSON.hex}/gallery/{LINK}/facebank-seed",
    ],
)
def test_an_id_that_is_none_is_422_and_goes_nowhere(client: httpx.Client, backend: RecordingBackend, path: str) -> None:
    assert client.patch(path, json={}).status_code == 422
    assert backend.received == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://127.0.0.1.attacker.example"},
    ],
)
def test_a_request_that_another_site_makes_is_403(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str], headers: dict[str, str]
) -> None:
    answer = client.patch(SEED, json={"facebank_seed": True}, headers={**csrf, **headers})
    assert answer.status_code == 403
    assert backend.received == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", ""])
def test_without_an_origin_the_browser_has_to_say_that_it_is_ours(
    client: httpx.Client, backend: RecordingBackend, site: str
) -> None:
    with httpx.Client(base_url=client.base_url, cookies=client.cookies, trust_env=False) as bare:
        fetched = {"Sec-Fetch-Site": site} if site else {}
        assert bare.patch(SEED, json={}, headers=fetched).status_code == 403
        assert bare.patch(SEED, json={}, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_a_token_of_another_session_is_403(client: httpx.Client, backend: RecordingBackend) -> None:
    assert client.patch(SEED, json={}, headers={"X-CSRF-Token": "bm9uZQ=="}).status_code == 403
    assert client.delete(f"/admin/api/media-assets/{PHOTO}/crop").status_code == 403  # no JSON, no token
    image = {"Content-Type": "image/jpeg"}
    assert client.put(f"/admin/api/media-assets/{PHOTO}/original", content=b"x", headers=image).status_code == 403
    assert backend.received == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "image/png"]
)
def test_a_body_that_is_no_json_is_415(
    client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str], kind: str
) -> None:
    answer = client.patch(SEED, content=b'{"facebank_seed": true}', headers={**csrf, "Content-Type": kind})
    assert answer.status_code == 415
    assert backend.received == []


def test_a_body_that_is_too_large_is_413(client: httpx.Client, backend: RecordingBackend, csrf: dict[str, str]) -> None:
    assert client.patch(SEED, content=b" " * 1_000_001, headers=JSON).status_code == 413
    assert backend.received == []


JSON = {"Content-Type": "application/json"}


def test_who_is_not_signed_in_gets_401_and_no_redirect(stranger: httpx.Client, backend: RecordingBackend) -> None:
    answer = stranger.patch(SEED, json={"facebank_seed": True})
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert backend.received == []


def test_another_host_is_400(client: httpx.Client, backend: RecordingBackend) -> None:
    for host in ("attacker.example", "127.0.0.1", ""):
        assert client.patch(SEED, json={}, headers={"Host": host}).status_code == 400
    assert client.get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 200


def test_refusals_of_the_backend_arrive_as_they_are(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.says(412, {"detail": "edited meanwhile", "status": 412}, ETag='"theirs"', **{"Set-Cookie": "a=b"})
    answer = client.put(f"/admin/api/media-assets/{PHOTO}/crop", json={}, headers={"If-Match": '"mine"'})
    assert (answer.status_code, answer.json()["detail"]) == (412, "edited meanwhile")
    assert answer.headers["etag"] == '"theirs"'
    assert "set-cookie" not in answer.headers


def test_a_backend_that_refuses_our_own_credentials_signs_nobody_out(
    client: httpx.Client, backend: RecordingBackend
) -> None:
    backend.says(401, {"detail": "a bearer token is needed"})
    assert client.patch(SEED, json={}).status_code == 502


def test_a_backend_that_is_down_or_slow_is_told(
    client: httpx.Client, backend: RecordingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trr_pipelines.admin.backend.WRITE_SECONDS", 0.2)
    release = threading.Event()
    backend.wait = lambda: release.wait(10)
    answer = client.patch(SEED, json={})
    release.set()
    assert (answer.status_code, answer.headers["content-type"]) == (504, "application/problem+json")
    assert "did not answer" in answer.json()["detail"]


def test_answers_carry_the_policy_and_no_secret(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.says(200, {"items": [], "next_cursor": None})
    for answer in (
        client.get("/admin/trr-shows"),
        client.get("/admin/nothing"),
        client.patch(SEED, json={}),
        client.get("/admin/static/app.css"),
        client.get("/admin/trr-shows/%2f"),
    ):
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' http://127.0.0.1:8000 data:;")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        for canary in CANARIES:
            assert canary not in answer.text
            assert canary not in str(answer.headers)


def test_two_requests_in_one_are_not_smuggled(client: httpx.Client, backend: RecordingBackend) -> None:
    port = client.base_url.port
    assert port is not None
    inner = f"DELETE /admin/api/media-assets/{PHOTO}/crop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        head = f"PATCH {SEED} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 4\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
        assert connection.recv(100).split()[1] in (b"400", b"401", b"403")
    assert backend.received == []
