"""Galleries of shows, seasons and people: pages of photos with the URLs that the admin app shows."""

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
    tag: Annotated[
        list[Name] | None, Query(description="a tag of the link; if repeated, the link must have all")
    ] = None,
    source: Annotated[Name | None, Query(description="the photo's source")] = None,
    state: Annotated[
        Literal["pending", "mirrored", "complete", "failed"] | None,
        Query(description="of the photo (pending, mirrored, failed) or its base set (pending, complete, failed)"),
    ] = None,
    reason: Annotated[Reason | None, Query(description="reason code of a failure of the photo")] = None,
    seed: Annotated[Literal["true", "false"] | None, Query(description="face-bank seeds only, or all others")] = None,
    crop: Annotated[Literal["auto", "manual", "none"] | None, Query(description="mode of the active crop")] = None,
    q: Annotated[Line | None, Query(description="text in the caption or a tag, case-insensitive")] = None,
    sort: Annotated[Sort, Query(description="the gallery's own order, or the newest links first")] = "position",
    limit: PageSize = 100,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the previous page, with the same sort")] = None,
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


PageParameters = Annotated[PageRequest, Depends(_page_request)]
_OPEN: dict[str, Any] = open_to(ADMIN, ADMIN_APP, errors=(404,))
# Pages are written without validation: 200 items with a dozen files each would take ten times as long as everything
# else. A test validates real pages.
_OPEN["responses"][200] = {"model": Gallery, "description": "A page of the gallery"}


@router.get("/api/v1/admin/shows/{show}/gallery", response_class=Response, **_OPEN)
def gallery_of_show(show: Name, page: PageParameters, archive: CurrentArchive) -> Response:
    """Photos of a show and of its seasons. `show` is an id or a slug."""
    return _response(show_gallery(archive.database, id_or_slug(show), page))


@router.get("/api/v1/admin/shows/{show}/seasons/{number}/gallery", response_class=Response, **_OPEN)
def gallery_of_season(
    show: Name, number: Annotated[int, Path(ge=0, le=_MAX_POSITION)], page: PageParameters, archive: CurrentArchive
) -> Response:
    """Photos of one season of a show. `show` is an id or a slug."""
    return _response(season_gallery(archive.database, id_or_slug(show), number, page))


@router.get("/api/v1/admin/people/{person}/gallery", response_class=Response, **_OPEN)
def gallery_of_person(person: Name, page: PageParameters, archive: CurrentArchive) -> Response:
    """Photos of a person. `person` is an id or a slug."""
    return _response(person_gallery(archive.database, id_or_slug(person), page))


def _response(page: GalleryPage) -> Response:
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
    """The position of a cursor made for this sort. Raises InputError for any other cursor."""
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
        raise InputError("cursor: not a cursor of this server for this sort") from None
