"""Sessions: a signed cookie with an admin's e-mail and its expiry.

The server stores the ids of sessions that were signed out, until they expire. Each request checks the e-mail against
the allowlist again. `guard` refuses requests that other sites send with the cookie.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass

import jwt
from starlette.requests import Request
from starlette.responses import Response

from trr_pipelines.admin.ended import EndedIds
from trr_pipelines.allowlist import Allowlist
from trr_pipelines.settings import Settings

MAX_SECONDS = 12 * 3600  # a working day; a sign-in token that expires earlier ends the session with it
_AUDIENCE = "trr-admin-session"
_ALGORITHM = "HS256"


@dataclass(frozen=True)
class Session:
    """A signed-in admin; `expires` is in seconds since 1970."""

    id: str
    email: str
    expires: int


class Sessions:
    """Writes and reads session cookies. Safe to share between threads."""

    def __init__(self, settings: Settings, ended: EndedIds, *, is_secure: bool) -> None:
        assert settings.internal_admin_shared_secret is not None
        secret = settings.internal_admin_shared_secret.get_secret_value().encode()
        # A key for this purpose only: nothing else that is signed with the secret passes as a session.
        self._key = hmac.digest(secret, b"trr admin session", "sha256")
        self._allowlist = Allowlist(settings.admin_allowlist)
        self._ended = ended
        self._is_secure = is_secure
        self.cookie = "__Host-trr_session" if is_secure else "trr_session"

    def may_sign_in(self, email: str) -> bool:
        """Whether the e-mail is on the allowlist."""
        return email in self._allowlist

    def start(self, response: Response, email: str, expires: int) -> None:
        """Set the cookie for `email`, valid until `expires` (seconds since 1970) but at most 12 hours."""
        now = int(time.time())
        until = min(expires, now + MAX_SECONDS)
        claims = {"jti": secrets.token_urlsafe(16), "email": email, "aud": _AUDIENCE, "exp": until}
        self._set_cookie(response, jwt.encode(claims, self._key, _ALGORITHM), max(0, until - now))

    def end(self, response: Response, session: Session) -> None:
        """End the session, also for copies of its cookie, and delete the cookie. Raises OSError if that is not kept."""
        self._ended.add(session.id, session.expires)
        self._set_cookie(response, "", 0)

    def read(self, request: Request) -> Session | None:
        """The session of a request; None without a valid cookie, after its sign-out, or for an e-mail not listed."""
        try:
            claims = jwt.decode(
                request.cookies.get(self.cookie, ""),
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "email", "jti"]},
            )
        except jwt.PyJWTError:
            return None
        session = Session(str(claims["jti"]), str(claims["email"]), int(claims["exp"]))
        return session if session.id not in self._ended and self.may_sign_in(session.email) else None

    def _set_cookie(self, response: Response, value: str, seconds: int) -> None:
        response.set_cookie(
            self.cookie, value, max_age=seconds, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )
