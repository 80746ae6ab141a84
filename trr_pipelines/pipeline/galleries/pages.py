"""Gallery pages: photos with every URL that a client needs, read in one snapshot.

Which files are served is decided in `pipeline.galleries.served_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict
from uuid import UUID

from trr_pipelines.catalogue import galleries
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.entities import require_entity
from trr_pipelines.catalogue.galleries import After, Filters, GalleryLink, ServedFile, Sort
from trr_pipelines.errors import NotFoundError
from trr_pipelines.pipeline.galleries.served_files import ServedFiles, choose_served_files

MAX_TOTAL = 10_000
"""Links are counted up to here: 10,000 take 1 ms, and a gallery may have a million."""


@dataclass(frozen=True)
class PageRequest:
    """Part of a gallery: filters, order, the last link of the page before, and the maximum number of links.

    `original_url` returns the URL of a link's original; it may sign it.
    """

    filters: Filters
    sort: Sort
    after: After | None
    limit: int
    original_url: Callable[[GalleryLink], str | None] = lambda link: link.hosted_url


class ItemCrop(TypedDict):
    """The crop that the link shows: x and y of its middle in percent, zoom from 1 to 4."""

    mode: str | None
    x: float
    y: float
    zoom: float
    signature: str


class ItemSeedChange(TypedDict):
    """Author and time of the last change of the face-bank flag."""

    by: str | None
    at: datetime


class ItemGeneration(TypedDict):
    """States of the base and crop work; `reason` of a failure."""

    base: str
    crop: str
    reason: str | None


class GalleryItem(ServedFiles):
    """One link of a gallery and its photo; sides in pixels."""

    link_id: UUID
    media_asset_id: UUID
    hosted_url: str | None
    source: str
    caption: str
    tags: list[str]
    kind: str
    width: int | None
    height: int | None
    bytes: int | None
    crop: ItemCrop | None
    has_own_crop: bool
    facebank_seed: bool
    facebank_seed_changed: ItemSeedChange | None
    season: int | None
    position: int
    created_at: datetime
    original_url: str | None
    placeholder: str | None
    dominant_color: str | None
    generation: ItemGeneration


@dataclass(frozen=True)
class GalleryPage:
    """Items for callers; `next_after` is the last one when more follow; `total` stops at MAX_TOTAL."""

    items: list[GalleryItem]
    next_after: After | None
    total: int
    is_total_capped: bool


@dataclass(frozen=True)
class _Gallery:
    """The entities whose links a gallery contains, and the numbers of those that are seasons."""

    entities: Sequence[UUID]
    seasons: dict[UUID, int]


def show_gallery(database: Database, show: UUID | str, request: PageRequest) -> GalleryPage:
    """A page of the links of a show and its seasons; `show` is an id or a slug. Raises NotFoundError."""

    def find(conn: Connection) -> _Gallery:
        seasons = galleries.seasons(conn, show_id := require_entity(conn, "show", show))
        return _Gallery([show_id, *seasons], seasons)

    return _page(database, find, request)


def season_gallery(database: Database, show: UUID | str, number: int, request: PageRequest) -> GalleryPage:
    """A page of the links of one season. Raises NotFoundError for an unknown show or season."""

    def find(conn: Connection) -> _Gallery:
        seasons = galleries.seasons(conn, require_entity(conn, "show", show))
        matching = [season_id for season_id, season_number in seasons.items() if season_number == number]
        if not matching:
            raise NotFoundError(f"show {show} has no season {number}")
        return _Gallery(matching, seasons)

    return _page(database, find, request)


def person_gallery(database: Database, person: UUID | str, request: PageRequest) -> GalleryPage:
    """A page of a person's links; `person` is an id or a slug. Raises NotFoundError."""

    def find(conn: Connection) -> _Gallery:
        return _Gallery([require_entity(conn, "person", person)], {})

    return _page(database, find, request)


def _page(database: Database, find: Callable[[Connection], _Gallery], request: PageRequest) -> GalleryPage:
    """Read the rows in one snapshot; build the items after the connection went back to the pool."""

    def read(conn: Connection) -> tuple[_Gallery, list[GalleryLink], list[ServedFile], int]:
        gallery = find(conn)
        if request.filters.reads_photos:
            galleries.walk_in_order(conn)
        links = galleries.page(
            conn, gallery.entities, request.filters, sort=request.sort, after=request.after, limit=request.limit + 1
        )
        files = galleries.served_files(conn, links[: request.limit])
        return gallery, links, files, galleries.total(conn, gallery.entities, request.filters, most=MAX_TOTAL + 1)

    gallery, links, files, total = database.read(read)
    files_of: dict[UUID, list[ServedFile]] = {}
    for file in files:
        files_of.setdefault(file.media_asset_id, []).append(file)
    page = links[: request.limit]
    items = [_item(link, files_of.get(link.media_asset_id, []), gallery.seasons, request) for link in page]
    next_after = _after(page[-1], request.sort) if len(page) < len(links) else None
    return GalleryPage(items, next_after, min(total, MAX_TOTAL), total > MAX_TOTAL)


def _after(link: GalleryLink, sort: Sort) -> After:
    if sort == "position":
        return After(link.link_id, position=link.position)
    return After(link.link_id, created_at=link.created_at)


def _item(link: GalleryLink, files: list[ServedFile], seasons: dict[UUID, int], request: PageRequest) -> GalleryItem:
    """One item in the field order of the API; `hosted_url` and the fields up to `crop` are the oldest ones."""
    # An external original has a URL before it is read; one that could not be read is nothing to show.
    is_unreadable = link.base_state == "failed" and link.width is None
    original_url = None if is_unreadable else request.original_url(link)
    shown = [file for file in files if file.crop_signature in ("", link.served_crop)]
    served = choose_served_files(link, shown, original_url=original_url)
    changed_at = link.facebank_seed_changed_at
    return {
        "link_id": link.link_id,
        "media_asset_id": link.media_asset_id,
        "hosted_url": original_url,
        "source": link.source,
        "caption": link.caption,
        "tags": link.tags,
        "kind": link.kind,
        "width": link.width,
        "height": link.height,
        "bytes": link.bytes,
        "crop": _crop(link),
        "has_own_crop": link.has_own_crop,
        "facebank_seed": link.facebank_seed,
        "facebank_seed_changed": {"by": link.facebank_seed_changed_by, "at": changed_at} if changed_at else None,
        "season": None if link.season_id is None else seasons.get(link.season_id),
        "position": link.position,
        "created_at": link.created_at,
        "original_url": original_url,
        **served,
        "placeholder": link.placeholder,
        "dominant_color": link.dominant_color,
        "generation": {"base": link.base_state, "crop": link.crop_state, "reason": link.reason},
    }


def _crop(link: GalleryLink) -> ItemCrop | None:
    if link.crop_signature is None or link.crop_x is None or link.crop_y is None or link.crop_zoom is None:
        return None
    return {
        "mode": link.crop_mode,
        "x": float(link.crop_x),
        "y": float(link.crop_y),
        "zoom": float(link.crop_zoom),
        "signature": link.crop_signature,
    }
