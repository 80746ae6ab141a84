"""Face-bank seeds: the toggle, and the photos that Screenalytics reads. Both payloads are fixed by contract."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StrictBool

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, SCREENALYTICS, GuardedRoute, open_to
from trr_pipelines.api.cursors import decode_id, encode_cursor
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor, CurrentOriginals
from trr_pipelines.pipeline.facebank.seeds import person_photos, set_facebank_seed

router = APIRouter(route_class=GuardedRoute, tags=["face bank"])


class SeedToggle(BaseModel):
    """Whether the photo is a face-bank seed of the person: a JSON boolean, and no other field."""

    model_config = ConfigDict(extra="forbid")

    facebank_seed: StrictBool


class Seed(BaseModel):
    """The current value of the flag."""

    link_id: UUID
    person_id: UUID
    facebank_seed: bool


class PersonPhoto(BaseModel):
    """A photo of a person; sizes in pixels, as shown."""

    link_id: UUID
    media_asset_id: UUID
    served_url: str
    sha256: str
    width: int
    height: int
    source: str
    facebank_seed: bool
    caption: str
    updated_at: datetime


class PersonPhotos(BaseModel):
    """Photos of a person by `link_id`. `unserved` counts linked photos that are not served (yet)."""

    person_id: UUID
    seed_only: bool
    count: int
    photos: list[PersonPhoto]
    unserved: int
    next_cursor: str | None


@router.patch(
    "/api/v1/admin/person/{person_id}/gallery/{link_id}/facebank-seed",
    **open_to(ADMIN, ADMIN_APP, errors=(404, 413, 415)),
)
def toggle_facebank_seed(
    person_id: UUID, link_id: UUID, toggle: SeedToggle, archive: CurrentArchive, author: CurrentAuthor
) -> Seed:
    """Flag or unflag a photo as a face-bank seed. Setting the current value changes nothing."""
    set_facebank_seed(archive.database, person_id, link_id, toggle.facebank_seed, author=author)
    return Seed(link_id=link_id, person_id=person_id, facebank_seed=toggle.facebank_seed)


@router.get("/api/v1/screenalytics/people/{person_id}/photos", **open_to(SCREENALYTICS, errors=(404,)))
def photos_of_person(
    person_id: UUID,
    archive: CurrentArchive,
    originals: CurrentOriginals,
    seed_only: Annotated[Literal["true", "false"], Query(description="flagged photos only")] = "false",
    limit: Annotated[int | None, Query(ge=1, le=500, description="size of a page; all photos without it")] = None,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page")] = None,
) -> PersonPhotos:
    """The served photos of a person: the whole list, or pages of it."""
    after = None if cursor is None else decode_id(cursor)
    is_seed_only = seed_only == "true"
    page = person_photos(archive.database, person_id, seed_only=is_seed_only, after=after, limit=limit)
    photos = [
        PersonPhoto(
            served_url=originals.url(archive, photo) or "",
            **{name: getattr(photo, name) for name in _COPIED},
        )
        for photo in page.photos
    ]
    return PersonPhotos(
        person_id=person_id,
        seed_only=is_seed_only,
        count=len(photos),
        photos=photos,
        unserved=page.unserved,
        next_cursor=None if page.next_after is None else encode_cursor(str(page.next_after)),
    )


_COPIED = [name for name in PersonPhoto.model_fields if name != "served_url"]
