"""Doing work again that has ended: of one photo, or of all that match a filter, with its price and how it came out."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.pipeline.rework.reprocessing import (
    ReprocessFilter,
    plan_reprocessing,
    report_of,
    reprocess,
    reprocess_photo,
)

router = APIRouter(route_class=GuardedRoute, tags=["reprocessing"])

Text = Annotated[str, Field(strict=True, min_length=1, max_length=300, pattern="^[^\\x00]+$")]


class ReopenedPhoto(BaseModel):
    """The kinds of work that are open now; none where all of it was open already."""

    media_asset_id: UUID
    reopened: list[str]


class WantedPhotos(BaseModel):
    """Which photos; at least one filter is needed. `dry_run` tells the price and changes nothing."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[Text | None, Field(description="pending, mirrored or failed")] = None
    reason: Annotated[Text | None, Field(description="reason code of a failure")] = None
    source: Annotated[Text | None, Field(description="name of a source")] = None
    show: Annotated[Text | None, Field(description="id or slug of a show; its seasons count")] = None
    dry_run: StrictBool = False


class ReprocessedPhotos(BaseModel):
    """How many photos, and what they cost by the newest that were rendered; null where there are none.

    `id` is the number of the request, for its report; null where nothing was asked for. More than 50,000 photos cannot
    be done at once and are not counted to the end: `photos_capped` says so.
    """

    dry_run: bool
    photos: int
    photos_capped: bool
    bytes_to_read: int
    minutes: float | None
    photos_per_second: float | None
    new_storage_bytes: int | None
    id: int | None


class RetryFilter(BaseModel):
    """What was asked for."""

    state: str | None
    reason: str | None
    source: str | None
    show: str | None


class RetryReport(BaseModel):
    """How a request came out, as its photos stand now.

    `open` wait, or are tried again by themselves. What ended as failed is counted by reason: `still_failing` for that
    which it had failed for before, `failing_otherwise` for another. `gone` were taken down, or turned out to be known.
    """

    id: int
    filter: RetryFilter
    author: str
    asked_at: datetime
    photos: int
    fixed: int
    open: int
    still_failing: dict[str, int]
    failing_otherwise: dict[str, int]
    gone: int
    seconds: float
    is_done: bool


Number = Annotated[int, Path(ge=1, le=2**63 - 1)]

_ERRORS = (404, 413, 415)


@router.post("/api/v1/admin/media-assets/{id}/reprocess", status_code=202, **open_to(ADMIN, ADMIN_APP, errors=_ERRORS))
def reprocess_one(id: UUID, archive: CurrentArchive, author: CurrentAuthor) -> ReopenedPhoto:
    """Do a photo again: fetch it where that failed, render all its sets. What is served stays until then."""
    return ReopenedPhoto(media_asset_id=id, reopened=list(reprocess_photo(archive.database, id, author=author)))


@router.post("/api/v1/admin/reprocess", status_code=202, **open_to(ADMIN, ADMIN_APP, errors=_ERRORS))
def reprocess_matching(wanted: WantedPhotos, archive: CurrentArchive, author: CurrentAuthor) -> ReprocessedPhotos:
    """Do all matching photos again. With `state` failed or a `reason`, only what failed is done again."""
    chosen = ReprocessFilter(wanted.state, wanted.reason, wanted.source, wanted.show)
    database = archive.database
    plan = plan_reprocessing(database, chosen) if wanted.dry_run else reprocess(database, chosen, author=author)
    return ReprocessedPhotos(dry_run=wanted.dry_run, **plan.report())


@router.get("/api/v1/admin/reprocess/{id}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def get_report(id: Number, archive: CurrentArchive) -> RetryReport:
    """How a request came out so far: fixed, still failing by reason, still open."""
    return RetryReport.model_validate(report_of(archive.database, id).report())
