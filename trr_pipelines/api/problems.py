"""Which error becomes which answer of the backend: each is a problem, told in one sentence.

No stack trace, SQL or secret gets into one: what is not foreseen says "internal error" and the id to find it by.
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
    """Turn every error that leaves a route into an answer."""

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        headers = error.headers
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED and (methods := _methods_at(request)):
            headers = {"Allow": ", ".join(methods)}
        return problem(request, error.status_code, error.detail, headers=headers)

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


def _methods_at(request: Request) -> list[str]:
    """What can be done at this address: routes of one path stand apart, and each knows its own methods only."""
    routes: Sequence[APIRoute] = request.app.state.routes
    here = [route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted(set().union(*here))


def _field(location: tuple[int | str, ...]) -> str:
    """`body.crop.x` is known to callers as `crop.x`."""
    parts = location[1:] if location and location[0] in ("body", "query", "path", "header") else location
    return ".".join(str(part) for part in parts) or "body"
