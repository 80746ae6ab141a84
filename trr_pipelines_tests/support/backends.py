"""The backend on the production server, the secrets of tests, and tokens for every kind of caller."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx
import jwt
import uvicorn
from fastapi import FastAPI

from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.web.serving import PlainProtocol

SERVICE_ROLE = "service-role-of-the-tests"
ADMIN_SECRET = "internal-admin-of-the-tests"
SCREENALYTICS_TOKEN = "screenalytics-of-the-tests"
JWT_SECRET = "a-secret-of-the-tests-that-is-long-enough-for-HS512-as-well-in-64"
SUPABASE_SECRET = "supabase-secret-of-the-tests-that-is-long-enough"
DAY = 86_400
ADMIN_EMAIL = "admin@example.com"
OTHER_ADMIN = "second.admin@example.com"

ENVIRONMENT = {
    "TRR_SERVICE_ROLE_KEY": SERVICE_ROLE,
    "TRR_INTERNAL_ADMIN_SHARED_SECRET": ADMIN_SECRET,
    "SCREENALYTICS_SERVICE_TOKEN": SCREENALYTICS_TOKEN,
    "TRR_JWT_SECRET": JWT_SECRET,
    "SUPABASE_JWT_SECRET": SUPABASE_SECRET,
    "TRR_ADMIN_ALLOWLIST": f"{ADMIN_EMAIL}, {OTHER_ADMIN}",
}

ADMIN_APP = {"Authorization": f"Bearer {SERVICE_ROLE}", "X-TRR-Internal-Admin-Secret": ADMIN_SECRET}
SCREENALYTICS = {"Authorization": f"Bearer {SCREENALYTICS_TOKEN}"}


def environment(archive: Archive) -> dict[str, str]:
    """The environment variables of a backend on `archive`."""
    assert archive.settings.database_url is not None
    return ENVIRONMENT | {
        "TRR_HOME": str(archive.settings.home),
        "TRR_DATABASE_URL": archive.settings.database_url.get_secret_value(),
        "TRR_MEDIA_STORE": archive.settings.media_store,
    }


def token(email: str = ADMIN_EMAIL, *, key: str = JWT_SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A sign-in token in Supabase's format; claims set to None are omitted.

    Valid for a day, because some are created during test collection.
    """
    now = int(time.time())
    values = {
        "email": email,
        "aud": "authenticated",
        "role": "authenticated",
        "iat": now,
        "exp": now + 86_400,
        **claims,
    }
    return jwt.encode({name: value for name, value in values.items() if value is not None}, key, algorithm)


def app_token(*, key: str = ADMIN_SECRET, age: int = 0, **claims: Any) -> str:
    """The app's short-lived token, issued `age` seconds ago; claims set to None are omitted."""
    issued = int(time.time()) - age
    values = {
        "iss": "trr-app-internal",
        "aud": "trr-backend-internal-admin",
        "sub": "trr-app-internal-admin",
        "scope": "internal_admin",
        "iat": issued,
        "nbf": issued,
        "exp": issued + 120,
        **claims,
    }
    return signed({name: value for name, value in values.items() if value is not None}, key)


def service_role_token(*, key: str = SUPABASE_SECRET, **claims: Any) -> str:
    """Supabase's service role as a JWT."""
    now = int(time.time())
    return signed({"iss": "supabase", "role": "service_role", "iat": now, "exp": now + DAY, **claims}, key)


def signed(claims: Mapping[str, Any], key: str, algorithm: str = "HS256") -> str:
    """A JWT with an HMAC, also by a key that PyJWT warns of."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    head = encoded(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    body = f"{head}.{encoded(json.dumps(claims).encode())}"
    return f"{body}.{encoded(hmac.digest(key.encode(), body.encode(), f'sha{algorithm[2:]}'))}"


def admin(email: str = ADMIN_EMAIL) -> dict[str, str]:
    """The headers of a signed-in admin."""
    return {"Authorization": f"Bearer {token(email)}"}


@contextmanager
def serving(app: FastAPI, headers: Mapping[str, str] | None = None) -> Iterator[httpx.Client]:
    """Run `app` with uvicorn on a free port; yields a client."""
    config = uvicorn.Config(app, port=0, http=PlainProtocol, log_config=None, proxy_headers=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, headers=headers, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
