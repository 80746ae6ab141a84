"""Reports of the admin app: gallery views and the load times of some of their images."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive
from trr_pipelines.pipeline.galleries.view_counts import record_view

router = APIRouter(route_class=GuardedRoute, tags=["views"])

MAX_TIMINGS = 60  # a page of a gallery
MAX_MS = 120_000  # longer times come from pages in the background


class Timing(BaseModel):
    """Time from an image's request to its paint; the key `original` is for photos without derivatives."""

    model_config = ConfigDict(extra="forbid")

    key: Literal["original", "thumb", "card", "detail", "crop_card", "crop_detail"]
    ms: Annotated[int, Field(strict=True, ge=0, le=MAX_MS)]


class View(BaseModel):
    """A view of a gallery; for a season, `entity_id` is its show and `season` its number."""

    model_config = ConfigDict(extra="forbid")

    entity_kind: Literal["show", "season", "person"]
    entity_id: UUID
    season: Annotated[int | None, Field(strict=True, ge=0, le=9_999)] = None
    photos: Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
    timings: Annotated[list[Timing], Field(max_length=MAX_TIMINGS)] = []


@router.post("/api/v1/admin/views", status_code=204, **open_to(ADMIN, ADMIN_APP, errors=(404, 413, 415)))
def add_view(view: View, archive: CurrentArchive) -> Response:
    """Record a view. It is kept for 90 days and names no person."""
    timings = [(timing.key, timing.ms) for timing in view.timings]
    record_view(archive.database, view.entity_kind, view.entity_id, view.season, view.photos, timings)
    return Response(status_code=204)
