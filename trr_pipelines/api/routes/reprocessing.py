"""Reprocessing one photo, or all photos that match a filter, with an estimate before and a report after."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, StrictBool

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.api.turns import Turns
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
    """The kinds of work that were reopened; none if all of it was open already."""

    media_asset_id: UUID
    reopened: list[str]


class WantedPhotos(BaseModel):
    """Which photos to reprocess; at least one filter is required. `dry_run` only returns the estimate."""

    model_config = ConfigDict(extra="forbid")

    state: Annotated[Text | None, Field(description="pending, mirrored or failed")] = None
    reason: Annotated[Text | None, Field(description="reason code of a failure")] = None
    source: Annotated[Text | None, Field(description="name of a source")] = None
    show: Annotated[Text | None, Field(description="id or slug of a show; its seasons count")] = None
    dry_run: StrictBool = False


class ReprocessedPhotos(BaseModel):
    """The number of photos and their cost, estimated from the newest renderings; null if there are none.

    `id` is the number of the request, for its report; null for a dry run. One request takes at most 50,000 photos:
    above that they are not counted further, and `photos_capped` is true.
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
    """The filter of a request."""

    state: str | None
    reason: str | None
    source: str | None
    show: str | None


class RetryReport(BaseModel):
    """The current result of a request.

    `open` photos wait or are retried by the system. Failed ones are counted by reason: `still_failing` for the same
    reason as before, `failing_otherwise` for another. `gone` were taken down, or merged into a known photo.
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
_turns = Turns("requests to reprocess")


@router.post("/api/v1/admin/media-assets/{id}/reprocess", status_code=202, **open_to(ADMIN, ADMIN_APP, errors=_ERRORS))
def reprocess_one(id: UUID, archive: CurrentArchive, author: CurrentAuthor) -> ReopenedPhoto:
    """Reprocess a photo: fetch it if that failed, render all its sets. Its current files are served until then."""
    return ReopenedPhoto(media_asset_id=id, reopened=list(reprocess_photo(archive.database, id, author=author)))


@router.post("/api/v1/admin/reprocess", status_code=202, **open_to(ADMIN, ADMIN_APP, errors=_ERRORS))
def reprocess_matching(selection: WantedPhotos, archive: CurrentArchive, author: CurrentAuthor) -> ReprocessedPhotos:
    """Reprocess all matching photos. With `state` failed or a `reason`, only the failed work is repeated."""
    filter_ = ReprocessFilter(selection.state, selection.reason, selection.source, selection.show)
    database = archive.database
    with _turns.of(author.actor):
        if selection.dry_run:
            plan = plan_reprocessing(database, filter_)
        else:
            plan = reprocess(database, filter_, author=author)
    return ReprocessedPhotos(dry_run=selection.dry_run, **plan.report())


@router.get("/api/v1/admin/reprocess/{id}", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def get_report(id: Number, archive: CurrentArchive) -> RetryReport:
    """The result of a request so far: fixed, still failing by reason, still open."""
    return RetryReport.model_validate(report_of(archive.database, id).report())
