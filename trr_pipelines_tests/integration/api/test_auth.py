"""Authorisation: every route with every credential, and invalid tokens and headers."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from trr_pipelines.api.app import create_app
from trr_pipelines.errors import SetupError
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import query
from trr_pipelines_tests.support.backends import (
    ADMIN_APP,
    ADMIN_SECRET,
    SCREENALYTICS,
    SERVICE_ROLE,
    admin,
    app_token,
    service_role_token,
    signed,
    token,
)
from trr_pipelines_tests.support.issuers import running_issuer

TOGGLE = f"/api/v1/admin/person/{uuid4()}/gallery/{uuid4()}/facebank-seed"


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


# Credential → its kind of caller, or its status on every route that is not open to anyone.
CREDENTIALS: dict[str, tuple[dict[str, str], str | int]] = {
    "none": ({}, 401),
    "bad signature": (bearer(token(key="another-secret-that-is-long-enough-too")), 401),
    "expired": (bearer(token(exp=int(time.time()) - 1)), 401),
    "malformed": (bearer("not.a.token"), 401),
    "basic": ({"Authorization": "Basic c2VydmljZTpyb2xl"}, 401),
    "valid but not allowed": (admin("not.listed@example.com"), 403),
    "allowed": (admin(), "admin"),
    "service role only": (bearer(SERVICE_ROLE), 403),
    "service role and wrong secret": ({**bearer(SERVICE_ROLE), "X-TRR-Internal-Admin-Secret": "wrong"}, 403),
    "secret only": ({"X-TRR-Internal-Admin-Secret": ADMIN_SECRET}, 401),
    "both": (ADMIN_APP, "admin_app"),
    "both, for an admin": ({**ADMIN_APP, "X-TRR-Acting-Admin": backends.OTHER_ADMIN}, "admin_app"),
    "both, for an unlisted admin": ({**ADMIN_APP, "X-TRR-Acting-Admin": "unlisted@example.com"}, 403),
    "screenalytics": (SCREENALYTICS, "screenalytics"),
}


def service_role(token: str, secret: str = ADMIN_SECRET) -> dict[str, str]:
    return {**bearer(token), "X-TRR-Internal-Admin-Secret": secret}


# The same, made when they are used: the app's tokens are valid for two minutes.
SHORT_LIVED: dict[str, tuple[Callable[[], dict[str, str]], str | int]] = {
    "app token": (lambda: bearer(app_token()), "admin_app"),
    "app token, for an admin": (lambda: bearer(app_token(admin_email=backends.OTHER_ADMIN)), "admin_app"),
    "app token, for an unlisted admin": (lambda: bearer(app_token(admin_email="unlisted@example.com")), 403),
    "app token, expired": (lambda: bearer(app_token(age=130)), 401),
    "app token, of another secret": (lambda: bearer(app_token(key=backends.SERVICE_ROLE)), 401),
    "app token, of another audience": (lambda: bearer(app_token(aud="authenticated")), 401),
    "app token, of another subject": (lambda: bearer(app_token(sub="admin-1")), 403),
    "service-role JWT and secret": (lambda: service_role(service_role_token()), "admin_app"),
    "service-role JWT only": (lambda: bearer(service_role_token()), 403),
    "service-role JWT and wrong secret": (lambda: service_role(service_role_token(), "wrong"), 403),
    "service-role JWT, expired": (lambda: service_role(service_role_token(exp=int(time.time()) - 60)), 401),
    "service-role JWT, of another secret": (lambda: service_role(service_role_token(key=ADMIN_SECRET)), 401),
    "JWT of another role and secret": (lambda: service_role(service_role_token(role="anon")), 403),
}


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Every method and path of the OpenAPI document, with its declarations."""
    document = _document()
    return [
        (method.upper(), path, operation)
        for path, methods in sorted(document["paths"].items())
        for method, operation in methods.items()
    ]


def _document() -> dict[str, Any]:
    from fastapi.openapi.utils import get_openapi

    from trr_pipelines.api.app import ROUTERS

    return get_openapi(title="-", version="-", routes=[route for router in ROUTERS for route in router.routes])


def filled(path: str) -> str:
    """The path with unknown ids."""
    while "{" in path:
        before, _, rest = path.partition("{")
        _, _, after = rest.partition("}")
        path = f"{before}{uuid4()}{after}"
    return path


@pytest.mark.parametrize("credential", [*CREDENTIALS, *SHORT_LIVED])
def test_each_route_is_open_to_its_declared_callers_only(client: httpx.Client, credential: str) -> None:
    if credential in CREDENTIALS:
        headers, proves = CREDENTIALS[credential]
    else:
        make, proves = SHORT_LIVED[credential]
        headers = make()
    cells = 0
    for method, path, operation in operations():
        response = client.request(method, filled(path), headers=headers)
        allowed = operation["x-callers"]
        cells += 1
        if "anyone" in allowed or "metrics" in allowed or proves in allowed:
            assert response.status_code not in (401, 403), (method, path, response.text)
        else:
            expected = proves if isinstance(proves, int) else 403
            assert response.status_code == expected, (method, path, response.text)
            assert response.headers["content-type"] == "application/problem+json"
    assert cells == len(operations()) > 0


def test_every_route_declares_its_callers_and_errors() -> None:
    for method, path, operation in operations():
        assert operation["x-callers"], (method, path)
        if "anyone" not in operation["x-callers"]:
            assert {"400", "401", "403", "422", "503"} <= set(operation["responses"]), (method, path)
            assert operation["security"], (method, path)


def test_authorisation_precedes_reading_the_body(client: httpx.Client) -> None:
    response = client.patch(TOGGLE, content=b"{not json", headers={"Content-Type": "text/plain"})
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("no algorithm", jwt.encode({"email": backends.ADMIN_EMAIL, "aud": "authenticated", "exp": 9e9}, None, "none")),
        ("another audience", token(aud="anon")),
        ("no audience", token(aud=None)),
        ("no expiry", token(exp=None)),
        ("not yet valid", token(nbf=int(time.time()) + 3600)),
        ("a longer hash", token(algorithm="HS512")),
        ("100 KB", token(padding="x" * 100_000)),
        ("a bearer that is no ASCII", "töken"),
    ],
)
def test_a_token_that_cannot_be_verified_is_401(client: httpx.Client, what: str, value: str) -> None:
    header = b"Bearer " + value.encode()
    assert client.patch(TOGGLE, json={}, headers={b"Authorization": header}).status_code == 401, what


def claims_of(value: str) -> dict[str, Any]:
    return jwt.decode(value, options={"verify_signature": False})


NOW = time.time
APP_TOKENS: dict[str, tuple[Callable[[], str], int]] = {
    "valid": (app_token, 404),
    "with every claim": (
        lambda: app_token(admin_email=" ADMIN@example.com", admin_uid="u", admin_host="h", verified_at=1),
        404,
    ),
    "without an admin": (lambda: app_token(admin_email=None), 404),
    "a clock 3 s ahead": (lambda: app_token(age=-3), 404),
    "issued 115 s ago": (lambda: app_token(age=115), 404),
    "no algorithm": (lambda: jwt.encode(claims_of(app_token()), None, "none"), 401),
    "a longer hash": (lambda: signed(claims_of(app_token()), ADMIN_SECRET, "HS512"), 401),
    "signed for people": (lambda: app_token(key=backends.JWT_SECRET), 401),
    "signed by Supabase": (lambda: app_token(key=backends.SUPABASE_SECRET), 403),
    "another issuer": (lambda: app_token(iss="trr-app"), 401),
    "another audience": (lambda: app_token(aud="trr-backend"), 401),
    "two audiences": (lambda: app_token(aud=["trr-backend-internal-admin", "x"]), 401),
    "another subject": (lambda: app_token(sub="trr-app"), 403),
    "another scope": (lambda: app_token(scope="admin"), 403),
    "a scope among others": (lambda: app_token(scope="internal_admin admin"), 403),
    "expired": (lambda: app_token(age=126), 401),
    "not valid yet": (lambda: app_token(age=-60), 401),
    "nbf to come": (lambda: app_token(nbf=int(NOW()) + 60), 401),
    "valid for 121 s": (lambda: app_token(exp=int(NOW()) + 121), 401),
    "valid for a day": (lambda: app_token(exp=int(NOW()) + 86_400), 401),
    "issued long ago, valid now": (lambda: app_token(age=3_600, exp=int(NOW()) + 60), 401),
    "times as text": (lambda: app_token(exp=str(int(NOW()) + 60)), 401),
    "endless": (lambda: app_token(exp=float("inf")), 401),
    "an unlisted admin": (lambda: app_token(admin_email="unlisted@example.com"), 403),
    "an empty admin": (lambda: app_token(admin_email=""), 403),
    "a list of admins": (lambda: app_token(admin_email=[backends.ADMIN_EMAIL]), 403),
    "100 KB": (lambda: app_token(padding="x" * 100_000), 401),
    **{f"no {name}": (lambda name=name: app_token(**{name: None}), 401)
       for name in ("iss", "aud", "sub", "scope", "iat", "nbf", "exp")},
}  # fmt: skip


@pytest.mark.parametrize("what", APP_TOKENS)
def test_of_the_apps_tokens_only_valid_ones_are_accepted(client: httpx.Client, what: str) -> None:
    make, status = APP_TOKENS[what]
    response = client.patch(TOGGLE, json={"facebank_seed": True}, headers=bearer(make()))
    assert response.status_code == status, response.text


def test_issuer_and_audience_of_the_apps_tokens_can_be_set(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRR_INTERNAL_ADMIN_JWT_ISSUER", "another-app")
    monkeypatch.setenv("TRR_INTERNAL_ADMIN_JWT_AUDIENCE", "another-backend")
    with backends.serving(create_app()) as client:
        for value, status in {app_token(): 401, app_token(iss="another-app", aud="another-backend"): 404}.items():
            assert client.patch(TOGGLE, json={"facebank_seed": True}, headers=bearer(value)).status_code == status


@pytest.mark.parametrize(
    ("claims", "header", "author"),
    [
        ({"admin_email": backends.OTHER_ADMIN}, None, backends.OTHER_ADMIN),
        ({"admin_email": backends.OTHER_ADMIN}, backends.OTHER_ADMIN, backends.OTHER_ADMIN),
        ({}, backends.ADMIN_EMAIL, backends.ADMIN_EMAIL),
        ({}, None, "admin app (token without admin_email)"),
        ({"admin_email": backends.OTHER_ADMIN}, backends.ADMIN_EMAIL, None),
        ({}, "unlisted@example.com", None),
    ],
)
def test_the_audit_trail_names_the_admin_of_the_apps_token(
    client: httpx.Client,
    archive: Archive,
    person: UUID,
    link: Callable[..., UUID],
    claims: dict[str, str],
    header: str | None,
    author: str | None,
) -> None:
    path = f"/api/v1/admin/person/{person}/gallery/{link(person)}/facebank-seed"
    headers = bearer(app_token(**claims)) | ({"X-TRR-Acting-Admin": header} if header else {})
    response = client.patch(path, json={"facebank_seed": True}, headers=headers)
    assert response.status_code == (403 if author is None else 200)
    rows = query(archive.database, "select actor, caller from core.audit_log")
    assert [(row["actor"], row["caller"]) for row in rows] == ([] if author is None else [(author, "admin_app")])


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("short", "SUPABASE_JWT_SECRET has 5 characters"),
        ("change-me", "SUPABASE_JWT_SECRET is a placeholder"),
        (ADMIN_SECRET, "SUPABASE_JWT_SECRET is the same as TRR_INTERNAL_ADMIN_SHARED_SECRET"),
        (backends.JWT_SECRET, None),
    ],
)
def test_the_secret_of_service_role_tokens_is_checked_at_the_start(
    environment: str, monkeypatch: pytest.MonkeyPatch, secret: str, problem: str | None
) -> None:
    monkeypatch.setenv("SUPABASE_JWT_SECRET", secret)
    if problem is None:
        with backends.serving(create_app()) as client:  # people's tokens and the service role's by one secret
            for headers, status in ((service_role(service_role_token(key=secret)), 404), (admin(), 404)):
                assert client.patch(TOGGLE, json={"facebank_seed": True}, headers=headers).status_code == status
            refused = client.patch(TOGGLE, json={}, headers=service_role(service_role_token(key=secret, role="anon")))
            assert refused.status_code == 401
    else:
        with pytest.raises(SetupError, match=problem):
            create_app()


def test_without_that_secret_a_service_role_token_is_nothing(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUPABASE_JWT_SECRET")
    with backends.serving(create_app()) as client:
        for key in ("", backends.SUPABASE_SECRET):
            response = client.patch(TOGGLE, json={}, headers=service_role(service_role_token(key=key)))
            assert response.status_code == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email": "ADMIN@Example.COM"}, 404),
        ({"email": " admin@example.com "}, 404),
        ({"email": "admin+gallery@example.com"}, 403),
        ({"email": "admın@example.com"}, 403),
        ({"email": "admin@example.com.attacker.example"}, 403),
        ({"email": "admin@example.com", "email_verified": False}, 403),
        ({"email": "admin@example.com", "user_metadata": {"email_verified": False}}, 403),
        ({"email": "admin@example.com", "user_metadata": {"email_verified": True}}, 404),
        ({"email": ["admin@example.com"]}, 403),
        ({"email": None}, 403),
    ],
)
def test_the_allowlist_does_not_match_similar_addresses(
    client: httpx.Client, claims: dict[str, Any], status: int
) -> None:
    headers = bearer(token(**claims))
    response = client.patch(TOGGLE, json={"facebank_seed": True}, headers=headers)
    assert response.status_code == status, response.text


@pytest.mark.parametrize("letter", ["\u212a", "\u017f"])
def test_case_folding_does_not_map_other_letters_to_ascii(letter: str) -> None:
    from trr_pipelines.allowlist import Allowlist

    allowed = Allowlist("kiss@example.com")
    assert "KISS@example.com" in allowed
    assert f"{letter}iss@example.com" not in allowed
    assert f"ki{letter}s@example.com" not in allowed


def test_an_admin_removed_from_the_allowlist_is_refused(
    environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    listed = tmp_path / "admins.txt"
    listed.write_text(f"# admins\n{backends.ADMIN_EMAIL}\n")
    monkeypatch.setenv("TRR_ADMIN_ALLOWLIST", f"file:{listed}")
    with backends.serving(create_app(), admin()) as client:
        assert client.patch(TOGGLE, json={"facebank_seed": True}).status_code == 404
        listed.write_text("# no admins\n")
        deadline = time.monotonic() + 20
        while client.patch(TOGGLE, json={"facebank_seed": True}).status_code != 403:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.parametrize("value", ["sécret", "\xff\xfe", ""])
def test_a_wrong_secret_of_any_bytes_is_refused(client: httpx.Client, value: str) -> None:
    headers = {b"Authorization": f"Bearer {SERVICE_ROLE}".encode(), SECRET_NAME: value.encode("latin-1")}
    assert client.patch(TOGGLE, json={}, headers=headers).status_code == 403


SECRET_NAME = b"X-TRR-Internal-Admin-Secret"


@pytest.mark.parametrize("name", [b"Authorization", SECRET_NAME])
def test_a_header_that_is_sent_twice_is_400(client: httpx.Client, name: bytes) -> None:
    headers = [(known.encode(), value.encode()) for known, value in ADMIN_APP.items()]
    headers.append((name, b"another"))
    assert client.patch(TOGGLE, json={}, headers=headers).status_code == 400


class TestPublicKeys:
    """Tokens of a sign-in whose keys are fetched from its URL."""

    @pytest.fixture
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @pytest.fixture
    def signed_in(
        self, key: rsa.RSAPrivateKey, environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> Any:
        import functools
        import http.server
        import threading

        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "one", "use": "sig"}]}))
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as keys:
            thread = threading.Thread(target=keys.serve_forever)
            thread.start()
            monkeypatch.delenv("TRR_JWT_SECRET")
            monkeypatch.setenv("TRR_JWKS_URL", f"http://127.0.0.1:{keys.server_port}/jwks.json")
            try:
                with backends.serving(create_app()) as client:
                    yield client
            finally:
                keys.shutdown()
                thread.join()

    def test_only_tokens_of_that_key_are_accepted(self, signed_in: httpx.Client, key: rsa.RSAPrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        claims = {"email": backends.ADMIN_EMAIL, "aud": "authenticated", "exp": int(time.time()) + 600}
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        good = jwt.encode(claims, pem, "RS256", headers={"kid": "one"})
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        cases = {
            good: 404,
            jwt.encode(claims, pem, "RS256", headers={"kid": "../../one"}): 401,
            jwt.encode(claims, other, "RS256", headers={"kid": "one"}): 401,
            jwt.encode(claims, other, "RS256", headers={"kid": "one", "jku": "http://127.0.0.1:9/jwks"}): 401,
            _hs256_with(public, claims): 401,
        }
        for value, status in cases.items():
            response = signed_in.patch(TOGGLE, json={"facebank_seed": True}, headers=bearer(value))
            assert response.status_code == status, response.text


def test_a_slow_issuer_does_not_stop_the_backend(environment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Row "single clients" of SECURITY: eight requests with any token kept `/healthz` waiting for 40 s."""
    with running_issuer() as issuer:
        monkeypatch.delenv("TRR_JWT_SECRET")
        monkeypatch.setenv("TRR_JWKS_URL", issuer.url)
        monkeypatch.setattr("trr_pipelines.web.issuer_keys.FETCH_SECONDS", 2.0)
        issuer.answers.clear()
        with backends.serving(create_app()) as client, ThreadPoolExecutor(8) as threads:
            value = bearer(issuer.token("one"))
            asked = [threads.submit(client.get, "/api/v1/admin/shows", headers=value) for _ in range(8)]
            while issuer.requests == 0:
                time.sleep(0.01)
            started = time.monotonic()
            assert client.get("/healthz").status_code == 200
            assert time.monotonic() - started < 1
            assert {one.result().status_code for one in asked} == {503}
            issuer.answers.set()
        assert issuer.requests == 1


def _hs256_with(public_key: bytes, claims: dict[str, Any]) -> str:
    """A token signed with the public key as a shared secret, which libraries refuse to create."""
    import hashlib
    import hmac

    def encoded(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "one"}).encode())
    signed = head + b"." + encoded(json.dumps(claims).encode())
    return (signed + b"." + encoded(hmac.new(public_key, signed, hashlib.sha256).digest())).decode()
