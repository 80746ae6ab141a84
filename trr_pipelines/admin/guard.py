"""Middleware that refuses ambiguous paths, unknown hosts, duplicate headers, and changes requested by other sites.

It also adds the security headers to every response: a policy that lets the browser load and run only our own files and
the photos.
"""

from __future__ import annotations

from collections import Counter

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trr_pipelines.admin import error_pages
from trr_pipelines.admin.paths import ambiguity
from trr_pipelines.web.origins import Origins, cross_origin_detail, is_same_origin
from trr_pipelines.web.problems import Refusal, problem

HEALTH = "/healthz"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
# A proxy in front of us might read one of two values and we the other.
_ONCE = frozenset(
    b"authorization x-trr-internal-admin-secret x-trr-acting-admin cookie origin sec-fetch-site host content-type"
    b" content-length if-match if-none-match".split()
)


def security_headers(media_origin: str) -> list[tuple[bytes, bytes]]:
    """Headers of every response; `media_origin` is the origin that serves the photos."""
    policy = "; ".join(
        (
            "default-src 'self'",
            f"img-src 'self' {media_origin} data:",  # data: for placeholders
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
    return [
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    ]


class Guard:
    """Refuses requests before routing (400; 403 for other sites) and adds the headers above to every response."""

    def __init__(self, app: ASGIApp, *, origins: Origins, headers: list[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._origins = origins
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        refusal = _malformed(scope, self._origins.hosts)
        if refusal is not None:
            await problem(Request(scope), 400, refusal)(scope, receive, send_guarded)
        elif scope["method"] not in _SAFE_METHODS and not is_same_origin(Headers(scope=scope), self._origins.known):
            error = Refusal(403, cross_origin_detail(Headers(scope=scope)))
            response = await error_pages.refused(Request(scope), error)
            await response(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)


def _malformed(scope: Scope, hosts: frozenset[bytes]) -> str | None:
    if refusal := ambiguity(scope["raw_path"]):
        return refusal
    counts = Counter(name for name, _ in scope["headers"])
    for name in sorted(_ONCE & counts.keys()):
        if counts[name] > 1:
            return f"{name.decode()} is sent {counts[name]} times"
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if host.lower() not in hosts and scope["path"] != HEALTH:
        return "unknown host; set TRR_ADMIN_URL to the address of the app"
    return None
