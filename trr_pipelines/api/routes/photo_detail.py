"""One photo: its details, the reasons for its served files, and replacing its original."""

from __future__ import annotations

from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor, CurrentOriginals, CurrentPool
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.pipeline.edits.replacement import replace_original
from trr_pipelines.pipeline.galleries.photo_detail import explain_photo, read_photo
from trr_pipelines.web.photo_payloads import Asset, Explanation

router = APIRouter(route_class=GuardedRoute, tags=["photos"])


class ReplacedOriginal(BaseModel):
    """The photo's current version; `changed` is false if it already had these bytes."""

    media_asset_id: UUID
    sha256: str
    changed: bool


@router.get("/api/v1/admin/media-assets/{id}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def get_asset(id: UUID, archive: CurrentArchive, originals: CurrentOriginals) -> Asset:
    """A photo with its links, its served URLs, and the state of its work."""
    return read_photo(archive.database, id, partial(originals.url, archive))


@router.get("/api/v1/admin/media-assets/{id}/explain", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def explain(id: UUID, archive: CurrentArchive, originals: CurrentOriginals) -> Explanation:
    """The reasons for its URLs: original, sets with recipe and signature, runs, attempts, the last error."""
    return explain_photo(archive.database, id, partial(originals.url, archive))


async def _sent_bytes(request: Request) -> bytes:
    return await request.body()


@router.put(
    "/api/v1/admin/media-assets/{id}/original",
    **open_to(ADMIN, ADMIN_APP, errors=(404, 409, 413, 415), body=("image/*", MAX_BYTES)),
)
def put_original(
    id: UUID,
    data: Annotated[bytes, Depends(_sent_bytes)],
    archive: CurrentArchive,
    author: CurrentAuthor,
    pool: CurrentPool,
) -> ReplacedOriginal:
    """Replace the original with a better file. It is decoded before anything is written and rendered later."""
    replaced = replace_original(archive, id, data, author=author, pool=pool)
    return ReplacedOriginal(media_asset_id=id, sha256=replaced.sha256, changed=replaced.changed)
