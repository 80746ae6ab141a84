"""Face-bank seeds: the toggle, and the photos that Screenalytics reads. Both payloads are fixed by contract."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StrictBool

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, SCREENALYTICS, GuardedRoute, open_to
from trr_pipelines.api.cursors import decode_cursor, encode_cursor
from trr_pipelines.api.dependencies import CurrentArchive, CurrentAuthor, CurrentOriginals
from trr_pipelines.catalogue.seeds import Place
from trr_pipelines.errors import InputError
from trr_pipelines.pipeline.facebank.seeds import person_photos, set_facebank_seed

router = APIRouter(route_class=GuardedRoute, tags=["face bank"])

_MAX_INTEGER = 2**31 - 1


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
    """A photo of a person; sizes in pixels, as shown. `served_url` is the hosted original."""

    served_url: str
    hosted_key: str
    is_primary: bool
    width: int
    height: int
    kind: str
    link_id: UUID
    media_asset_id: UUID
    sha256: str
    source: str
    facebank_seed: bool
    caption: str
    updated_at: datetime


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


_PHOTOS: dict[str, Any] = open_to(SCREENALYTICS, errors=(404,))
_PHOTOS["responses"][200] = {
    "headers": {
        "X-Total-Count": {"description": "served photos in all pages", "schema": {"type": "integer"}},
        "X-Unserved": {"description": "photos that are linked but not served (yet)", "schema": {"type": "integer"}},
        "Link": {"description": 'the next page, rel="next"; missing on the last', "schema": {"type": "string"}},
    }
}


@router.get("/api/v1/screenalytics/people/{person_id}/photos", **_PHOTOS)
def photos_of_person(
    person_id: UUID,
    request: Request,
    response: Response,
    archive: CurrentArchive,
    originals: CurrentOriginals,
    seed_only: Annotated[Literal["true", "false"], Query(description="flagged photos only")] = "false",
    limit: Annotated[int, Query(ge=1, le=500, description="size of a page")] = 200,
    offset: Annotated[int, Query(ge=0, le=_MAX_INTEGER, description="photos to leave out at the start")] = 0,
    cursor: Annotated[str | None, Query(description="from `Link` of the previous page, instead of `offset`")] = None,
) -> list[PersonPhoto]:
    """The served photos of a person, best first: primary ones, then by position."""
    if cursor is not None and offset:
        raise InputError("cursor and offset exclude each other")
    after = None if cursor is None else _place(cursor)
    page = person_photos(
        archive.database, person_id, seed_only=seed_only == "true", after=after, offset=offset, limit=limit
    )
    response.headers["X-Total-Count"] = str(page.counts.served)
    response.headers["X-Unserved"] = str(page.counts.unserved)
    if page.next_after is not None:
        following = {"seed_only": seed_only, "limit": limit, "cursor": _cursor(page.next_after)}
        response.headers["Link"] = f'<{request.url.path}?{urlencode(following)}>; rel="next"'
    return [
        PersonPhoto(
            served_url=originals.url(archive, photo) or "",
            **{name: getattr(photo, name) for name in _COPIED},
        )
        for photo in page.photos
    ]


_COPIED = [name for name in PersonPhoto.model_fields if name != "served_url"]


_SNAPSHOT = re.compile(r"\d{1,19}:\d{1,19}:(\d{1,19}(,\d{1,19})*)?")


def _cursor(place: Place) -> str:
    return encode_cursor(place.snapshot, place.begun, int(place.is_primary), place.position, str(place.link_id))


def _place(cursor: str) -> Place:
    snapshot, begun, is_primary, position, link_id = decode_cursor(cursor, str, int, int, int, str)
    try:
        if is_primary not in (0, 1) or not _SNAPSHOT.fullmatch(str(snapshot)) or abs(int(position)) > _MAX_INTEGER:
            raise ValueError
        return Place(str(snapshot), int(begun), bool(is_primary), int(position), UUID(str(link_id)))
    except ValueError:
        raise InputError("cursor: not a cursor of this server") from None
