"""Galleries of shows, seasons and people: pages of photos with every URL that the admin app shows."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Path, Query, Response

from trr_pipelines.api.auth import ADMIN, ADMIN_APP, GuardedRoute, open_to
from trr_pipelines.api.cursors import decode_cursor, encode_cursor
from trr_pipelines.api.dependencies import CurrentArchive, CurrentOriginals
from trr_pipelines.api.parameters import Line, Name, PageSize, id_or_slug
from trr_pipelines.catalogue.galleries import After, Filters, Sort
from trr_pipelines.errors import InputError, Reason
from trr_pipelines.pipeline.galleries.pages import (
    GalleryPage,
    PageRequest,
    person_gallery,
    season_gallery,
    show_gallery,
)
from trr_pipelines.web.payloads import Gallery, Kind

router = APIRouter(route_class=GuardedRoute, tags=["galleries"])

_MAX_POSITION = 2**31 - 1


def _page_request(
    archive: CurrentArchive,
    originals: CurrentOriginals,
    kind: Annotated[Kind | None, Query(description="the tab: photos, video stills, brand, social, news")] = None,
    tag: Annotated[list[Name] | None, Query(description="a tag that the link has; repeated: all of them")] = None,
    source: Annotated[Name | None, Query(description="where the photo came from")] = None,
    state: Annotated[
        Literal["pending", "mirrored", "complete", "failed"] | None,
        Query(description="of the photo (pending, mirrored, failed) or its base set (pending, complete, failed)"),
    ] = None,
    reason: Annotated[Reason | None, Query(description="why something of the photo failed")] = None,
    seed: Annotated[Literal["true", "false"] | None, Query(description="face-bank seeds, or all others")] = None,
    crop: Annotated[Literal["auto", "manual", "none"] | None, Query(description="how the active crop came")] = None,
    q: Annotated[Line | None, Query(description="text in the caption or a tag, in any case")] = None,
    sort: Annotated[Sort, Query(description="the gallery's own order, or the newest links first")] = "position",
    limit: PageSize = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before, in the same order")] = None,
) -> PageRequest:
    filters = Filters(
        kind=kind,
        tags=tag or None,
        source=source,
        state=state,
        reason=reason,
        seed=None if seed is None else seed == "true",
        crop=crop,
        q=q or None,
    )
    after = None if cursor is None else _after(cursor, sort)
    return PageRequest(filters, sort, after, limit, partial(originals.url, archive))


Asked = Annotated[PageRequest, Depends(_page_request)]
_OPEN: dict[str, Any] = open_to(ADMIN, ADMIN_APP, errors=(404,))
# Pages are written as they are: validating 200 items, each with a dozen files, would take ten times as long as
# everything else. A test holds real pages against the model.
_OPEN["responses"][200] = {"model": Gallery, "description": "A page of the gallery"}


@router.get("/api/v1/admin/shows/{show}/gallery", response_class=Response, **_OPEN)
def gallery_of_show(show: Name, asked: Asked, archive: CurrentArchive) -> Response:
    """Photos of a show and of its seasons. `show` is an id or a slug."""
    return _answer(show_gallery(archive.database, id_or_slug(show), asked))


@router.get("/api/v1/admin/shows/{show}/seasons/{number}/gallery", response_class=Response, **_OPEN)
def gallery_of_season(
    show: Name, number: Annotated[int, Path(ge=0, le=_MAX_POSITION)], asked: Asked, archive: CurrentArchive
) -> Response:
    """Photos of one season of a show. `show` is an id or a slug."""
    return _answer(season_gallery(archive.database, id_or_slug(show), number, asked))


@router.get("/api/v1/admin/people/{person}/gallery", response_class=Response, **_OPEN)
def gallery_of_person(person: Name, asked: Asked, archive: CurrentArchive) -> Response:
    """Photos of a person. `person` is an id or a slug."""
    return _answer(person_gallery(archive.database, id_or_slug(person), asked))


def _answer(page: GalleryPage) -> Response:
    body = {
        "items": page.items,
        "next_cursor": None if page.next_after is None else _cursor(page.next_after),
        "total": page.total,
        "total_capped": page.is_total_capped,
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _cursor(after: After) -> str:
    if after.created_at is not None:
        return encode_cursor("newest", after.created_at.isoformat(), str(after.link_id))
    return encode_cursor("position", cast(int, after.position), str(after.link_id))


def _after(cursor: str, sort: Sort) -> After:
    """The place that a cursor of this order stands for. Raises InputError for any other."""
    order, place, link = decode_cursor(cursor, str, int if sort == "position" else str, str)
    try:
        if order != sort:
            raise ValueError
        if isinstance(place, int):
            if abs(place) > _MAX_POSITION:
                raise ValueError
            return After(UUID(str(link)), position=place)
        at = datetime.fromisoformat(place)
        if at.tzinfo is None:
            raise ValueError
        return After(UUID(str(link)), created_at=at)
    except (ValueError, OverflowError):
        raise InputError("cursor: not one that this server gave for this order") from None
