"""Takedown: removing a photo, or every photo of a person, everywhere."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel

from trr_pipelines.api.auth import ADMIN, GuardedRoute, open_to
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor
from trr_pipelines.pipeline.takedown.takedown import Takedown, take_down_person, take_down_photo

router = APIRouter(route_class=GuardedRoute, tags=["takedown"])

DryRun = Annotated[Literal["true", "false"], Query(description="show what would be removed; remove nothing")]

DeleteExternal = Annotated[
    Literal["true", "false"], Query(description="delete also what another program wrote, such as external originals")
]


class TakenDown(BaseModel):
    """What was or would be removed: photos, their links and objects, and the URLs that a CDN must purge.

    `finished_media_asset_ids` are photos of earlier takedowns that had been cut off, and are finished now.
    `kept_external_urls` are of objects that another program wrote and that stay; they are to be purged as well.
    """

    dry_run: bool
    media_asset_ids: list[UUID]
    finished_media_asset_ids: list[UUID]
    links: int
    objects: int
    bytes: int
    purge_urls: list[str]
    kept_external_urls: list[str]


@router.delete("/api/v1/admin/media-assets/{id}", **open_to(ADMIN, errors=(404, 413, 415)))
def delete_photo(
    id: UUID,
    archive: CurrentArchive,
    author: CurrentAuthor,
    dry_run: DryRun = "false",
    delete_external_originals: DeleteExternal = "false",
) -> TakenDown:
    """Take a photo down: every version, variant, link and crop of it. Later imports reject it."""
    delete_external = delete_external_originals == "true"
    return _taken_down(
        take_down_photo(archive, id, author=author, dry_run=dry_run == "true", delete_external=delete_external)
    )


@router.delete("/api/v1/admin/people/{id}/photos", **open_to(ADMIN, errors=(404, 413, 415)))
def delete_photos_of_person(
    id: UUID,
    archive: CurrentArchive,
    author: CurrentAuthor,
    dry_run: DryRun = "false",
    delete_external_originals: DeleteExternal = "false",
) -> TakenDown:
    """Take down every photo of a person, including photos with other people. The person's own row stays."""
    delete_external = delete_external_originals == "true"
    return _taken_down(
        take_down_person(archive, id, author=author, dry_run=dry_run == "true", delete_external=delete_external)
    )


def _taken_down(taken: Takedown) -> TakenDown:
    return TakenDown(
        dry_run=taken.dry_run,
        media_asset_ids=list(taken.photo_ids),
        finished_media_asset_ids=list(taken.finished_ids),
        links=taken.links,
        objects=taken.objects,
        bytes=taken.bytes,
        purge_urls=list(taken.purge_urls),
        kept_external_urls=list(taken.kept_external_urls),
    )
