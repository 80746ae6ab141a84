"""Imports: manifest rows, written to the catalogue in one transaction and fetched by the pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from trr_pipelines.api.auth import ADMIN, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.api.turns import Turns
from trr_pipelines.pipeline.imports.manifest import REQUEST_FIELDS
from trr_pipelines.pipeline.imports.requests import MAX_ROWS, IdempotentRequest, import_request

router = APIRouter(route_class=GuardedRoute, tags=["imports"])

MAX_BODY_BYTES = 5_000_000

_turns = Turns("imports")

_ROWS = (
    f"Each an object with some of {', '.join(REQUEST_FIELDS)}; source and source_url (http or https) are required. "
    "An invalid row is reported and does not affect the others."
)


class Manifest(BaseModel):
    """Photos to import."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[list[Any], Field(min_length=1, max_length=MAX_ROWS, description=_ROWS)]


class ImportedRow(BaseModel):
    """The result of a row, counted from 1; `detail` is the reason if it was rejected."""

    row: int
    outcome: Literal["created", "known", "rejected"]
    media_asset_id: UUID | None
    detail: str


class Import(BaseModel):
    """The result of an import, and the batches of its photos."""

    import_id: UUID
    rows: int
    created: int
    known: int
    rejected: int
    links: int
    batches: list[str]
    items: list[ImportedRow]


async def _sent_bytes(request: Request) -> bytes:
    return await request.body()


@router.post(
    "/api/v1/admin/imports",
    status_code=202,
    **open_to(ADMIN, errors=(409, 413, 415), body=("application/json", MAX_BODY_BYTES)),
)
def post_import(
    manifest: Manifest,
    sent: Annotated[bytes, Depends(_sent_bytes)],
    archive: CurrentArchive,
    author: CurrentAuthor,
    idempotency_key: Annotated[
        str | None,
        Header(pattern="^[!-~]{1,200}$", description="a repeated request with the same body gets the same response"),
    ] = None,
) -> Import:
    """Import up to 500 photos; the pipeline fetches and renders them. Known rows create nothing new."""
    once = None if idempotency_key is None else IdempotentRequest(idempotency_key, sent)
    with _turns.of(author.actor):
        return Import(**import_request(archive.database, manifest.rows, author=author, once=once))
