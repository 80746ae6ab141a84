"""Errors as answers: every failure of every route is `application/problem+json` (RFC 9457), told in one sentence.

No stack trace, SQL or secret gets into one: what is not foreseen says "internal error" and the id to find it by.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from trr_pipelines.compute.pool import PoolClosedError
from trr_pipelines.errors import (
    ConflictError,
    InputError,
    MediaError,
    NotFoundError,
    PermanentError,
    SetupError,
    printable,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2
MAX_DETAIL = 1_000

SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"type": "string", "description": "about:blank: the status says what kind of problem it is"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "one sentence for people: the thing, the limit and the value"},
        "instance": {"type": "string", "description": "the path that was asked for"},
        "request_id": {"type": "string", "description": "find the request in the logs by it"},
        "reason": {"type": "string", "description": "why a photo's bytes were refused: a reason code"},
        "errors": {
            "type": "array",
            "description": "422 only: each field that was refused",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}


class Refusal(HTTPException):
    """A request that is answered with `status` and one sentence; raised by guards and routes."""

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
    """The answer that says `detail` under `status`."""
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


def handle_problems(app: FastAPI) -> None:
    """Turn every error that leaves a route into an answer."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        return problem(request, error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"field": _field(item["loc"]), "message": printable(item["msg"])} for item in error.errors()]
        told = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:5])
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, told, errors=errors)

    @app.exception_handler(NotFoundError)
    async def missing(request: Request, error: NotFoundError) -> Response:
        return problem(request, HTTPStatus.NOT_FOUND, str(error))

    @app.exception_handler(ConflictError)
    async def conflicting(request: Request, error: ConflictError) -> Response:
        return problem(request, HTTPStatus.CONFLICT, str(error))

    @app.exception_handler(InputError)
    async def unusable(request: Request, error: InputError) -> Response:
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(MediaError)
    async def media(request: Request, error: MediaError) -> Response:
        is_permanent = isinstance(error, PermanentError)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_permanent else HTTPStatus.SERVICE_UNAVAILABLE
        return problem(request, status, str(error), reason=str(error.reason))

    @app.exception_handler(PoolClosedError)
    @app.exception_handler(SetupError)
    async def not_ready(request: Request, error: Exception) -> Response:
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(PoolTimeout)
    async def unreachable(request: Request, _: Exception) -> Response:
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "the catalogue cannot be reached")

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, _: Exception) -> Response:
        # This answer is made outside of all middleware, so the id that the log has must be added here.
        headers = {"X-Request-Id": request.scope.get("request_id", "")}
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal error", headers=headers)


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for OpenAPI."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in sorted(statuses)}


def _field(location: tuple[int | str, ...]) -> str:
    """`body.crop.x` is known to callers as `crop.x`."""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return ".".join(str(part) for part in parts) or "body"
