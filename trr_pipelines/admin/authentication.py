"""Who is behind a request, and what a change must show: shared by pages and the proxy.

A page sends whoever is not signed in to sign in, and back; a call from a script gets a problem that says where to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from trr_pipelines.admin.origins import Origins
from trr_pipelines.admin.sessions import Session, Sessions
from trr_pipelines.web.problems import Refusal

SIGN_IN = "/admin/sign-in"
HOME = "/admin/trr-shows"
CSRF_HEADER = "x-csrf-token"
_NEXT = re.compile(r"/admin(/[^/\\\x00-\x20\x7f][^\\\x00-\x20\x7f]*)?")


class SignInRequired(Exception):  # noqa: N818  it is no error
    """Nobody is signed in (any more)."""


@dataclass(frozen=True)
class Authenticator:
    """Tells who is signed in, and which requests come from our own pages."""

    sessions: Sessions
    origins: Origins

    def session(self, request: Request) -> Session:
        """Who is signed in. Raises SignInRequired."""
        session = self.sessions.read(request)
        if session is None:
            raise SignInRequired
        request.scope["caller"] = session.email
        return session

    def require_own_origin(self, request: Request) -> None:
        """Raise Refusal with 403 for a request that another site made the browser send.

        Browsers send Origin with everything that is no GET; where it is missing, Sec-Fetch-Site has to say it.
        """
        origin = request.headers.get("origin")
        is_own = origin in self.origins.known
        if origin is None:
            is_own = request.headers.get("sec-fetch-site") == "same-origin"
        if not is_own:
            raise Refusal(403, f"the request comes from {(origin or 'an unknown origin')[:200]}, not from this app")

    def require_token(self, token: str, of: str) -> None:
        """Raise Refusal with 403 for a form token that was not made for the session or form cookie `of`."""
        if not self.sessions.is_form_token(token, of):
            raise Refusal(403, "the form is not from this session; load the page again")


def checked_next(target: str) -> str:
    """Where to go after signing in: a page of this app, and never anywhere else."""
    is_ours = len(target) <= 2_000 and "//" not in target.partition("?")[0] and _NEXT.fullmatch(target)
    return target if is_ours and not target.startswith((SIGN_IN, "/admin/api", "/admin/sign-out")) else HOME


def sign_in_url(target: str) -> str:
    """The sign-in page that leads back to `target`."""
    return f"{SIGN_IN}?next={quote(checked_next(target), safe='/')}"


def here(request: Request) -> str:
    """The page that was asked for, with its query."""
    query = request.scope["query_string"].decode("latin-1")
    path: str = request.scope["raw_path"].decode("latin-1")
    return f"{path}?{query}" if query else path
