"""Sessions: a signed cookie that says who signed in and until when, and tokens that tie a form to its session.

Nothing is stored. Who may sign in is asked of the allowlist on each request, not only here.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import jwt
from starlette.requests import Request
from starlette.responses import Response

from trr_pipelines.allowlist import Allowlist
from trr_pipelines.settings import Settings

MAX_SECONDS = 12 * 3600  # a working day; a token that ends earlier ends the session with it
_AUDIENCE = "trr-admin-session"
_ALGORITHM = "HS256"
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class Session:
    """A signed-in admin. `id` is random and names the session in its form tokens."""

    email: str
    id: str
    expires: int


class Sessions:
    """Makes and reads session cookies and form tokens. Safe to share between threads."""

    def __init__(self, settings: Settings, *, is_secure: bool) -> None:
        assert settings.internal_admin_shared_secret is not None
        secret = settings.internal_admin_shared_secret.get_secret_value().encode()
        # Keys for one purpose each: what is signed for one can never pass for the other.
        self._session_key = hmac.digest(secret, b"trr admin session", "sha256")
        self._form_key = hmac.digest(secret, b"trr admin form", "sha256")
        self._allowlist = Allowlist(settings.admin_allowlist)
        self._is_secure = is_secure
        prefix = "__Host-" if is_secure else ""
        self.cookie = f"{prefix}trr_session"
        self.form_cookie = f"{prefix}trr_form"

    def may_sign_in(self, email: str) -> bool:
        """Whether this e-mail is on the list of admins."""
        return email in self._allowlist

    def start(self, response: Response, email: str, expires: int) -> None:
        """Have the browser hold a session of `email` until `expires` (seconds since 1970), or a working day."""
        now = int(time.time())
        until = min(expires, now + MAX_SECONDS)
        claims = {"email": email, "sid": secrets.token_urlsafe(16), "aud": _AUDIENCE, "exp": until}
        value = jwt.encode(claims, self._session_key, _ALGORITHM)
        self._set(response, self.cookie, value, max(0, until - now))

    def end(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._set(response, self.cookie, "", 0)

    def read(self, request: Request) -> Session | None:
        """Who is signed in; None without a session, with one that has expired, or when the e-mail was taken off."""
        try:
            claims = jwt.decode(
                request.cookies.get(self.cookie, ""),
                self._session_key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                options={"require": ["exp", "email", "sid"]},
            )
        except jwt.PyJWTError:
            return None
        session = Session(str(claims["email"]), str(claims["sid"]), int(claims["exp"]))
        return session if self.may_sign_in(session.email) else None

    def form_token(self, of: str) -> str:
        """A token for forms of the session, or form cookie, `of`.

        Each is masked by chance, so that a compressed page that repeats what somebody typed tells nothing of it.
        """
        mask = secrets.token_bytes(_TOKEN_BYTES)
        return urlsafe_b64encode(mask + _xor(mask, self._signed(of))).decode()

    def is_form_token(self, token: str, of: str) -> bool:
        """Whether `token` was made for `of`."""
        try:
            raw = urlsafe_b64decode(token.encode())
        except ValueError:
            return False
        mask, masked = raw[:_TOKEN_BYTES], raw[_TOKEN_BYTES:]
        return len(raw) == 2 * _TOKEN_BYTES and hmac.compare_digest(_xor(mask, masked), self._signed(of))

    def ensure_form_cookie(self, request: Request, response: Response) -> str:
        """The value that ties the sign-in form to this browser, before there is a session."""
        value = request.cookies.get(self.form_cookie, "")
        if len(value) < 16:
            value = secrets.token_urlsafe(24)
            self._set(response, self.form_cookie, value, MAX_SECONDS)
        return value

    def _signed(self, of: str) -> bytes:
        return hmac.digest(self._form_key, of.encode(), hashlib.sha256)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path="/", secure=self._is_secure, httponly=True, samesite="lax"
        )


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))
