"""The payloads of one photo, defined once: the pipeline builds them, the backend documents them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from trr_pipelines.web.payloads import Crop


class ShownCrop(Crop):
    """A crop of a photo and the signature that names it."""


class Link(BaseModel):
    """A gallery of the photo: of a show, of a season (with its show), or of a person.

    `crop` is the crop that it shows, with the URLs of its served set. `has_own_crop` as in gallery items.
    """

    link_id: UUID
    kind: str
    caption: str
    tags: list[str]
    position: int
    facebank_seed: bool
    has_own_crop: bool
    crop: ShownCrop | None
    crop_display_url: str | None
    crop_detail_url: str | None
    show_id: UUID | None
    title: str | None
    season: int | None
    person_id: UUID | None
    full_name: str | None


class LedgerEntry(BaseModel):
    """The ledger entry of one kind of work: its state, its last failure, and the run that leased it last."""

    kind: Literal["original", "base", "crop"]
    state: Literal["pending", "complete", "failed"]
    reason: str | None
    detail: str | None
    attempts: int
    next_attempt_at: datetime | None
    wanted: str
    served: str
    recipe: str
    version: int
    lease_until: datetime | None
    run_id: str | None
    updated_at: datetime


class Version(BaseModel):
    """A current or earlier original of the photo."""

    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    author: str
    created_at: datetime


class Asset(BaseModel):
    """A photo; sides in pixels, as shown. Fields that are unknown until it is mirrored are null.

    `is_external`: another program wrote its original, which is read where it is.
    """

    id: UUID
    source: str
    source_url: str
    batch_key: str
    state: Literal["pending", "mirrored", "failed"]
    reason: str | None
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    format: str | None
    frames: int | None
    placeholder: str | None
    dominant_color: str | None
    warnings: list[str]
    created_at: datetime
    updated_at: datetime
    is_external: bool
    original_url: str | None
    display_url: str | None
    detail_url: str | None
    crop_display_url: str | None
    crop_detail_url: str | None
    crop: ShownCrop | None
    links: list[Link]
    generations: list[LedgerEntry]
    versions: list[Version]


class ExplainedOriginal(BaseModel):
    """The original and, once it is decoded, the reasons not to serve it directly."""

    source: str
    source_url: str
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    format: str | None
    url: str | None
    unfit_to_be_shown: list[str] | None
    warnings: list[str]


class ServedUrl(BaseModel):
    """A URL field of gallery items, and the reason for its value."""

    url: str | None
    why: str


class VariantFile(BaseModel):
    """One file of a set."""

    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str
    hosted_key: str
    hosted_url: str
    created_at: datetime


class VariantSet(BaseModel):
    """Files rendered together: of one original, one recipe and one crop."""

    kind: Literal["base", "crop"]
    signature: str | None
    recipe: str
    is_current_recipe: bool
    source_version: str
    is_current_original: bool
    superseded_at: datetime | None
    files: list[VariantFile]


class LastError(BaseModel):
    """The current failure of the work that failed last."""

    kind: str
    reason: str
    detail: str | None
    attempts: int
    run_id: str | None
    next_attempt_at: datetime | None


class Explanation(BaseModel):
    """The reason for each served URL of a photo."""

    media_asset_id: UUID
    state: str
    reason: str | None
    original: ExplainedOriginal
    served: dict[str, ServedUrl]
    crop: ShownCrop | None
    sets: list[VariantSet]
    generations: list[LedgerEntry]
    last_error: LastError | None
    current_recipes: dict[str, str]
    versions: list[Version]
