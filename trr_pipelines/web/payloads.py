"""The payload of a gallery page, defined once: the backend documents it, the admin app parses it.

The backend builds it in `pipeline.galleries.pages` and writes it without validation; tests validate real pages.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from trr_pipelines.errors import Reason

Kind = Literal["photo", "video_still", "brand", "social", "news"]
State = Literal["pending", "complete", "failed"]


def _known_or_text(value: Any, known: ValidatorFunctionWrapHandler) -> Reason | str | None:
    """A reason code, or the text of one that only a newer backend has: it must not cost the whole page."""
    try:
        return known(value)  # type: ignore[no-any-return]
    except ValidationError:
        if isinstance(value, str):
            return value
        raise


class Crop(BaseModel):
    """A crop: x and y of its middle in percent, zoom from 1 to 4."""

    mode: Literal["auto", "manual"]
    x: float
    y: float
    zoom: float
    signature: str


class SeedChange(BaseModel):
    """Who flagged or unflagged the photo last, and when."""

    by: str
    at: datetime


class File(BaseModel):
    """A file that can be shown; sides in pixels."""

    url: str
    format: str
    width: int
    height: int
    bytes: int


class Source(BaseModel):
    """The attributes of one `<source>` of `<picture>`."""

    type: str
    srcset: str


class Generation(BaseModel):
    """State of the base and the crop set; `reason` is the code of a failure, if any."""

    base: State
    crop: State
    reason: Annotated[Reason | None, WrapValidator(_known_or_text)]


class Item(BaseModel):
    """One link of a gallery and its photo. Sizes are the original's, in pixels as shown; null until it is mirrored.

    `crop` is the crop that the link shows. `has_own_crop`: it is, or would be, of this link alone, and is edited with
    `link_id`; otherwise it is the photo's active crop.
    """

    link_id: UUID
    media_asset_id: UUID
    hosted_url: str | None
    source: str
    caption: str
    tags: list[str]
    kind: Kind
    width: int | None
    height: int | None
    bytes: int | None
    crop: Crop | None
    has_own_crop: bool
    facebank_seed: bool
    facebank_seed_changed: SeedChange | None
    season: int | None
    position: int
    created_at: datetime
    original_url: str | None
    display_url: str | None
    detail_url: str | None
    crop_display_url: str | None
    crop_detail_url: str | None
    srcset: list[File]
    crop_srcset: list[File]
    sources: list[Source]
    placeholder: str | None
    dominant_color: str | None
    generation: Generation


class Gallery(BaseModel):
    """A page; `total` counts the matching links up to 10,000, `total_capped` means that there are more."""

    items: list[Item]
    next_cursor: str | None
    total: int
    total_capped: bool
