"""Imports: rows of a manifest, entered into the catalogue at once and fetched by the pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Request
from pydantic import BaseModel, ConfigDict, Field

from trr_pipelines.api.auth import ADMIN, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.pipeline.imports.manifest import REQUEST_FIELDS
from trr_pipelines.pipeline.imports.requests import MAX_ROWS, IdempotentRequest, import_request

router = APIRouter(route_class=GuardedRoute, tags=["imports"])

MAX_BODY_BYTES = 5_000_000

_ROWS = (
    f"Each an object with some of {', '.join(REQUEST_FIELDS)}; source and source_url (http or https) are needed. "
    "A row that cannot be taken is reported, and stops no other."
)


class Manifest(BaseModel):
    """Photos to import."""

    model_config = ConfigDict(extra="forbid")

    rows: Annotated[list[Any], Field(min_length=1, max_length=MAX_ROWS, description=_ROWS)]


class ImportedRow(BaseModel):
    """What became of a row, counted from 1; `detail` says why it was rejected."""

    row: int
    outcome: Literal["created", "known", "rejected"]
    media_asset_id: UUID | None
    detail: str


class Import(BaseModel):
    """What an import came to, and the batches that its photos are in."""

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
        str | None, Header(pattern="^[!-~]{1,200}$", description="sent again with the same body: the same answer")
    ] = None,
) -> Import:
    """Enter up to 500 photos; the pipeline fetches and renders them. Rows that are known create nothing anew."""
    once = None if idempotency_key is None else IdempotentRequest(idempotency_key, sent)
    return Import(**import_request(archive.database, manifest.rows, author=author, once=once))
