"""One line of JSON in the log for each request, and the id that ties it to an answer and to what went wrong.

A line holds the route and the caller, never a header, a query or a body: those may carry secrets.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_requests = logging.getLogger("trr.requests")
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_QUIET = ("/healthz", "/readyz", "/metrics")
_FIELDS = ("request_id", "method", "route", "status", "ms", "caller")


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name in _FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


Answered = Callable[[str, str, int, float], None]
"""Hears of each answer: method, route, status, seconds."""


def log_as_json(level: int = logging.INFO) -> None:
    """Send everything that is logged in this process to stderr as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, and those may be signed


class RequestLog:
    """Middleware: gives every request its id, answers with it, and logs and counts the request when it has ended."""

    def __init__(self, app: ASGIApp, answered: Answered | None = None) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        status = 500
        began = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", "") or "unknown"
            if self._answered is not None:
                self._answered(scope["method"] if route != "unknown" else "any", route, status, seconds)
            is_quiet = route in _QUIET or route.startswith("/media")
            if not is_quiet or status >= 500:
                _log(scope, route, status, seconds)


def _log(scope: Scope, route: str, status: int, seconds: float) -> None:
    line = {
        "request_id": scope["request_id"],
        "method": scope["method"],
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "caller": scope.get("caller"),
    }
    level = logging.ERROR if status >= 500 and status != 503 else logging.INFO
    _requests.log(level, "request", extra=line)


def _request_id(scope: Scope) -> str:
    """The caller's own id where it is plain, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
