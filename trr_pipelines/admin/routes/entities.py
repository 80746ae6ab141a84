"""The lists of shows and people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from trr_pipelines.admin.backend_reader import BackendReader
from trr_pipelines.admin.filters import MAX_TEXT
from trr_pipelines.admin.routes.redirects import ROOTS, Family, address

PAGE_SIZE = 100


async def shows(request: Request) -> Response:
    """All shows, by title."""
    return await _list(request, "shows")


async def people(request: Request) -> Response:
    """All people, by name."""
    return await _list(request, "people")


ROUTES = [Route("/admin/trr-shows", shows), Route("/admin/trr-people", people)]


async def _list(request: Request, family: Family) -> Response:
    reader = BackendReader.of(request)
    q = request.query_params.get("q", "").replace("\0", "").strip()[:MAX_TEXT]
    cursor = request.query_params.get("cursor", "")
    query = [("limit", str(PAGE_SIZE)), *([("q", q)] if q else []), *([("cursor", cursor)] if cursor else [])]
    page = await reader.read(family, query=query)
    rows = [
        (item["title"] if family == "shows" else item["full_name"], address(family, item["slug"]), item["counts"])
        for item in page["items"]
    ]
    response: Response = request.app.state.templates.page(
        request,
        "rows.html" if "hx-request" in request.headers and cursor else "entities.html",
        reader.session,
        family=family,
        root=ROOTS[family],
        q=q,
        rows=rows,
        page=page,
    )
    return response
