"""Galleries of shows, seasons and people: an overview with what is newest, and a tab for each kind of photo."""

from __future__ import annotations

import re
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trr_pipelines.admin.backend_reader import BackendReader
from trr_pipelines.admin.filters import PAGE_SIZE, Filters
from trr_pipelines.admin.routes.redirects import (
    PERSON_TABS,
    ROOTS,
    SEASON_TABS,
    SHOW_TABS,
    TABS,
    Family,
    address,
    entity,
)
from trr_pipelines.admin.tiles import REASONS, tile

NEWEST = 18  # photos of an overview: three rows of six
LABELS = {
    "": "Overview",
    "media-gallery": "Gallery",
    "social": "Social",
    "media-videos": "Videos",
    "media-brand": "Brand",
    "news": "News",
}
_SEASON = re.compile(r"season-(0|[1-9]\d{0,3})")


async def show(request: Request) -> Response:
    """A show, or one of its tabs, or one of its seasons."""
    rest = request.path_params.get("rest", "")
    season = _SEASON.fullmatch(rest)
    if season:
        return await _gallery(request, "shows", int(season[1]), "", SEASON_TABS)
    return await _gallery(request, "shows", None, rest, SHOW_TABS)


async def season(request: Request) -> Response:
    """A tab of a season."""
    number = _SEASON.fullmatch(request.path_params["season"])
    if not number:
        raise HTTPException(404, "Season not found.")
    return await _gallery(request, "shows", int(number[1]), request.path_params["tab"], SEASON_TABS)


async def person(request: Request) -> Response:
    """A person, or the gallery."""
    return await _gallery(request, "people", None, request.path_params.get("rest", ""), PERSON_TABS)


ROUTES = [
    Route("/admin/trr-shows/{slug}", show),
    Route("/admin/trr-shows/{slug}/{rest}", show),
    Route("/admin/trr-shows/{slug}/{season}/{tab}", season),
    Route("/admin/trr-people/{slug}", person),
    Route("/admin/trr-people/{slug}/{rest}", person),
]


async def _gallery(request: Request, family: Family, number: int | None, tab: str, tabs: tuple[str, ...]) -> Response:
    asker = BackendReader.of(request)
    if tab and tab not in tabs:
        raise HTTPException(404, f"No tab {tab[:40]!r}.")
    below = "" if number is None else f"/season-{number}"
    slug = request.path_params["slug"]
    found = await entity(asker, family, slug, below + (f"/{tab}" if tab else ""))
    if number is not None and number not in [one["number"] for one in found.get("seasons", ())]:
        raise HTTPException(404, f"{found['title']} has no season {number}.")
    filters = Filters.read(request.query_params)
    parts = [family, found["id"], *(["seasons", str(number)] if number is not None else []), "gallery"]
    query = filters.for_backend(TABS[tab]) if tab else [("limit", str(NEWEST)), ("sort", "newest")]
    page = await asker.read(*parts, query=query)
    root = address(family, found["slug"], below)
    values: dict[str, Any] = {
        "family": family,
        "entity": found,
        "season": number,
        "root": root,
        "tab": tab,
        "tabs": [(LABELS[one], f"{root}/{one}" if one else root, one) for one in ("", *tabs)],
        "crumbs": _crumbs(family, found, number, tab),
        "filters": filters,
        "tiles": [tile(item, filters.mode) for item in page["items"]],
        "page": page,
        "reasons": REASONS,
        "person_id": found["id"] if family == "people" else "",
        "above_fold": 0 if filters.cursor else 8,
        "page_size": PAGE_SIZE,
    }
    templates = request.app.state.templates
    # A further page, asked for by the script of the page that is there already.
    template = "tiles.html" if "hx-request" in request.headers and filters.cursor else "gallery.html"
    answer: Response = templates.page(request, template, asker.session, **values)
    return answer


def _crumbs(family: Family, found: dict[str, Any], number: int | None, tab: str) -> list[tuple[str, str]]:
    """Names and addresses from the list down to this page; the last one is this page."""
    name = found["title"] if family == "shows" else found["full_name"]
    crumbs = [("Shows" if family == "shows" else "People", ROOTS[family]), (name, address(family, found["slug"]))]
    if number is not None:
        crumbs.append((f"Season {number}", address(family, found["slug"], f"/season-{number}")))
    if tab:
        crumbs.append((LABELS[tab], f"{crumbs[-1][1]}/{tab}"))
    return crumbs
