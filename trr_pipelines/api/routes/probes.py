"""Liveness, readiness and Prometheus metrics."""

from __future__ import annotations

from typing import Literal

import psycopg
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from trr_pipelines.api.auth import ANYONE, METRICS, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive
from trr_pipelines.api.problems import Refusal
from trr_pipelines.catalogue import schema
from trr_pipelines.errors import SetupError

router = APIRouter(route_class=GuardedRoute, tags=["health"])


class Alive(BaseModel):
    """The process is running."""

    status: Literal["ok"]


class Ready(BaseModel):
    """The catalogue is reachable and has the schema version of this code."""

    status: Literal["ready"]


@router.get("/healthz", **open_to(ANYONE))
async def healthz() -> Alive:
    """Whether the process is running; on the event loop, so that it does not wait for the threads of other requests."""
    return Alive(status="ok")


@router.get("/readyz", **open_to(ANYONE))
def readyz(archive: CurrentArchive) -> Ready:
    """Whether the catalogue is reachable and has the schema version of this code."""
    try:
        with archive.database.transaction() as conn:
            schema.require_current(conn)
    except SetupError as error:
        raise Refusal(503, str(error)) from None
    except (psycopg.OperationalError, PoolTimeout):
        raise Refusal(503, "the catalogue cannot be reached") from None
    return Ready(status="ready")


@router.get("/metrics", response_class=PlainTextResponse, **open_to(METRICS))
def metrics(request: Request) -> Response:
    """Requests, open work, failures and lag in Prometheus' text format, also while the catalogue is unreachable."""
    page: bytes = request.app.state.metrics.page()
    return Response(page, media_type=CONTENT_TYPE_LATEST)
