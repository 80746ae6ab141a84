"""Sign-in, sign-out and sessions over real HTTP."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import jwt
import pytest

from trr_pipelines.admin.app import create_app
from trr_pipelines.admin.development import sign_in_link
from trr_pipelines.admin.ended import EndedIds
from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings, load_settings
from trr_pipelines_tests.integration.admin.conftest import RecordingBackend
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.admin_apps import serving_admin, sign_in
from trr_pipelines_tests.support.backends import token
from trr_pipelines_tests.support.ports import free_port

EMPTY = {"items": [], "next_cursor": None}


def test_a_page_redirects_to_the_sign_in_and_back(anonymous: httpx.Client, backend: RecordingBackend) -> None:
    path = "/admin/trr-shows?q=valley&cursor=abc"
    away = anonymous.get(path)
    assert (away.status_code, away.headers["location"]) == (
        303,
        "/admin/sign-in?next=/admin/trr-shows%3Fq%3Dvalley%26cursor%3Dabc",
    )
    assert anonymous.get(away.headers["location"]).status_code == 200
    back = sign_in(anonymous, target=path)
    assert (back.status_code, back.headers["location"]) == (303, path)
    assert backend.received == []
    backend.respond(200, EMPTY)
    assert anonymous.get(path).status_code == 200


def test_the_cookie_is_http_only_and_expires_with_the_token(anonymous: httpx.Client) -> None:
    response = sign_in(anonymous, token(exp=int(time.time()) + 120))
    (cookie,) = response.headers.get_list("set-cookie")
    assert cookie.startswith("trr_session=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    seconds = int(cookie.partition("Max-Age=")[2].partition(";")[0])
    assert 100 <= seconds <= 120


def test_behind_https_the_cookie_is_secure_and_bound_to_the_host(
    app_environment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRR_ADMIN_URL", "https://admin.example.com")
    own = {"Host": "admin.example.com", "Origin": "https://admin.example.com"}
    with serving_admin(create_app(), app_environment) as client:
        response = client.post("/admin/sign-in", data={"token": token()}, headers=own)
    assert response.status_code == 303
    (cookie,) = response.headers.get_list("set-cookie")
    assert cookie.startswith("__Host-trr_session=")
    assert "Secure" in cookie


@pytest.mark.parametrize(
    ("value", "status", "message"),
    [
        (token("not.listed@example.com"), 403, "not on the admin allowlist"),
        (token(exp=int(time.time()) - 5), 401, "has expired"),
        (token(key="another-secret-that-is-long-enough-too"), 401, "cannot be verified"),
        (token(email_verified=False), 403, "not on the admin allowlist"),
        (token(aud="trr-admin-session"), 401, "cannot be verified"),
        ("nonsense", 401, "cannot be verified"),
        ("x" * 9_000, 401, "the limit is"),
    ],
    ids=["not listed", "expired", "another key", "unverified", "another audience", "no token", "too long"],
)
def test_no_other_token_signs_in(anonymous: httpx.Client, value: str, status: int, message: str) -> None:
    response = sign_in(anonymous, value)
    assert response.status_code == status
    assert message in response.text
    assert value not in response.text
    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://attacker.example"},
        {"Origin": "null"},
        {"Origin": "https://attacker.example", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_another_site_cannot_sign_the_browser_in(anonymous: httpx.Client, headers: dict[str, str]) -> None:
    """Login CSRF: the victim would work in the attacker's session."""
    with httpx.Client(base_url=anonymous.base_url, trust_env=False) as browser:
        response = browser.post("/admin/sign-in", data={"token": token()}, headers=headers)
    assert response.status_code == 403
    assert "set-cookie" not in response.headers


def test_a_sign_in_that_is_not_a_short_form_is_refused(anonymous: httpx.Client) -> None:
    assert anonymous.post("/admin/sign-in", json={"token": token()}).status_code == 415
    assert anonymous.post("/admin/sign-in", content="a=" + "b" * 40_000, headers=FORM).status_code == 413


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    "target",
    [
        "https://attacker.example/admin/",
        "//attacker.example",
        "/admin//attacker.example",
        "/\\attacker.example",
        "/admin/\\attacker.example",
        "/admin/sign-out",
        "/admin/api/views",
        "javascript:alert(1)",
        "/adminx",
        "/admin/a\r\nSet-Cookie: x=1",
        "/admin/" + "a" * 3_000,
        "/admin/../../evil",
        "/admin/..",
        "/admin/./x",
        "/admin/%2e%2e/evil",
        "/admin/%2E./evil",
        "/admin/.%2e/%2e./evil",
        "/admin/%252e%252e/evil",
        "/admin/..%2f..%2fevil",
        "/admin/..%5cevil",
        "/admin/x/%5c%5cevil.example",
        "/admin/%2fevil.example",
        "/admin/x//evil.example",
        "/admin/%09/evil",
        "/admin/%0d%0aSet-Cookie:x",
        "/admin/\x85evil",
        "/admin/\u2028evil",
        "/admin/\uff0f\uff0fevil.example",
        "/admin/\u2025/evil",
        "/admin/%73ign-out",
        "/admin/SIGN-OUT",
        " /admin/trr-people",
        "/admin/trr-people ",
        "\t/admin/trr-people",
        "/Admin/trr-people",
    ],
)
def test_signing_in_redirects_to_pages_of_the_app_only(anonymous: httpx.Client, target: str) -> None:
    assert sign_in(anonymous, target=target).headers["location"] == "/admin/trr-shows"


def test_an_admin_removed_from_the_allowlist_has_no_session(
    app_environment: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, backend: RecordingBackend
) -> None:
    monkeypatch.setattr("trr_pipelines.allowlist.REREAD_SECONDS", 0.2)
    listed = tmp_path / "admins.txt"
    listed.write_text(backends.ADMIN_EMAIL)
    monkeypatch.setenv("TRR_ADMIN_ALLOWLIST", f"file:{listed}")
    backend.respond(200, EMPTY)
    with serving_admin(create_app(), app_environment) as client:
        sign_in(client)
        assert client.get("/admin/trr-shows").status_code == 200
        listed.write_text("# no admins\n")
        deadline = time.monotonic() + 20
        while client.get("/admin/trr-shows").status_code != 303:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_signing_out_ends_the_session(client: httpx.Client, backend: RecordingBackend) -> None:
    backend.respond(200, EMPTY)
    assert client.get("/admin/trr-shows").status_code == 200
    assert client.get("/admin/sign-out").status_code == 405
    assert client.post("/admin/sign-out", headers={"Origin": "https://attacker.example"}).status_code == 403
    assert client.get("/admin/trr-shows").status_code == 200
    assert client.post("/admin/sign-out").status_code == 303
    assert client.get("/admin/trr-shows").status_code == 303


class TestEnded:
    """Row "sessions" of SECURITY: what has ended stays so, whoever has a copy of it, in every process and start."""

    def test_a_copy_of_the_cookie_is_not_valid_after_the_sign_out(
        self, client: httpx.Client, backend: RecordingBackend
    ) -> None:
        backend.respond(200, EMPTY)
        copy = {"Cookie": f"trr_session={client.cookies['trr_session']}"}
        assert client.post("/admin/sign-out").status_code == 303
        assert client.get("/admin/trr-shows", headers=copy).status_code == 303
        assert client.post("/admin/api/views", json={}, headers=copy).status_code == 401

    def test_other_sessions_of_the_admin_go_on(self, client: httpx.Client, backend: RecordingBackend) -> None:
        backend.respond(200, EMPTY)
        first = {"Cookie": f"trr_session={client.cookies['trr_session']}"}
        client.cookies.clear()
        assert sign_in(client).status_code == 303
        assert client.post("/admin/sign-out").status_code == 303
        client.cookies.clear()
        assert client.get("/admin/trr-shows", headers=first).status_code == 200

    def test_it_is_not_valid_for_another_process_nor_after_a_restart(
        self, app_environment: int, backend: RecordingBackend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend.respond(200, EMPTY)
        other_port = free_port()
        with serving_admin(create_app(), app_environment) as client:
            sign_in(client)
            copy = {"Cookie": f"trr_session={client.cookies['trr_session']}"}
            monkeypatch.setenv("TRR_ADMIN_PORT", str(other_port))
            with serving_admin(create_app(), other_port) as beside:
                assert beside.get("/admin/trr-shows", headers=copy).status_code == 200
                assert client.post("/admin/sign-out").status_code == 303
                assert beside.get("/admin/trr-shows", headers=copy).status_code == 303
        with serving_admin(create_app(), other_port) as restarted:
            assert restarted.get("/admin/trr-shows", headers=copy).status_code == 303

    def test_a_sign_out_that_cannot_be_kept_says_so(
        self, client: httpx.Client, backend: RecordingBackend, tmp_path: Path
    ) -> None:
        backend.respond(200, EMPTY)
        folder = tmp_path / "admin-home" / "admin-ended"
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        response = client.post("/admin/sign-out")
        assert response.status_code == 503
        assert "No such file or directory" in response.text
        assert "set-cookie" not in response.headers

    def test_what_has_expired_is_forgotten_and_all_is_for_the_owner_only(self, tmp_path: Path) -> None:
        ended = EndedIds(tmp_path / "home")
        assert ended.add("expired", int(time.time()) - 100)
        assert ended.add("valid", int(time.time()) + 100)
        assert not ended.add("valid", int(time.time()) + 100)
        assert ("expired" in ended, "valid" in ended) == (False, True)
        modes = [path.stat().st_mode & 0o777 for path in sorted((tmp_path / "home").rglob("*"))]
        assert modes == [0o700, 0o600]

    def test_of_many_uses_at_once_one_counts(self, tmp_path: Path) -> None:
        ended = EndedIds(tmp_path / "home")
        with ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda _: ended.add("link", int(time.time()) + 100), range(40)))
        assert results.count(True) == 1

    def test_a_home_that_cannot_be_written_is_refused_at_the_start(
        self, app_environment: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("not a folder")
        monkeypatch.setenv("TRR_HOME", str(tmp_path / "file"))
        with pytest.raises(SetupError, match="cannot keep which sessions have ended"):
            create_app()


def test_a_session_signed_with_another_key_is_not_valid(anonymous: httpx.Client) -> None:
    claims = {"email": backends.ADMIN_EMAIL, "jti": "x", "aud": "trr-admin-session", "exp": time.time() + 60}
    for forged in (
        jwt.encode(claims, backends.JWT_SECRET, "HS256"),
        jwt.encode(claims, backends.ADMIN_SECRET + " " * 16, "HS256"),
        jwt.encode(claims, None, "none"),
        token(),
    ):
        assert anonymous.get("/admin/trr-shows", headers={"Cookie": f"trr_session={forged}"}).status_code == 303


class TestDevelopmentIssuer:
    """Links that sign in the development admin of the embedded default."""

    @pytest.fixture
    def embedded(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
        monkeypatch.setenv("TRR_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("TRR_ADMIN_PORT", str(free_port()))
        return load_settings()

    def test_a_link_signs_in_once(self, embedded: Settings) -> None:
        link = sign_in_link(embedded)
        assert link is not None
        value = link.partition("#access_token=")[2]
        with serving_admin(create_app(), embedded.admin_port) as client:
            assert link.startswith(str(client.base_url))
            assert sign_in(client, value).status_code == 303
            assert client.get("/admin/none").status_code == 404
            client.cookies.clear()
            assert sign_in(client, value).status_code == 401
        with serving_admin(create_app(), embedded.admin_port) as restarted:
            assert sign_in(restarted, value).status_code == 401

    @pytest.mark.parametrize(
        "given",
        [
            {"TRR_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/x"},
            {"TRR_API_URL": "http://127.0.0.1:1"},
            {"TRR_ADMIN_URL": "https://admin.example.com"},
            {"TRR_JWKS_URL": "https://sign-in.example.com/keys"},
            {"TRR_JWT_SECRET": backends.JWT_SECRET},
        ],
    )
    def test_there_is_no_link_outside_the_embedded_default(
        self, embedded: Settings, monkeypatch: pytest.MonkeyPatch, given: dict[str, str]
    ) -> None:
        link = sign_in_link(embedded)
        assert link is not None
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert sign_in_link(load_settings()) is None

    def test_a_link_does_not_sign_in_where_a_database_is_configured(
        self, embedded: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from trr_pipelines.credentials import with_credentials

        link = sign_in_link(embedded)
        assert link is not None
        secret = with_credentials(embedded).jwt_secret
        assert secret is not None
        for name, value in backends.ENVIRONMENT.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("TRR_JWT_SECRET", secret.get_secret_value())
        monkeypatch.setenv("TRR_DATABASE_URL", "postgresql://u:p@127.0.0.1:1/x")
        with serving_admin(create_app(), embedded.admin_port) as client:
            assert sign_in(client, link.partition("#access_token=")[2]).status_code == 401

    def test_there_is_no_link_if_the_development_admin_is_not_on_the_allowlist(
        self, embedded: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TRR_ADMIN_ALLOWLIST", "other@example.com")
        assert sign_in_link(load_settings()) is None


def test_it_refuses_to_start_without_its_secrets(app_environment: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in backends.ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SetupError) as refused:
        create_app()
    for name in ("SERVICE_ROLE_KEY", "INTERNAL_ADMIN_SHARED_SECRET", "JWT_SECRET", "ADMIN_ALLOWLIST"):
        assert f"TRR_{name}" in str(refused.value)
