"""The backend's error responses: each exception type mapped to a problem with one sentence of detail.

No problem contains a stack trace, SQL or a secret: an unexpected exception is "internal error" with the request's id.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException
from starlette.routing import Match

from trr_pipelines.catalogue.database import LockHeldError, reason_of
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
from trr_pipelines.web.problems import SCHEMA, Refusal, declared, problem

__all__ = ["SCHEMA", "Refusal", "declared", "handle_problems", "problem"]


def handle_problems(app: FastAPI) -> None:
    """Register a handler for every exception that a route may raise."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_at(request)):
            headers = {"Allow": ", ".join(methods)}
        return problem(request, error.status_code, error.detail, headers=headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"field": _field(item["loc"]), "message": printable(item["msg"])} for item in error.errors()]
        detail = "; ".join(f"{item['field']}: {item['message']}" for item in errors[:5])
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=errors)

    @app.exception_handler(NotFoundError)
    async def not_found(request: Request, error: NotFoundError) -> Response:
        return problem(request, HTTPStatus.NOT_FOUND, str(error))

    @app.exception_handler(ConflictError)
    async def conflict(request: Request, error: ConflictError) -> Response:
        return problem(request, HTTPStatus.CONFLICT, str(error), reason=getattr(error, "reason", None))

    @app.exception_handler(InputError)
    async def invalid_input(request: Request, error: InputError) -> Response:
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    @app.exception_handler(MediaError)
    async def media_error(request: Request, error: MediaError) -> Response:
        is_permanent = isinstance(error, PermanentError)
        status = HTTPStatus.UNPROCESSABLE_ENTITY if is_permanent else HTTPStatus.SERVICE_UNAVAILABLE
        return problem(request, status, str(error), reason=str(error.reason))

    @app.exception_handler(PoolClosedError)
    @app.exception_handler(SetupError)
    async def not_ready(request: Request, error: Exception) -> Response:
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))

    @app.exception_handler(LockHeldError)
    async def locked(request: Request, _: Exception) -> Response:
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "another change of the catalogue is not finished yet")

    @app.exception_handler(psycopg.OperationalError)
    @app.exception_handler(PoolTimeout)
    async def unavailable(request: Request, error: Exception) -> Response:
        assert isinstance(error, psycopg.OperationalError | PoolTimeout)
        return problem(request, HTTPStatus.SERVICE_UNAVAILABLE, f"{reason_of(error)}; try again")

    @app.exception_handler(Exception)
    async def internal_error(request: Request, _: Exception) -> Response:
        # This handler runs outside all middleware, so it must add the request id itself.
        headers = {"X-Request-Id": request.scope.get("request_id", "")}
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal error", headers=headers)


def _methods_at(request: Request) -> list[str]:
    """All methods of this path: each of its routes has its own methods only."""
    routes: Sequence[APIRoute] = request.app.state.routes
    methods = [route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted(set().union(*methods))


def _field(location: tuple[int | str, ...]) -> str:
    """The field as callers know it: `crop.x` for `body.crop.x`."""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return ".".join(str(part) for part in parts) or "body"
