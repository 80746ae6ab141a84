"""The development issuer: sign-in links for the development admin of the embedded default only.

It does not exist if the settings name a database, a backend, an address of the app or a sign-in.
"""

from __future__ import annotations

import secrets
import time

import jwt
from pydantic import SecretStr

from trr_pipelines.admin.ended import EndedIds
from trr_pipelines.allowlist import Allowlist
from trr_pipelines.credentials import DEVELOPMENT_ADMIN, with_credentials
from trr_pipelines.settings import Settings

LINK_SECONDS = 15 * 60
_AUDIENCE = "trr-admin-link"  # the backend accepts its own audience only
_ALGORITHM = "HS256"


def has_development_issuer(settings: Settings) -> bool:
    """Whether the settings, as read from the environment, are the embedded default."""
    configured = (settings.database_url, settings.api_url, settings.admin_url, settings.jwks_url, settings.jwt_secret)
    return not any(configured)


def sign_in_link(settings: Settings) -> str | None:
    """A link that signs the development admin in once, within 15 minutes; None without a development issuer."""
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
    # After the #, so that request logs do not have it.
    return f"http://127.0.0.1:{settings.admin_port}/admin/sign-in#access_token={token}"


class UsedLinks:
    """The links already used: each signs in once. Safe to share between threads."""

    def __init__(self, settings: Settings, ended: EndedIds) -> None:
        self._key = _key(settings.jwt_secret)
        self._ended = ended

    def email_of(self, token: str) -> str | None:
        """The e-mail that a link's token signs in; None if it is not ours, expired, or already used.

        Raises OSError if it cannot be kept that it is used now.
        """
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
        if not self._ended.add(f"link {claims['jti']}", int(claims["exp"])):
            return None
        return str(claims["email"])


def _key(secret: SecretStr | None) -> str:
    assert secret is not None
    return secret.get_secret_value()
