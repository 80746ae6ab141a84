"""The backend's application: its state, health, and the media files of a directory store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BufferedReader
from pathlib import Path

import psycopg
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from psycopg_pool import PoolTimeout

from trr_pipelines.catalogue import schema
from trr_pipelines.errors import InputError, MediaError, SetupError
from trr_pipelines.pipeline.archive import Archive, open_archive
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.directory import DirectoryStore
from trr_pipelines.storage.store import IMMUTABLE

CHUNK_BYTES = 256 * 1024


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    with open_archive(load_settings()) as archive:
        app.state.archive = archive
        yield


def create_app() -> FastAPI:
    """The application, for uvicorn's `--factory`. Nothing is opened before it starts."""
    app = FastAPI(title="TRR media backend", lifespan=_lifespan)
    app.get("/healthz")(healthz)
    app.get("/readyz")(readyz)
    app.get("/media/{key:path}")(media)
    return app


def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


def readyz(request: Request) -> Response:
    """The catalogue can be reached and has the schema that this code was written for."""
    archive: Archive = request.app.state.archive
    try:
        with archive.database.transaction() as conn:
            schema.require_current(conn)
    except SetupError as error:
        return _problem(503, str(error))
    except (psycopg.OperationalError, PoolTimeout):
        return _problem(503, "the catalogue cannot be reached")
    return JSONResponse({"status": "ready"})


def media(key: str, request: Request) -> Response:
    """An object of the directory store. Its type follows from its key, never from a guess."""
    archive: Archive = request.app.state.archive
    try:
        found = archive.store.open_object(key) if isinstance(archive.store, DirectoryStore) else None
    except InputError:
        found = None
    except MediaError as error:
        return _problem(503, error.detail)
    if found is None:
        return _problem(404, "no such object")
    headers = {
        "Cache-Control": IMMUTABLE,
        "Content-Length": str(found.bytes),
        "X-Content-Type-Options": "nosniff",
    }
    if key.startswith("originals/"):
        headers["Content-Disposition"] = f'inline; filename="{Path(key).name}"'
    return StreamingResponse(_chunks(found.file), media_type=found.content_type, headers=headers)


def _chunks(file: BufferedReader) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _problem(status: int, detail: str) -> Response:
    headers = {"Retry-After": "2"} if status == 503 else {}
    return JSONResponse(
        {"type": "about:blank", "title": detail, "status": status, "detail": detail},
        status_code=status,
        headers=headers,
        media_type="application/problem+json",
    )
