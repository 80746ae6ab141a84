"""Tokens that services sign with a secret they share with the backend: the app's own short-lived one, and Supabase's
service role. Sign-in tokens of people are in `tokens`.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.algorithms import HMACAlgorithm
from pydantic import SecretStr

from trr_pipelines.settings import Settings
from trr_pipelines.web.tokens import MAX_TOKEN_BYTES, InvalidTokenError

SUBJECT = "trr-app-internal-admin"
SCOPE = "internal_admin"
SERVICE_ROLE = "service_role"
LIFETIME_SECONDS = 120
LEEWAY_SECONDS = 5  # clocks of two servers


class NotEnoughError(Exception):
    """A verified token that does not give access; the message has no part of the token."""


@dataclass(frozen=True)
class InternalAdmin:
    """A verified token of the app; `email` is that of its admin, None if it names none."""

    email: str | None


class _SharedSecret(HMACAlgorithm):
    """HS256 without the warning for secrets below 32 bytes: their length is checked when the server starts."""

    def check_key_length(self, key: bytes) -> str | None:  # noqa: ARG002  the base class's signature
        return None


class InternalAdminTokens:
    """The app's tokens: HS256 by TRR_INTERNAL_ADMIN_SHARED_SECRET, valid for at most two minutes."""

    def __init__(self, settings: Settings) -> None:
        self._key = _bytes(settings.internal_admin_shared_secret)
        self._issuer = settings.internal_admin_jwt_issuer
        self._audience = settings.internal_admin_jwt_audience

    def verify(self, token: bytes) -> InternalAdmin | None:
        """The admin of a token that this secret signed; None for any other token.

        Raises InvalidTokenError for an expired or early one, one with a longer lifetime, and missing or other claims;
        NotEnoughError for another subject or scope, and for an `admin_email` that is no text.
        """
        claims = _signed_claims(token, self._key)
        if claims is None:
            return None
        for name, expected in (("iss", self._issuer), ("aud", self._audience)):
            if claims.get(name) != expected:
                raise InvalidTokenError(f"the token's {name} is missing or not the one that is expected")
        issued, earliest, expires = (_seconds(claims, name) for name in ("iat", "nbf", "exp"))
        now = time.time()
        if expires + LEEWAY_SECONDS <= now:
            raise InvalidTokenError("the token has expired")
        if max(issued, earliest) - LEEWAY_SECONDS > now:
            raise InvalidTokenError("the token is not valid yet")
        if expires - issued > LIFETIME_SECONDS:
            raise InvalidTokenError(f"the token is valid for longer than {LIFETIME_SECONDS} s")
        for name, expected in (("sub", SUBJECT), ("scope", SCOPE)):
            if name not in claims:
                raise InvalidTokenError(f"the token has no {name}")
            if claims[name] != expected:
                raise NotEnoughError(f"the token's {name} is not {expected}")
        email = claims.get("admin_email")
        if email is not None and not isinstance(email, str):
            raise NotEnoughError("the token's admin_email is not text")
        return InternalAdmin(email)


class ServiceRoleTokens:
    """Supabase's tokens: HS256 by SUPABASE_JWT_SECRET. Without that setting there are none."""

    def __init__(self, settings: Settings) -> None:
        self._key = _bytes(settings.supabase_jwt_secret)
        self.is_separate = self._key != _bytes(settings.jwt_secret)
        """Whether people's sign-in tokens have another secret."""

    def role(self, token: bytes) -> str | None:
        """The role of a token that this secret signed, empty without one; None for any other token.

        Raises InvalidTokenError for an expired token and one that is not valid yet.
        """
        claims = _signed_claims(token, self._key)
        if claims is None:
            return None
        now = time.time()
        if "exp" in claims and _seconds(claims, "exp") + LEEWAY_SECONDS <= now:
            raise InvalidTokenError("the token has expired")
        if "nbf" in claims and _seconds(claims, "nbf") - LEEWAY_SECONDS > now:
            raise InvalidTokenError("the token is not valid yet")
        role = claims.get("role")
        return role if isinstance(role, str) else ""


def _signed_claims(token: bytes, key: bytes) -> dict[str, Any] | None:
    """The claims of a token that `key` signed with HS256; None for any other bytes.

    The key and the algorithm never come from the token.
    """
    if not key or len(token) > MAX_TOKEN_BYTES or token.count(b".") != 2:
        return None
    verifier = jwt.PyJWS(algorithms=[])
    verifier.register_algorithm("HS256", _SharedSecret(HMACAlgorithm.SHA256))
    try:
        payload = verifier.decode(token, key, algorithms=["HS256"])
        claims = json.loads(payload)
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        raise InvalidTokenError(f"the token has no {name}, or one that is not a time")
    return float(value)


def _bytes(secret: SecretStr | None) -> bytes:
    return secret.get_secret_value().encode() if secret is not None else b""
