"""The backend's response with a person's photos, and its validation. No requests are made here."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from trr_pipelines.errors import BackendError, printable

MAX_TEXT = 10_000


class BackendPhoto(BaseModel):
    """A photo of a person as listed by the backend; width and height in pixels as shown."""

    link_id: UUID
    media_asset_id: UUID
    served_url: Annotated[str, Field(pattern=r"^https?://", max_length=MAX_TEXT)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]
    source: Annotated[str, Field(max_length=MAX_TEXT)]
    facebank_seed: bool
    caption: Annotated[str, Field(max_length=MAX_TEXT)]
    updated_at: datetime


class PhotosAnswer(BaseModel):
    """The agreed response, which may gain fields. `unserved` counts photos that are linked but not served yet."""

    person_id: UUID
    seed_only: bool
    count: Annotated[int, Field(ge=0)]
    photos: list[BackendPhoto]
    unserved: Annotated[int, Field(ge=0)]
    next_cursor: str | None


def parse_answer(body: bytes, *, person_id: UUID, seed_only: bool, after: UUID | None) -> PhotosAnswer:
    """Parse and validate a page of the photos of `person_id` after the link `after`.

    Raises BackendError for truncated JSON, another schema, another person, unflagged photos among seeds, and links out
    of order.
    """
    try:
        response = PhotosAnswer.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BackendError(f"the backend's response violates its schema: {where or 'body'}: {first['msg']}") from None
    if response.person_id != person_id:
        raise BackendError(f"the backend returned person {response.person_id}, requested was {person_id}")
    if response.seed_only is not seed_only:
        raise BackendError(f"the backend returned seed_only={response.seed_only}, requested was {seed_only}")
    if response.count != len(response.photos):
        raise BackendError(f"the backend reports count {response.count} but lists {len(response.photos)} photos")
    if seed_only and not all(photo.facebank_seed for photo in response.photos):
        raise BackendError("the backend lists an unflagged photo among the seeds")
    links = [*([] if after is None else [after]), *(photo.link_id for photo in response.photos)]
    if any(first >= second for first, second in pairwise(links)):
        raise BackendError("the backend's photos are not ordered by link id")
    if response.next_cursor is not None and not response.photos:
        raise BackendError("the backend returned an empty page with a next cursor")
    for photo in response.photos:
        photo.caption, photo.source = printable(photo.caption), printable(photo.source)
    return response
