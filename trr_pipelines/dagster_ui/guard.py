"""Middleware in front of Dagster's app: who may connect, from which pages, and in which form a change is requested.

Dagster 1.13 carries out mutations by GET, by POST with the query in the URL, and as any Content-Type that contains
`application/json`, for any Host and any Origin. Here a request must name a host of ours, come from an allowed user of
this machine, and not from another site; a POST must be JSON, which other sites cannot send without our consent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trr_pipelines.dagster_ui.peers import AllowedUsers
from trr_pipelines.web.origins import Origins

GRAPHQL: Final = "/graphql"
_READING: Final = ("GET", "HEAD")
_METHODS: Final = (*_READING, "POST")
# A proxy in front of us might read one of two values and we the other.
_ONCE: Final = ("host", "origin", "content-type", "content-length", "sec-fetch-site")
# The UI shows notebooks in a frame of its own.
_HEADERS: Final = [
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POLICY_VIOLATION: Final = 1008


@dataclass(frozen=True)
class Refused:
    """The answer to a request that does not reach Dagster."""

    status: int
    detail: str


class Guard:
    """Refuses requests before Dagster sees them, and adds headers against framing to every response."""

    def __init__(self, app: ASGIApp, *, origins: Origins, users: AllowedUsers) -> None:
        self._app = app
        self._origins = origins
        self._users = users

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        refused = self._refused(scope)
        if refused is None:
            await self._app(scope, receive, send_guarded)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refused.detail[:120]})
        else:
            allow = {"allow": ", ".join(_METHODS)} if refused.status == 405 else None
            response = PlainTextResponse(f"{refused.detail}\n", refused.status, headers=allow)
            await response(scope, receive, send_guarded)

    def _refused(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        not_allowed = self._users.refusal(tuple(scope["client"] or ("::", 0)), tuple(scope["server"]))
        if not_allowed is not None:
            return Refused(403, not_allowed)
        counts = Counter(name.decode("latin-1") for name, _ in scope["headers"])
        if repeated := next((name for name in _ONCE if counts[name] > 1), None):
            return Refused(400, f"{repeated} is sent {counts[repeated]} times")
        if headers.get("host", "").lower().encode() not in self._origins.hosts:
            return Refused(403, "unknown host; set TRR_DAGSTER_URL to the address of Dagster's UI")
        if _is_from_another_site(scope, headers, self._origins.known):
            origin, site = headers.get("origin", "not sent"), headers.get("sec-fetch-site", "not sent")
            return Refused(
                403, f"the request is from another site (Origin: {origin[:200]}, Sec-Fetch-Site: {site[:40]})"
            )
        return _wrong_form(scope, headers) if scope["type"] == "http" else None


def _is_from_another_site(scope: Scope, headers: Headers, known: frozenset[str]) -> bool:
    """Whether a page of another site sent this request. A link to the UI is one that may; programs send neither header."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if origin is not None and origin not in known:
        return True
    if site in (None, "none", "same-origin"):
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (is_link and scope.get("method") in _READING)


def _wrong_form(scope: Scope, headers: Headers) -> Refused | None:
    method: str = scope["method"]
    if method not in _METHODS:
        return Refused(405, f"{method} is not accepted")
    if method == "POST":
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return Refused(
                415, f"a request for a change must be application/json, not {media_type[:80] or 'without type'}"
            )
    elif scope["path"].rstrip("/").endswith(GRAPHQL) and "text/html" not in headers.get("accept", ""):
        return Refused(405, "GraphQL is answered to POST only")  # the page of the GraphQL playground is text/html
    return None
