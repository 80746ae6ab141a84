"""Whether the process lives, and whether it can serve."""

from __future__ import annotations

from typing import Literal

import psycopg
from fastapi import APIRouter
from psycopg_pool import PoolTimeout
from pydantic import BaseModel

from trr_pipelines.api.auth import ANYONE, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive
from trr_pipelines.api.problems import Refusal
from trr_pipelines.catalogue import schema
from trr_pipelines.errors import SetupError

router = APIRouter(route_class=GuardedRoute, tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(BaseModel):
    """The catalogue answers, with the schema that this code was written for."""

    status: Literal["ready"]


@router.get("/healthz", **open_to(ANYONE))
def healthz() -> Alive:
    """The process answers."""
    return Alive(status="ok")


@router.get("/readyz", **open_to(ANYONE))
def readyz(archive: CurrentArchive) -> Ready:
    """The catalogue can be reached and has the schema that this code was written for."""
    try:
        with archive.database.transaction() as conn:
            schema.require_current(conn)
    except SetupError as error:
        raise Refusal(503, str(error)) from None
    except (psycopg.OperationalError, PoolTimeout):
        raise Refusal(503, "the catalogue cannot be reached") from None
    return Ready(status="ready")
