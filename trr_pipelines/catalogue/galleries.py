"""Galleries in the catalogue: pages of links with their photos, the files served of them, and counts.

Pages for clients are built in `pipeline.galleries.pages`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from trr_pipelines.catalogue.database import Connection, load_queries, rows_as

_queries = load_queries("galleries.sql")

Sort = Literal["position", "newest"]


@dataclass(frozen=True)
class Filters:
    """Which links of a gallery: None means all.

    A link must have all `tags`; `q` is searched in caption and tags; `state` is the photo's (pending, mirrored, failed)
    or its base set's (pending, complete, failed); `crop` is auto, manual or none.
    """

    kind: str | None = None
    tags: list[str] | None = None
    source: str | None = None
    state: str | None = None
    reason: str | None = None
    seed: bool | None = None
    crop: str | None = None
    q: str | None = None

    @property
    def reads_photos(self) -> bool:
        """Whether the rows of the photos themselves must be read, beyond those with rare properties."""
        return any((self.source, self.state, self.reason)) or self.crop in ("auto", "none")


@dataclass(frozen=True)
class After:
    """The last link of the page before: its place in the order of the pages."""

    link_id: UUID
    position: int | None = None
    created_at: datetime | None = None


@dataclass(frozen=True)
class GalleryLink:
    """A link of a gallery with its photo, the crop that it shows, and its work; sides in pixels.

    What comes from the original is None until it is mirrored, and `crop_*` is None without a crop. `has_own_crop` says
    that the crop is of this link alone, or would be: a link of the application never shows the photo's active crop.
    `original_unfit` lists the reasons not to serve the original directly; None until it was decoded.
    """

    link_id: UUID
    season_id: UUID | None
    media_asset_id: UUID
    kind: str
    position: int
    caption: str
    tags: list[str]
    facebank_seed: bool
    facebank_seed_changed_by: str | None
    facebank_seed_changed_at: datetime | None
    created_at: datetime
    source: str
    hosted_bucket: str | None
    hosted_key: str | None
    hosted_url: str | None
    is_external: bool
    width: int | None
    height: int | None
    bytes: int | None
    placeholder: str | None
    dominant_color: str | None
    original_unfit: list[str] | None
    crop_mode: str | None
    crop_x: Decimal | None
    crop_y: Decimal | None
    crop_zoom: Decimal | None
    crop_signature: str | None
    base_state: str
    crop_state: str
    reason: str | None
    served_crop: str
    has_own_crop: bool


@dataclass(frozen=True)
class ServedFile:
    """A served file of a photo; sides in pixels. Without a `crop_signature` it is of the base set.

    `source_version` is the SHA-256 of the original it was made from.
    """

    media_asset_id: UUID
    variant_key: str
    format: str
    width: int
    height: int
    bytes: int
    hosted_url: str
    crop_signature: str
    source_version: str


def seasons(conn: Connection, show_id: UUID) -> dict[UUID, int]:
    """The numbers of a show's seasons by their ids, in order."""
    return {row["id"]: row["number"] for row in _queries.seasons(conn, show_id=show_id)}


def walk_in_order(conn: Connection) -> None:
    """Make `page` and `total` stop as soon as they have enough, to the end of the transaction."""
    _queries.walk_in_order(conn)


def page(
    conn: Connection, entities: Sequence[UUID], filters: Filters, *, sort: Sort, after: After | None, limit: int
) -> list[GalleryLink]:
    """Up to `limit` links of these entities in order, each with its photo."""
    place = after or After(UUID(int=0))
    rows = _queries.page(conn, entities=list(entities), **asdict(filters), sort=sort, limit=limit, **asdict(place))
    return rows_as(GalleryLink, rows)


def total(conn: Connection, entities: Sequence[UUID], filters: Filters, *, most: int) -> int:
    """The number of matching links, counted up to `most`."""
    return int(_queries.total(conn, entities=list(entities), **asdict(filters), most=most))


def served_files(conn: Connection, links: Sequence[GalleryLink]) -> list[ServedFile]:
    """The served files of the photos of these links: base sets, and the crop sets that the links show."""
    rows = _queries.served_files(
        conn, photo_ids=[link.media_asset_id for link in links], served_crops=[link.served_crop for link in links]
    )
    return rows_as(ServedFile, rows)
