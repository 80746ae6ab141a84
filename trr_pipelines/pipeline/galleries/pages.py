"""Galleries: pages of photos with every URL that a client needs, read in one snapshot.

Which file stands for a photo is `pipeline.delivery`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from trr_pipelines.catalogue import galleries
from trr_pipelines.catalogue.database import Connection, Database
from trr_pipelines.catalogue.galleries import After, Filters, Sort
from trr_pipelines.errors import NotFoundError
from trr_pipelines.pipeline.galleries.entities import require_entity
from trr_pipelines.pipeline.galleries.served_files import delivered

MAX_TOTAL = 10_000
"""Links are counted up to here: 10,000 take 1 ms, and a gallery may hold a million."""


@dataclass(frozen=True)
class PageRequest:
    """Which part of a gallery: filters, order, the last link of the page before, and how many links at most.

    `original_url` makes the URL of an original out of its key and its plain URL, which may need a signature.
    """

    filters: Filters
    sort: Sort
    after: After | None
    limit: int
    original_url: Callable[[str, str], str] = lambda _, hosted_url: hosted_url


@dataclass(frozen=True)
class GalleryPage:
    """Items as callers get them; `next_after` is the last one where there are more; `total` stops at MAX_TOTAL."""

    items: list[dict[str, Any]]
    next_after: After | None
    total: int
    is_total_capped: bool


@dataclass(frozen=True)
class _Gallery:
    """The entities whose links a gallery holds, and the numbers of those that are seasons."""

    entities: Sequence[UUID]
    seasons: dict[UUID, int]


def show_gallery(database: Database, show: UUID | str, request: PageRequest) -> GalleryPage:
    """A page of a show's own links and those of its seasons; `show` is its id or a slug. Raises NotFoundError."""

    def find(conn: Connection) -> _Gallery:
        seasons = galleries.seasons(conn, show_id := require_entity(conn, "show", show))
        return _Gallery([show_id, *seasons], seasons)

    return _page(database, find, request)


def season_gallery(database: Database, show: UUID | str, number: int, request: PageRequest) -> GalleryPage:
    """A page of the links of one season. Raises NotFoundError for an unknown show or season."""

    def find(conn: Connection) -> _Gallery:
        seasons = galleries.seasons(conn, require_entity(conn, "show", show))
        found = [season for season, its_number in seasons.items() if its_number == number]
        if not found:
            raise NotFoundError(f"show {show} has no season {number}")
        return _Gallery(found, seasons)

    return _page(database, find, request)


def person_gallery(database: Database, person: UUID | str, request: PageRequest) -> GalleryPage:
    """A page of a person's links; `person` is an id or a slug. Raises NotFoundError."""

    def find(conn: Connection) -> _Gallery:
        return _Gallery([require_entity(conn, "person", person)], {})

    return _page(database, find, request)


def _page(database: Database, find: Callable[[Connection], _Gallery], request: PageRequest) -> GalleryPage:
    """The rows are read in one snapshot, and the items made of them when the connection has been given back."""

    def read(conn: Connection) -> tuple[_Gallery, list[dict[str, Any]], list[dict[str, Any]], int]:
        found = find(conn)
        if request.filters.asks_photos:
            galleries.walk_in_order(conn)
        links = galleries.page(
            conn, found.entities, request.filters, sort=request.sort, after=request.after, limit=request.limit + 1
        )
        served_crops = {link["media_asset_id"]: link["served_crop"] for link in links[: request.limit]}
        files = galleries.variants(conn, served_crops)
        return found, links, files, galleries.total(conn, found.entities, request.filters, most=MAX_TOTAL + 1)

    found, links, files, total = database.read(read)
    files_of: dict[UUID, list[dict[str, Any]]] = {}
    for file in files:
        files_of.setdefault(file["media_asset_id"], []).append(file)
    shown = links[: request.limit]
    for link in shown:
        if link["hosted_url"] is not None:
            link["hosted_url"] = request.original_url(link["hosted_key"], link["hosted_url"])
    items = [_item(link, files_of.get(link["media_asset_id"], []), found.seasons) for link in shown]
    more = _after(shown[-1], request.sort) if len(shown) < len(links) else None
    return GalleryPage(items, more, min(total, MAX_TOTAL), total > MAX_TOTAL)


def _after(link: dict[str, Any], sort: Sort) -> After:
    if sort == "position":
        return After(link["link_id"], position=link["position"])
    return After(link["link_id"], created_at=link["created_at"])


def _item(link: dict[str, Any], files: list[dict[str, Any]], seasons: dict[UUID, int]) -> dict[str, Any]:
    """One link as callers know it: the fields they have always had, then what is served of the photo."""
    has_crop = link["crop_signature"] is not None
    changed_at = link["facebank_seed_changed_at"]
    return {
        "link_id": link["link_id"],
        "media_asset_id": link["media_asset_id"],
        "hosted_url": link["hosted_url"],
        "source": link["source"],
        "caption": link["caption"],
        "tags": link["tags"],
        "kind": link["kind"],
        "width": link["width"],
        "height": link["height"],
        "bytes": link["bytes"],
        "crop": {
            "mode": link["crop_mode"],
            "x": float(link["crop_x"]),
            "y": float(link["crop_y"]),
            "zoom": float(link["crop_zoom"]),
            "signature": link["crop_signature"],
        }
        if has_crop
        else None,
        "facebank_seed": link["facebank_seed"],
        "facebank_seed_changed": {"by": link["facebank_seed_changed_by"], "at": changed_at} if changed_at else None,
        "season": seasons.get(link["season_id"]),
        "position": link["position"],
        "created_at": link["created_at"],
        "original_url": link["hosted_url"],
        **delivered(link, files),
        "placeholder": link["placeholder"],
        "dominant_color": link["dominant_color"],
        "generation": {"base": link["base_state"], "crop": link["crop_state"], "reason": link["reason"]},
    }
