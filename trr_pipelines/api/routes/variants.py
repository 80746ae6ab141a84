"""Variants of one photo on request, in the application's shape: answered when they exist, or after 20 s."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool
from starlette.concurrency import run_in_threadpool

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.api.variant_watch import VariantWatch
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.errors import ConflictError
from trr_pipelines.imaging.formats import WRITTEN_TYPES
from trr_pipelines.imaging.geometry import MAX_ZOOM, Crop
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.rework.requested_variants import files_of, photo_of, request_variants

router = APIRouter(route_class=GuardedRoute, tags=["variants"])

WAIT_SECONDS = 20.0

Percent = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]


class RequestedCrop(BaseModel):
    """The middle of the frame in percent of the photo, and the zoom."""

    model_config = ConfigDict(extra="forbid")

    x: Percent
    y: Percent
    zoom: Annotated[float, Field(strict=True, ge=1, le=MAX_ZOOM, allow_inf_nan=False)] = 1.0
    mode: Literal["manual", "auto"] = "manual"


class VariantsRequest(BaseModel):
    """Without `crop` the base set is requested, with it the crop's set. `force` renders it again."""

    model_config = ConfigDict(extra="forbid")

    force: StrictBool = False
    crop: RequestedCrop | None = None


class VariantOfSet(BaseModel):
    """One file; sides in pixels. Formats are named as their files end: `webp`, `jpg`, `png`."""

    variant_key: str
    format: str
    hosted_url: str
    width: int
    height: int
    bytes: int
    crop_signature: str


class Variants(BaseModel):
    """The files of the set, and their number. `crop_signature` is `base`, or `mode:x:y:zoom` with three decimals."""

    asset_id: UUID
    generated: int
    crop_signature: str
    variants: list[VariantOfSet]


_VARIANTS: dict[str, Any] = open_to(ADMIN, ADMIN_APP, errors=(404, 409, 413, 415))
_VARIANTS["responses"][202] = {"model": Variants, "description": "Not complete after 20 s; the files that exist"}
Requested = Annotated[VariantsRequest, Body(default_factory=VariantsRequest)]


@router.post("/api/v1/admin/media-assets/{id}/variants", **_VARIANTS)
async def make_variants(
    id: UUID, request: Request, response: Response, archive: CurrentArchive, author: CurrentAuthor, wanted: Requested
) -> Variants:
    """Make the variants of a photo, and answer when they exist."""
    watch: VariantWatch = request.app.state.variant_watch
    return await _made(id, False, wanted, archive, author, watch, response)


@router.post("/api/v1/admin/cast-photos/{id}/variants", **_VARIANTS)
async def make_variants_of_cast_photo(
    id: UUID, request: Request, response: Response, archive: CurrentArchive, author: CurrentAuthor, wanted: Requested
) -> Variants:
    """Make the variants of one of the application's cast photos, and answer when they exist."""
    watch: VariantWatch = request.app.state.variant_watch
    return await _made(id, True, wanted, archive, author, watch, response)


async def _made(
    given: UUID,
    is_cast_photo: bool,
    wanted: VariantsRequest,
    archive: Archive,
    author: Author,
    watch: VariantWatch,
    response: Response,
) -> Variants:
    crop = None
    if wanted.crop is not None:
        crop = Crop(wanted.crop.mode, wanted.crop.x, wanted.crop.y, wanted.crop.zoom)
    database = archive.database
    photo_id = await run_in_threadpool(photo_of, database, given, is_cast_photo=is_cast_photo)
    requested = await run_in_threadpool(request_variants, database, photo_id, crop, force=wanted.force, author=author)
    is_complete = await watch.wait(requested, WAIT_SECONDS)
    files = await run_in_threadpool(files_of, database, requested)
    if is_complete and not files:
        raise ConflictError(f"another crop of photo {photo_id} became active before {requested.label} was rendered")
    if not is_complete:
        response.status_code = HTTPStatus.ACCEPTED
    return Variants(
        asset_id=given,
        generated=len(files),
        crop_signature=requested.label,
        variants=[
            VariantOfSet(
                variant_key=file.variant_key,
                format=WRITTEN_TYPES[file.format].extension,
                hosted_url=file.hosted_url,
                width=file.width,
                height=file.height,
                bytes=file.bytes,
                crop_signature=requested.label,
            )
            for file in files
        ],
    )
