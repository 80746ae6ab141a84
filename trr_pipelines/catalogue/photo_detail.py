"""One photo with all its rows: links, files, work and versions. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from trr_pipelines.catalogue import photos
from trr_pipelines.catalogue.database import Connection, load_queries, row_as, rows_as
from trr_pipelines.catalogue.photos import Version

_queries = load_queries("photo_detail.sql")


@dataclass(frozen=True)
class PhotoDetail:
    """A photo with its active crop; sides in pixels.

    What comes from the original is None until it is mirrored, and `crop_*` is None without an active crop.
    `original_unfit` lists the reasons not to serve the original directly; None until it was decoded.
    """

    id: UUID
    source: str
    source_url: str
    batch_key: str
    state: str
    reason: str | None
    sha256: str | None
    bytes: int | None
    width: int | None
    height: int | None
    format: str | None
    frames: int | None
    hosted_bucket: str | None
    hosted_key: str | None
    hosted_url: str | None
    is_external: bool
    placeholder: str | None
    dominant_color: str | None
    created_at: datetime
    updated_at: datetime
    warnings: list[str]
    original_unfit: list[str] | None
    crop_mode: str | None
    crop_x: Decimal | None
    crop_y: Decimal | None
    crop_zoom: Decimal | None
    crop_signature: str | None


@dataclass(frozen=True)
class PhotoLink:
    """A gallery of the photo: of a show, of a season (with its show), or of a person.

    `crop_*` are of the link's own crop, `served_crop` is the signature of its last complete set; None without one.
    """

    link_id: UUID
    kind: str
    caption: str
    tags: list[str]
    position: int
    facebank_seed: bool
    is_external: bool
    crop_mode: str | None
    crop_x: Decimal | None
    crop_y: Decimal | None
    crop_zoom: Decimal | None
    crop_signature: str | None
    served_crop: str | None
    show_id: UUID | None
    title: str | None
    season: int | None
    person_id: UUID | None
    full_name: str | None


@dataclass(frozen=True)
class PhotoVariant:
    """A file made from the photo, served or superseded; sides in pixels. Without a `crop_signature`: of a base set."""

    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    sha256: str
    hosted_key: str
    hosted_url: str
    crop_signature: str
    recipe: str
    source_version: str
    superseded_at: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class PhotoWork:
    """A row of the ledger: one kind of work of the photo."""

    kind: str
    state: str
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


@dataclass(frozen=True)
class PhotoRows:
    """All rows of one photo."""

    photo: PhotoDetail
    links: list[PhotoLink]
    variants: list[PhotoVariant]
    generations: list[PhotoWork]
    versions: list[Version]


def photo_rows(conn: Connection, photo_id: UUID) -> PhotoRows | None:
    """All rows of a photo; None for an unknown id."""
    photo = row_as(PhotoDetail, _queries.photo(conn, photo_id=photo_id))
    if photo is None:
        return None
    return PhotoRows(
        photo,
        rows_as(PhotoLink, _queries.links(conn, photo_id=photo_id)),
        rows_as(PhotoVariant, _queries.variants(conn, photo_id=photo_id)),
        rows_as(PhotoWork, _queries.generations(conn, photo_id=photo_id)),
        photos.versions(conn, photo_id),
    )
