"""The canonical address of a show or person, and redirects to it from ids, old slugs and old addresses.

Targets are built from the backend's data; only the query of the request is kept.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote, urlencode
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trr_pipelines.admin.backend import BackendRequestError
from trr_pipelines.admin.backend_reader import BackendReader

Family = Literal["shows", "people"]
ROOTS: Final[dict[Family, str]] = {"shows": "/admin/trr-shows", "people": "/admin/trr-people"}
TABS: Final = {
    "media-gallery": "photo",
    "media-videos": "video_still",
    "media-brand": "brand",
    "social": "social",
    "news": "news",
}
SHOW_TABS: Final = ("media-gallery", "media-videos", "media-brand", "news")
SEASON_TABS: Final = ("media-gallery", "social", "media-videos", "media-brand", "news")
PERSON_TABS: Final = ("media-gallery",)

_OLD_TABS: Final = {
    "media": "media-gallery", "gallery": "media-gallery", "photos": "media-gallery", "videos": "media-videos",
    "brand": "media-brand",
}  # fmt: skip
_UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_MAX_SLUG = 300


class Moved(Exception):  # noqa: N818  control flow, not an error
    """The page has another, canonical address."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


async def read_entity(reader: BackendReader, family: Family, slug: str, rest: str = "") -> dict[str, Any]:
    """The show or person with this slug; `rest` is the remaining path.

    Raises Moved for an id or a slug that is not canonical, HTTPException with 404 for an unknown one.
    """
    if _UUID.fullmatch(slug):
        entity = await _read(reader, family, str(UUID(slug)))
        raise Moved(address(family, entity["slug"], rest))
    if len(slug) > _MAX_SLUG or "\0" in slug:
        raise HTTPException(404, _missing(family))
    try:
        resolved = await reader.read("slugs", family, slug)
    except BackendRequestError as error:
        raise _not_found(error, family) from None
    if not resolved["canonical"]:
        raise Moved(address(family, resolved["canonical_slug"], rest))
    return await _read(reader, family, resolved["id"])


def address(family: Family, slug: str, rest: str = "") -> str:
    """The address of a show or person, or of a page below it."""
    return f"{ROOTS[family]}/{quote(slug, safe='')}{rest}"


async def moved(request: Request, error: Exception) -> Response:
    """308 to the canonical address, with the same query."""
    assert isinstance(error, Moved)
    query = request.scope["query_string"].decode("latin-1")
    return RedirectResponse(error.target + (f"?{query}" if query else ""), HTTPStatus.PERMANENT_REDIRECT)


async def old_show(request: Request) -> Response:
    """`/admin/shows/{uuid}?tab=media&season=1`"""
    return await _from_old_form(request, "shows")


async def old_person(request: Request) -> Response:
    """`/admin/people/{uuid}?tab=media`"""
    return await _from_old_form(request, "people")


ROUTES = [
    Route("/admin/shows/{id}", old_show),
    Route("/admin/people/{id}", old_person),
]


async def _from_old_form(request: Request, family: Family) -> Response:
    reader = BackendReader.of(request)
    if not _UUID.fullmatch(request.path_params["id"]):
        raise HTTPException(404, _missing(family))
    query = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    old = {name: value for name, value in query if name in ("tab", "season")}
    kept = [(name, value) for name, value in query if name not in old]
    season, tab = old.get("season", "") if family == "shows" else "", old.get("tab", "")
    if season and not re.fullmatch(r"\d{1,4}", season):
        raise HTTPException(404, f"No season {season[:40]!r}.")
    tabs = PERSON_TABS if family == "people" else SEASON_TABS if season else SHOW_TABS
    tab = _OLD_TABS.get(tab, tab)
    if tab in ("", "overview", "details"):
        tab = ""
    elif tab not in tabs:
        raise HTTPException(404, f"No tab {tab[:40]!r}.")
    entity = await _read(reader, family, str(UUID(request.path_params["id"])))
    rest = (f"/season-{int(season)}" if season else "") + (f"/{tab}" if tab else "")
    target = address(family, entity["slug"], rest) + (f"?{urlencode(kept)}" if kept else "")
    return RedirectResponse(target, HTTPStatus.PERMANENT_REDIRECT)


async def _read(reader: BackendReader, family: Family, id: str) -> dict[str, Any]:
    try:
        return await reader.read(family, id)
    except BackendRequestError as error:
        raise _not_found(error, family) from None


def _not_found(error: BaseException, family: Family) -> BaseException:
    if isinstance(error, BackendRequestError) and error.status in (404, 422):
        return HTTPException(404, _missing(family))
    return error


def _missing(family: Family) -> str:
    return "Show not found." if family == "shows" else "Person not found."
