"""One JSON log line per request, with the id that its response and its errors also have.

A line has the route and the caller, never a header, a query or a body, which may contain secrets.
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

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trr_pipelines.foreign_text import shown

_requests = logging.getLogger("trr.requests")
_ACCEPTED_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")
_QUIET = ("/healthz", "/readyz", "/metrics")
CLIENT_LEFT = 499  # as nginx logs a client that closed its connection before the response
_FIELDS = ("request_id", "method", "route", "status", "ms", "caller")


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": shown(record.getMessage()),
        }
        line |= {name: value for name in _FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


OnResponse = Callable[[str, str, int, float], None]
"""Called after each response with method, route, status and seconds."""


def log_as_json(level: int = logging.INFO) -> None:
    """Write all logs of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs URLs, which may be signed


class RequestLog:
    """Middleware that gives every request an id, adds it to the response, and logs and counts the ended request."""

    def __init__(self, app: ASGIApp, on_response: OnResponse | None = None) -> None:
        self._app = app
        self._on_response = on_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope["request_id"] = request_id
        status = 500
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:  # while its body was read: nothing failed here, so this is no traceback
            status = CLIENT_LEFT
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "") or "unknown"
            if self._on_response is not None:
                self._on_response(scope["method"] if route != "unknown" else "any", route, status, seconds)
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
    """The caller's id if it has 8 to 64 plain characters, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ACCEPTED_ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex
