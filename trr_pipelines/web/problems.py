"""Error responses as `application/problem+json` (RFC 9457), with one sentence of detail.

Each app maps its errors to statuses itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import Request, Response
from starlette.exceptions import HTTPException

from trr_pipelines.errors import printable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
MAX_DETAIL = 1_000

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "about:blank: the status is the kind of problem"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one readable sentence: the subject, the limit and the value"},
        "instance": {"type": "string", "description": "the requested path"},
        "request_id": {"type": "string", "description": "id of the request in the logs"},
        "reason": {"type": "string", "description": "reason code of a refused photo"},
        "errors": {
            "type": "array",
            "description": "422 only: each invalid field",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


class Refusal(HTTPException):
    """A refused request, raised by guards and routes: `status` and one sentence of detail."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    errors: list[dict[str, str]] | None = None,
    reason: str | None = None,
) -> Response:
    """A problem response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": printable(detail)[:MAX_DETAIL],
        "instance": printable(request.url.path)[:MAX_DETAIL],
    }
    if request_id := request.scope.get("request_id"):
        body["request_id"] = request_id
    if reason is not None:
        body["reason"] = reason
    if errors is not None:
        body["errors"] = errors
    extra = dict(headers or {})
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return Response(orjson.dumps(body), status, extra, MEDIA_TYPE)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error responses of a route, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}
