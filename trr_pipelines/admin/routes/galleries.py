"""Galleries of shows, seasons and people: an overview of the newest photos, and a tab per kind of photo."""

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
    read_entity,
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
    """A show, one of its tabs, or one of its seasons."""
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
    """A person, or their gallery."""
    return await _gallery(request, "people", None, request.path_params.get("rest", ""), PERSON_TABS)


ROUTES = [
    Route("/admin/trr-shows/{slug}", show),
    Route("/admin/trr-shows/{slug}/{rest}", show),
    Route("/admin/trr-shows/{slug}/{season}/{tab}", season),
    Route("/admin/trr-people/{slug}", person),
    Route("/admin/trr-people/{slug}/{rest}", person),
]


async def _gallery(request: Request, family: Family, number: int | None, tab: str, tabs: tuple[str, ...]) -> Response:
    reader = BackendReader.of(request)
    if tab and tab not in tabs:
        raise HTTPException(404, f"No tab {tab[:40]!r}.")
    below = "" if number is None else f"/season-{number}"
    slug = request.path_params["slug"]
    entity = await read_entity(reader, family, slug, below + (f"/{tab}" if tab else ""))
    if number is not None and number not in [season["number"] for season in entity.get("seasons", ())]:
        raise HTTPException(404, f"{entity['title']} has no season {number}.")
    filters = Filters.read(request.query_params)
    parts = [family, entity["id"], *(["seasons", str(number)] if number is not None else []), "gallery"]
    query = filters.for_backend(TABS[tab]) if tab else [("limit", str(NEWEST)), ("sort", "newest")]
    page = await reader.read_gallery(*parts, query=query)
    root = address(family, entity["slug"], below)
    values: dict[str, Any] = {
        "family": family,
        "entity": entity,
        "season": number,
        "root": root,
        "tab": tab,
        "tabs": [(LABELS[name], f"{root}/{name}" if name else root, name) for name in ("", *tabs)],
        "crumbs": _crumbs(family, entity, number, tab),
        "filters": filters,
        "tiles": [tile(item, filters.mode) for item in page.items],
        "page": page,
        "reasons": REASONS,
        "person_id": entity["id"] if family == "people" else "",
        "above_fold": 0 if filters.cursor else 8,
        "page_size": PAGE_SIZE,
    }
    templates = request.app.state.templates
    # htmx appends a further page of tiles to the open gallery.
    template = "tiles.html" if "hx-request" in request.headers and filters.cursor else "gallery.html"
    response: Response = templates.page(request, template, reader.session, **values)
    return response


def _crumbs(family: Family, entity: dict[str, Any], number: int | None, tab: str) -> list[tuple[str, str]]:
    """Names and addresses from the list down to this page, which is the last."""
    name = entity["title"] if family == "shows" else entity["full_name"]
    crumbs = [("Shows" if family == "shows" else "People", ROOTS[family]), (name, address(family, entity["slug"]))]
    if number is not None:
        crumbs.append((f"Season {number}", address(family, entity["slug"], f"/season-{number}")))
    if tab:
        crumbs.append((LABELS[tab], f"{crumbs[-1][1]}/{tab}"))
    return crumbs
