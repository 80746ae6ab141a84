"""The signed-in admin of a request, and the way to the sign-in page and back: shared by pages and the proxy.

A page without a session redirects to the sign-in page; a call from a script gets a 401 problem.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.requests import Request

from trr_pipelines.admin.paths import ambiguity
from trr_pipelines.admin.sessions import Session, Sessions

SIGN_IN = "/admin/sign-in"
HOME = "/admin/trr-shows"
MAX_NEXT = 2_000
# Visible ASCII, as browsers send addresses, without the backslash, which they take for a slash.
_NEXT = re.compile(r"/admin(/[!-\[\]-~]+)?")
_NO_PAGES = (SIGN_IN, "/admin/api", "/admin/sign-out")


class SignInRequired(Exception):  # noqa: N818  control flow, not an error
    """The request has no valid session."""


@dataclass(frozen=True)
class Authenticator:
    """Finds the session of a request and names its admin in the request log."""

    sessions: Sessions

    def session(self, request: Request) -> Session:
        """The session of the request. Raises SignInRequired if there is no valid one."""
        session = self.sessions.read(request)
        if session is None:
            raise SignInRequired
        request.scope["caller"] = session.email
        return session


def checked_next(target: str) -> str:
    """The page to open after signing in: `target` if it is a page of this app, else the home page."""
    if len(target) > MAX_NEXT or not _NEXT.fullmatch(target):
        return HOME
    path = re.split("[?#]", target, maxsplit=1)[0]
    is_page = ambiguity(path.encode()) is None and not unquote(path).lower().startswith(_NO_PAGES)
    return target if is_page else HOME


def sign_in_url(target: str) -> str:
    """The sign-in page that leads back to `target`."""
    return f"{SIGN_IN}?next={quote(checked_next(target), safe='/')}"


def requested_page(request: Request) -> str:
    """The path of the request with its query."""
    query = request.scope["query_string"].decode("latin-1")
    path: str = request.scope["raw_path"].decode("latin-1")
    return f"{path}?{query}" if query else path
