"""The proxy: which requests reach the backend and in what form, and which are refused."""

from __future__ import annotations

import http.client
import socket
import threading
from typing import Any
from uuid import UUID

import httpx
import pytest

from trr_pipelines.admin.proxy import PROXY_ROUTES
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


def test_there_is_no_route_beyond_these() -> None:
    assert len(PROXY_ROUTES) == len(ROUTES)


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_change_is_forwarded_with_the_apps_credentials(
    client: httpx.Client, backend: RecordingBackend, method: str, path: str
) -> None:
    is_image = path.endswith("/original")
    kind = "image/jpeg" if is_image else "application/json"
    body = b"\xff\xd8\xff" if is_image else b'{"facebank_seed": true}'
    response = client.request(method, path, content=body, headers={"Content-Type": kind, "If-Match": '"abc"'})
    assert (response.status_code, response.json()) == (200, {"ok": True})
    (received,) = backend.received
    assert (received.method, received.path, received.body) == (method, ROUTES[method, path], body)
    assert received.header("authorization") == [f"Bearer {backends.SERVICE_ROLE}"]
    assert received.header("x-trr-internal-admin-secret") == [backends.ADMIN_SECRET]
    assert received.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    assert received.header("content-type") == [kind]
    assert received.header("if-match") == ['"abc"']
    assert received.header("cookie") == []


def test_of_the_query_only_a_checked_link_of_a_crop_is_forwarded(
    client: httpx.Client, backend: RecordingBackend
) -> None:
    crop = f"/admin/api/media-assets/{PHOTO}/crop"
    for method, headers in (("PUT", {"Content-Type": "application/json"}), ("DELETE", {})):
        backend.received.clear()
        query = {"link_id": str(LINK).upper(), "limit": "1"}
        assert client.request(method, crop, params=query, headers=headers).status_code == 200
        (received,) = backend.received
        assert received.path == f"/api/v1/admin/media-assets/{PHOTO}/crop?link_id={LINK}"
    backend.received.clear()
    assert client.delete(crop, params={"link_id": f"{LINK}&x=1"}).status_code == 422
    assert client.patch(SEED, params={"link_id": str(LINK)}, json={}).status_code == 200
    assert [received.path for received in backend.received] == [ROUTES["PATCH", SEED]]


def test_no_other_path_and_no_other_method_reaches_the_backend(client: httpx.Client, backend: RecordingBackend) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        for path in {path for _, path in ROUTES}:
            if (method, path) not in ROUTES and (method, path) != ("POST", SEED):  # the form of the star
                assert client.request(method, path).status_code in (404, 405), (method, path)
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
            assert client.request(method, path, json={}).status_code in (307, 404, 405), (method, path)
    assert backend.received == []


def test_the_form_of_the_star_is_forwarded_as_patch_and_redirects_back(
    client: httpx.Client, backend: RecordingBackend
) -> None:
    form = {"facebank_seed": "true", "next": "/admin/trr-people/x/media-gallery?q=a"}
    response = client.post(SEED, data=form)
    assert (response.status_code, response.headers["location"]) == (303, f"{form['next']}#photo-{LINK}")
    (received,) = backend.received
    assert (received.method, received.path, received.body) == (
        "PATCH",
        ROUTES["PATCH", SEED],
        b'{"facebank_seed": true}',
    )
    assert received.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    away = client.post(SEED, data={**form, "next": "https://attacker.example/"})
    assert away.headers["location"] == f"/admin/trr-shows#photo-{LINK}"


def test_an_invalid_form_of_the_star_changes_nothing(client: httpx.Client, backend: RecordingBackend) -> None:
    form = {"facebank_seed": "true"}
    foreign = {"Origin": "https://attacker.example"}
    for status, fields, headers in (
        (403, form, foreign),
        (422, {**form, "facebank_seed": "1"}, {}),
        (413, {**form, "next": "x" * 40_000}, {}),
    ):
        response = client.post(SEED, data=fields, headers=headers)
        assert response.status_code == status, fields
        assert "text/html" in response.headers["content-type"]
    assert client.post(SEED, json={"facebank_seed": True}).status_code == 415
    assert client.post(SEED.replace(str(LINK), "no-id"), data=form).status_code == 422
    client.cookies.clear()
    assert client.post(SEED, data=form).headers["location"] == "/admin/sign-in?next=/admin/trr-shows"
    assert backend.received == []


def test_other_headers_of_the_browser_are_not_forwarded(client: httpx.Client, backend: RecordingBackend) -> None:
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
    (received,) = backend.received
    assert received.header("authorization") == [f"Bearer {backends.SERVICE_ROLE}"]
    assert received.header("x-trr-acting-admin") == [backends.ADMIN_EMAIL]
    assert received.header("x-trr-internal-admin-secret") == [backends.ADMIN_SECRET]
    names = {name.lower() for name, _ in received.headers}
    assert not names & {
        "x-trr-anything", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-original-url",
        "x-http-method-override", "if-match", "cookie", "origin",
    }  # fmt: skip
    assert received.path == ROUTES["PATCH", SEED]


def test_a_query_is_not_forwarded(client: httpx.Client, backend: RecordingBackend) -> None:
    client.patch(f"{SEED}?dry_run=false&x=1", json={"facebank_seed": True})
    assert backend.received[0].path == ROUTES["PATCH", SEED]


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "X-TRR-Internal-Admin-Secret",
        "X-TRR-Acting-Admin",
        "If-Match",
        "Origin",
        "Sec-Fetch-Site",
        "Cookie",
    ],
)
def test_a_header_that_is_sent_twice_is_400(client: httpx.Client, backend: RecordingBackend, name: str) -> None:
    own = [("Origin", str(client.base_url).rstrip("/")), ("Content-Type", "application/json")]
    headers = [(header, value) for header, value in own if header != name] + [(name, "a"), (name, "b")]
    with httpx.Client(base_url=client.base_url, cookies=client.cookies, trust_env=False) as bare:
        response = bare.patch(SEED, content=b"{}", headers=headers)
    assert response.status_code == 400
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
def test_an_ambiguous_target_is_400(client: httpx.Client, backend: RecordingBackend, target: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", client.base_url.port)  # sends targets as they are
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {"Origin": str(client.base_url).rstrip("/"), "Cookie": cookie, "Content-Type": "application/json"}
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
def test_an_invalid_id_is_422_and_not_forwarded(client: httpx.Client, backend: RecordingBackend, path: str) -> None:
    assert client.patch(path, json={}).status_code == 422
    assert backend.received == []


OWN, FOREIGN = "own origin", "https://attacker.example"
CHANGES = [
    ("PATCH", SEED, {"json": {"facebank_seed": True}}),
    ("DELETE", f"/admin/api/media-assets/{PHOTO}/crop", {}),
    ("PUT", f"/admin/api/media-assets/{PHOTO}/original", {"content": b"x", "headers": {"Content-Type": "image/jpeg"}}),
    ("POST", f"/admin/api/media-assets/{PHOTO}/reprocess", {}),
    ("POST", SEED, {"data": {"facebank_seed": "true"}}),
    ("POST", "/admin/sign-out", {}),
]


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        (None, None),
        (None, "none"),
        (None, ""),
        *((origin, site) for origin in (None, OWN, FOREIGN, "null") for site in ("cross-site", "same-site")),
        *(
            (origin, site)
            for origin in (FOREIGN, "null", "", "http://127.0.0.1:1", "http://127.0.0.1.attacker.example")
            for site in (None, "none", "same-origin")
        ),
    ],
)
@pytest.mark.parametrize(
    ("method", "path", "arguments"), CHANGES, ids=[f"{method} {path[:24]}" for method, path, _ in CHANGES]
)
def test_a_change_requested_by_another_site_is_403(
    client: httpx.Client,
    backend: RecordingBackend,
    origin: str | None,
    site: str | None,
    method: str,
    path: str,
    arguments: dict[str, Any],
) -> None:
    own = str(client.base_url).rstrip("/")
    named = {"Origin": own if origin == OWN else origin, "Sec-Fetch-Site": site}
    headers = {name: value for name, value in named.items() if value is not None}
    with httpx.Client(base_url=client.base_url, cookies=client.cookies, trust_env=False) as browser:
        response = browser.request(
            method, path, **{**arguments, "headers": {**arguments.get("headers", {}), **headers}}
        )
    assert response.status_code == 403
    assert "set-cookie" not in response.headers
    assert backend.received == []


@pytest.mark.parametrize(("origin", "site"), [(OWN, None), (OWN, "same-origin"), (OWN, "none"), (None, "same-origin")])
def test_a_change_requested_by_a_page_of_the_app_is_forwarded(
    client: httpx.Client, backend: RecordingBackend, origin: str | None, site: str | None
) -> None:
    headers = {
        **({"Origin": str(client.base_url).rstrip("/")} if origin else {}),
        **({"Sec-Fetch-Site": site} if site else {}),
    }
    with httpx.Client(base_url=client.base_url, cookies=client.cookies, trust_env=False) as browser:
        assert browser.patch(SEED, json={}, headers=headers).status_code == 200
    assert len(backend.received) == 1


def test_no_form_and_no_header_carries_a_token(client: httpx.Client, backend: RecordingBackend) -> None:
    """Origin and Sec-Fetch-Site replace tokens; the only cookie is the session."""
    backend.respond(200, {"items": [], "next_cursor": None})
    assert "csrf" not in client.get("/admin/trr-shows").text
    assert list(client.cookies) == ["trr_session"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx", "image/png"]
)
def test_a_body_of_another_type_than_json_is_415(client: httpx.Client, backend: RecordingBackend, kind: str) -> None:
    response = client.patch(SEED, content=b'{"facebank_seed": true}', headers={"Content-Type": kind})
    assert response.status_code == 415
    assert backend.received == []


def test_a_body_that_is_too_large_is_413(client: httpx.Client, backend: RecordingBackend) -> None:
    assert client.patch(SEED, content=b" " * 1_000_001, headers=JSON).status_code == 413
    assert backend.received == []


JSON = {"Content-Type": "application/json"}


def test_without_a_session_a_script_gets_401_and_no_redirect(
    anonymous: httpx.Client, backend: RecordingBackend
) -> None:
    response = anonymous.patch(SEED, json={"facebank_seed": True})
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")
    assert backend.received == []


def test_another_host_is_400(client: httpx.Client, backend: RecordingBackend) -> None:
    for host in ("attacker.example", "127.0.0.1", ""):
        assert client.patch(SEED, json={}, headers={"Host": host}).status_code == 400
    assert client.get("/healthz", headers={"Host": "10.1.2.3"}).status_code == 200


def test_refusals_of_the_backend_are_passed_on(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.respond(412, {"detail": "edited meanwhile", "status": 412}, ETag='"theirs"', **{"Set-Cookie": "a=b"})
    response = client.put(f"/admin/api/media-assets/{PHOTO}/crop", json={}, headers={"If-Match": '"mine"'})
    assert (response.status_code, response.json()["detail"]) == (412, "edited meanwhile")
    assert response.headers["etag"] == '"theirs"'
    assert "set-cookie" not in response.headers


def test_a_backend_that_refuses_our_credentials_ends_no_session(
    client: httpx.Client, backend: RecordingBackend
) -> None:
    backend.respond(401, {"detail": "a bearer token is needed"})
    assert client.patch(SEED, json={}).status_code == 502


def test_a_slow_backend_is_reported_as_504(
    client: httpx.Client, backend: RecordingBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trr_pipelines.admin.backend.WRITE_SECONDS", 0.2)
    release = threading.Event()
    backend.wait = lambda: release.wait(10)
    response = client.patch(SEED, json={})
    release.set()
    assert (response.status_code, response.headers["content-type"]) == (504, "application/problem+json")
    assert "did not answer" in response.json()["detail"]


def test_responses_have_the_policy_and_no_secret(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.respond(200, {"items": [], "next_cursor": None})
    for response in (
        client.get("/admin/trr-shows"),
        client.get("/admin/nothing"),
        client.patch(SEED, json={}),
        client.get("/admin/static/app.css"),
        client.get("/admin/trr-shows/%2f"),
    ):
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'self'; img-src 'self' http://127.0.0.1:8000 data:;")
        assert "unsafe" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        for canary in CANARIES:
            assert canary not in response.text
            assert canary not in str(response.headers)


def test_a_second_request_cannot_be_smuggled_in_a_body(client: httpx.Client, backend: RecordingBackend) -> None:
    port = client.base_url.port
    assert port is not None
    inner = f"DELETE /admin/api/media-assets/{PHOTO}/crop HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        head = f"PATCH {SEED} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 4\r\n"
        connection.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner)
        assert connection.recv(100).split()[1] in (b"400", b"401", b"403")
    assert backend.received == []
