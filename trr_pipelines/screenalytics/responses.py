"""What the backend says of a person's photos, and whether that can be true. No request is made here."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, ValidationError

from trr_pipelines.errors import BackendError, printable

MAX_TEXT = 10_000


class BackendPhoto(BaseModel):
    """A photo of a person as the backend lists it; sizes in pixels, as shown."""

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
    """The locked shape, which may gain fields. `unserved` counts photos that are linked but not served (yet)."""

    person_id: UUID
    seed_only: bool
    count: Annotated[int, Field(ge=0)]
    photos: list[BackendPhoto]
    unserved: Annotated[int, Field(ge=0)]
    next_cursor: str | None


def parse_answer(body: bytes, *, person_id: UUID, seed_only: bool, after: UUID | None) -> PhotosAnswer:
    """The answer to what was asked: a page of the photos of `person_id` after the link `after`.

    Raises BackendError for anything else: JSON that is cut off, another shape, another person, a photo that is no
    seed among seeds, links out of order.
    """
    try:
        answer = PhotosAnswer.model_validate_json(body, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BackendError(f"the backend's answer is not what was agreed: {where or 'body'}: {first['msg']}") from None
    if answer.person_id != person_id:
        raise BackendError(f"the backend answered for person {answer.person_id}, asked was {person_id}")
    if answer.seed_only is not seed_only:
        raise BackendError(f"the backend answered for seed_only={answer.seed_only}, asked was {seed_only}")
    if answer.count != len(answer.photos):
        raise BackendError(f"the backend says {answer.count} photos and lists {len(answer.photos)}")
    if seed_only and not all(photo.facebank_seed for photo in answer.photos):
        raise BackendError("the backend lists a photo among the seeds that is not flagged")
    links = [*([] if after is None else [after]), *(photo.link_id for photo in answer.photos)]
    if any(first >= second for first, second in pairwise(links)):
        raise BackendError("the backend's photos are not in the order of their links")
    if answer.next_cursor is not None and not answer.photos:
        raise BackendError("the backend names a next page after an empty one")
    for photo in answer.photos:
        photo.caption, photo.source = printable(photo.caption), printable(photo.source)
    return answer
