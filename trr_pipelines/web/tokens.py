"""Sign-in tokens: Supabase-style JWTs, verified with the configured key and its algorithms only.

Which e-mails are admins is decided in `allowlist`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt

from trr_pipelines.settings import Settings
from trr_pipelines.web.issuer_keys import IssuerKeys, IssuerUnreachableError

__all__ = ["Claims", "InvalidTokenError", "IssuerUnreachableError", "TokenVerifier"]

MAX_TOKEN_BYTES = 8_192  # tokens of real sign-ins have 1,000 to 2,000
_PUBLIC_KEY_ALGORITHMS = ["RS256", "ES256"]
_SECRET_ALGORITHMS = ["HS256"]


class InvalidTokenError(Exception):
    """A token that cannot be verified; the message gives the reason without any part of the token."""


@dataclass(frozen=True)
class Claims:
    """E-mail and expiry (seconds since 1970) of a verified token; `email` is empty if it is missing or unverified."""

    email: str
    expires: int


class TokenVerifier:
    """Checks signature, algorithm, `aud`, `exp`, `nbf` and, when configured, `iss`. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer or None
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
        self._keys = IssuerKeys(settings.jwks_url) if settings.jwks_url else None

    async def verify(self, token: bytes) -> Claims:
        """The claims of `token`. Raises InvalidTokenError, and IssuerUnreachableError if the keys cannot be fetched."""
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidTokenError(f"the token has {len(token):,} bytes, the limit is {MAX_TOKEN_BYTES:,}")
        try:
            text = token.decode("ascii")
            claims = jwt.decode(
                text,
                await self._key_for(text),
                algorithms=_SECRET_ALGORITHMS if self._keys is None else _PUBLIC_KEY_ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidTokenError("the token has expired") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidTokenError("the token cannot be verified") from None
        return Claims(_verified_email(claims), int(claims["exp"]))

    async def _key_for(self, token: str) -> Any:
        """The key to verify with. It comes from the settings or the configured URL only: `jku`, `x5u` and `jwk` in the
        token's header are ignored."""
        if self._keys is None:
            return self._secret
        key_id = jwt.get_unverified_header(token).get("kid")
        key = await self._keys.key(key_id) if isinstance(key_id, str) else None
        if key is None:
            raise InvalidTokenError("the token is signed with a key that its issuer does not publish")
        return key.key


def _verified_email(claims: dict[str, Any]) -> str:
    email = claims.get("email")
    places = (claims, claims.get("user_metadata"), claims.get("app_metadata"))
    flags = [place["email_verified"] for place in places if isinstance(place, dict) and "email_verified" in place]
    is_verified = all(flag is True or str(flag).lower() == "true" for flag in flags)
    return email if isinstance(email, str) and is_verified else ""
