"""The development issuer: sign-in links for the development admin of the embedded default, and for nothing else.

With a database, a backend or a sign-in given by the settings there is no such issuer.
"""

from __future__ import annotations

import secrets
import time
from threading import Lock

import jwt
from pydantic import SecretStr

from trr_pipelines.allowlist import Allowlist
from trr_pipelines.credentials import DEVELOPMENT_ADMIN, with_credentials
from trr_pipelines.settings import Settings

LINK_SECONDS = 15 * 60
_AUDIENCE = "trr-admin-link"  # the backend takes no token for another audience than its own
_ALGORITHM = "HS256"


def has_development_issuer(settings: Settings) -> bool:
    """Whether these settings, as they were read, are the embedded default throughout."""
    given = (settings.database_url, settings.api_url, settings.admin_url, settings.jwks_url, settings.jwt_secret)
    return not any(given)


def sign_in_link(settings: Settings) -> str | None:
    """A link that signs the development admin in once, within 15 minutes; None where there is no such issuer."""
    if not has_development_issuer(settings):
        return None
    filled = with_credentials(settings)
    if DEVELOPMENT_ADMIN not in Allowlist(filled.admin_allowlist):
        return None
    claims = {
        "email": DEVELOPMENT_ADMIN,
        "aud": _AUDIENCE,
        "jti": secrets.token_urlsafe(12),
        "exp": int(time.time()) + LINK_SECONDS,
    }
    token = jwt.encode(claims, _key(filled.jwt_secret), _ALGORITHM)
    # Behind the #, so that it is in no log of requests.
    return f"http://127.0.0.1:{settings.admin_port}/admin/sign-in#access_token={token}"


class UsedLinks:
    """Which links were used already: each signs in once. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._key = _key(settings.jwt_secret)
        self._used: dict[str, int] = {}
        self._lock = Lock()

    def email_of(self, token: str) -> str | None:
        """Whom a link's token signs in; None when it is not one of ours, too old, or was used."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "jti", "email"]},
            )
        except (jwt.PyJWTError, ValueError):
            return None
        now = time.time()
        with self._lock:
            self._used = {jti: exp for jti, exp in self._used.items() if exp > now}
            if claims["jti"] in self._used:
                return None
            self._used[str(claims["jti"])] = int(claims["exp"])
        return str(claims["email"])


def _key(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()
