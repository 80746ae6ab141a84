"""Sign-in tokens: Supabase-style JWTs, verified with the configured key and its algorithms only.

Which e-mails are admins is decided in `allowlist`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt

from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings

MAX_TOKEN_BYTES = 8_192  # tokens of real sign-ins have 1,000 to 2,000
JWKS_TIMEOUT_SECONDS = 5
JWKS_LIFESPAN_SECONDS = 300
_PUBLIC_KEY_ALGORITHMS = ["RS256", "ES256"]
_SECRET_ALGORITHMS = ["HS256"]


class InvalidTokenError(Exception):
    """A token that cannot be verified; the message gives the reason without any part of the token."""


class IssuerUnreachableError(Exception):
    """The issuer's keys cannot be fetched, so no token can be verified now."""


@dataclass(frozen=True)
class Claims:
    """E-mail and expiry (seconds since 1970) of a verified token; `email` is empty if it is missing or unverified."""

    email: str
    expires: int


class TokenVerifier:
    """Checks signature, algorithm, `aud`, `exp`, `nbf` and, when configured, `iss`. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._audience = settings.jwt_audience
        self._issuer = settings.jwt_issuer or None
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else ""
        self._keys = _key_client(settings.jwks_url) if settings.jwks_url else None

    def verify(self, token: bytes) -> Claims:
        """The claims of `token`. Raises InvalidTokenError, and IssuerUnreachableError if the keys cannot be fetched."""
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidTokenError(f"the token has {len(token):,} bytes, the limit is {MAX_TOKEN_BYTES:,}")
        try:
            text = token.decode("ascii")
            claims = jwt.decode(
                text,
                self._key_for(text),
                algorithms=_SECRET_ALGORITHMS if self._keys is None else _PUBLIC_KEY_ALGORITHMS,
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "aud"]},
            )
        except jwt.ExpiredSignatureError:
            raise InvalidTokenError("the token has expired") from None
        except jwt.PyJWKClientConnectionError:
            raise IssuerUnreachableError("the keys of the sign-in cannot be fetched") from None
        except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
            raise InvalidTokenError("the token cannot be verified") from None
        return Claims(_verified_email(claims), int(claims["exp"]))

    def _key_for(self, token: str) -> Any:
        # The key comes from the configured URL only: `jku`, `x5u` and `jwk` in the token's header are ignored.
        return self._secret if self._keys is None else self._keys.get_signing_key_from_jwt(token).key


def _key_client(url: str) -> jwt.PyJWKClient:
    if not url.startswith(("https://", "http://127.0.0.1", "http://localhost", "http://[::1]")):
        raise SetupError("TRR_JWKS_URL must be an https URL")
    return jwt.PyJWKClient(url, lifespan=JWKS_LIFESPAN_SECONDS, timeout=JWKS_TIMEOUT_SECONDS)


def _verified_email(claims: dict[str, Any]) -> str:
    email = claims.get("email")
    places = (claims, claims.get("user_metadata"), claims.get("app_metadata"))
    flags = [place["email_verified"] for place in places if isinstance(place, dict) and "email_verified" in place]
    is_verified = all(flag is True or str(flag).lower() == "true" for flag in flags)
    return email if isinstance(email, str) and is_verified else ""
