"""Crops of a photo: set one, return to the proposal, roll back, read the history.

Every edit names the crop that its author saw, so of two concurrent edits the second is refused with 412.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.api.preconditions import ExpectedSignature, etag
from trr_pipelines.api.problems import Refusal
from trr_pipelines.catalogue.photos import CropRow
from trr_pipelines.imaging.geometry import MAX_ZOOM, Crop
from trr_pipelines.pipeline.edits import crops
from trr_pipelines.pipeline.edits.crops import CropChangedError, CropEdit
from trr_pipelines.web.photo_payloads import ShownCrop

router = APIRouter(route_class=GuardedRoute, tags=["crops"])

Percent = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]
Zoom = Annotated[float, Field(strict=True, ge=1, le=MAX_ZOOM, allow_inf_nan=False)]
Signature = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="signature of a crop that the photo had")]


class WantedCrop(BaseModel):
    """A manual crop: the middle of the 4:5 frame in percent of the photo's sides, and the zoom into its largest frame.

    The frame is pushed inside the photo where it would leave it. Numbers are rounded to 3 decimals."""

    model_config = ConfigDict(extra="forbid")

    mode: Literal["manual"]
    x: Percent
    y: Percent
    zoom: Zoom


class EditedCrop(BaseModel):
    """The result of an edit. `served` is true once the files of the crop are rendered; until then the last complete
    set is served. `crop` is null while a proposal is being made, and for a link of the application without one."""

    media_asset_id: UUID
    signature: str | None
    crop: ShownCrop | None
    changed: bool
    served: bool


class HistoryEntry(ShownCrop):
    """One crop of the history, with the sha256 of its original, its author, time and reason."""

    source_version: str
    reason: str
    author: str
    is_active: bool
    created_at: datetime


class CropHistory(BaseModel):
    """Crops of a photo, newest first; `signature` is that of the active one."""

    media_asset_id: UUID
    signature: str | None
    crops: list[HistoryEntry]


OfLink = Annotated[
    UUID | None,
    Query(description="a link of the photo, whose own crop is edited; without it the photo's active crop is"),
]

_EDIT = open_to(ADMIN, ADMIN_APP, errors=(404, 412, 413, 415, 428))


@router.put("/api/v1/admin/media-assets/{id}/crop", **_EDIT)
def put_crop(
    id: UUID,
    wanted: WantedCrop,
    response: Response,
    archive: CurrentArchive,
    author: CurrentAuthor,
    expected: ExpectedSignature,
    link_id: OfLink = None,
) -> EditedCrop:
    """Set the crop of the photo, or of one of its links. It is served once its files are rendered.

    Links of the application never show the photo's active crop: if a photo has only such a link, its crop is set.
    """
    crop, edit = Crop(wanted.mode, wanted.x, wanted.y, wanted.zoom), crops.set_crop
    return _edited(
        response, lambda: edit(archive.database, id, crop, author=author, expected=expected, link_id=link_id)
    )


@router.delete("/api/v1/admin/media-assets/{id}/crop", **_EDIT)
def delete_crop(
    id: UUID,
    response: Response,
    archive: CurrentArchive,
    author: CurrentAuthor,
    expected: ExpectedSignature,
    link_id: OfLink = None,
) -> EditedCrop:
    """Return to the proposed crop; one is made if there is none. A link returns to the photo's crop, or to none."""
    edit = crops.return_to_auto
    return _edited(response, lambda: edit(archive.database, id, author=author, expected=expected, link_id=link_id))


@router.post("/api/v1/admin/media-assets/{id}/crops/{signature}/activate", **_EDIT)
def activate_crop(
    id: UUID,
    signature: Signature,
    response: Response,
    archive: CurrentArchive,
    author: CurrentAuthor,
    expected: ExpectedSignature,
) -> EditedCrop:
    """Restore an earlier crop of the photo; served at once if its files exist at the current recipe."""
    edit = crops.activate_crop
    return _edited(response, lambda: edit(archive.database, id, signature, author=author, expected=expected))


@router.get("/api/v1/admin/media-assets/{id}/crops", **open_to(ADMIN, ADMIN_APP, errors=(404,)))
def read_crops(
    id: UUID,
    response: Response,
    archive: CurrentArchive,
    limit: Annotated[int, Query(ge=1, le=500, description="number of crops, the newest first")] = 100,
) -> CropHistory:
    """The photo's crops, newest first. An active crop is always the newest."""
    entries = crops.crop_history(archive.database, id, limit=limit)
    active = next((entry.crop.signature for entry in entries if entry.is_active), "")
    response.headers.update(etag(active))
    return CropHistory(
        media_asset_id=id,
        signature=active or None,
        crops=[
            HistoryEntry(
                **_shown(entry.crop).model_dump(),
                source_version=entry.source_version,
                reason=entry.reason,
                author=entry.author,
                is_active=entry.is_active,
                created_at=entry.created_at,
            )
            for entry in entries
        ],
    )


def _edited(response: Response, edit: Callable[[], CropEdit]) -> EditedCrop:
    with _conflicts_as_412():
        result = edit()
    response.headers.update(etag(result.signature))
    return EditedCrop(
        media_asset_id=result.photo_id,
        signature=result.signature or None,
        crop=result.crop and _shown(result.crop),
        changed=result.changed,
        served=result.served,
    )


@contextmanager
def _conflicts_as_412() -> Iterator[None]:
    try:
        yield
    except CropChangedError as error:
        raise Refusal(412, str(error), etag(error.current)) from None


def _shown(crop: CropRow) -> ShownCrop:
    return ShownCrop(mode=crop.mode, x=crop.x, y=crop.y, zoom=crop.zoom, signature=crop.signature)
