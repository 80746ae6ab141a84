"""What no request gets past: targets that are read in two ways, foreign hosts, headers that are sent twice.

And what every answer carries: a policy that lets the browser run and load nothing but our own files and the photos.
"""

from __future__ import annotations

from collections import Counter
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trr_pipelines.admin.origins import Origins
from trr_pipelines.web.problems import problem

HEALTH = "/healthz"
# Two of them, and nobody could say which one a proxy in front of us looked at.
_ONCE = frozenset(
    b"authorization x-trr-internal-admin-secret x-trr-acting-admin x-csrf-token cookie origin host content-type"
    b" content-length if-match if-none-match".split()
)


def security_headers(media_origin: str) -> list[tuple[bytes, bytes]]:
    """Headers of every answer; `media_origin` is where the photos are served."""
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
    """Middleware: refuses with 400 before any route is looked for, and adds the headers above."""

    def __init__(self, app: ASGIApp, *, origins: Origins, headers: list[tuple[bytes, bytes]]) -> None:
        self._app = app
        self._hosts = origins.hosts
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        refusal = _refusal(scope, self._hosts)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        else:
            await problem(Request(scope), 400, refusal)(scope, receive, send_guarded)


def _refusal(scope: Scope, hosts: frozenset[bytes]) -> str | None:
    raw: bytes = scope["raw_path"].lower()
    path = unquote_to_bytes(raw)
    if b"%2f" in raw or b"%5c" in raw or b"\\" in path or b"//" in path or any(byte < 32 for byte in path):
        return "the path holds what could be read in two ways"
    if any(segment in (b".", b"..") for segment in path.split(b"/")) or b"%" in path:
        return "the path holds what could be read in two ways"
    counts = Counter(name for name, _ in scope["headers"])
    for name in sorted(_ONCE & counts.keys()):
        if counts[name] > 1:
            return f"{name.decode()} is sent {counts[name]} times"
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    if host.lower() not in hosts and scope["path"] != HEALTH:
        return "this host is not known here; TRR_ADMIN_URL says where the app is reached"
    return None
