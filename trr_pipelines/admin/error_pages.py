"""What goes wrong, as people see it: a page that says so and leads on; for scripts, a problem."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trr_pipelines.admin.authentication import SignInRequired, here, sign_in_url
from trr_pipelines.admin.backend import BackendRequestError
from trr_pipelines.admin.forms import is_form
from trr_pipelines.admin.routes.redirects import Moved, moved
from trr_pipelines.web.problems import problem

TITLES = {
    403: "Not allowed",
    404: "There is no such page",
    422: "That cannot be shown",
    502: "The backend failed",
    503: "The backend is not there",
    504: "The backend is too slow",
}


async def sign_in_needed(request: Request, _: Exception) -> Response:
    """To the sign-in page and back again; a script is told, so that the page it runs in can stay."""
    if _is_for_people(request):
        return RedirectResponse(sign_in_url(here(request)), HTTPStatus.SEE_OTHER)
    return problem(request, 401, "your sign-in has expired", headers={"WWW-Authenticate": "Cookie"})


async def refused(request: Request, error: Exception) -> Response:
    """A refusal by the framework or by us."""
    assert isinstance(error, HTTPException)
    return _told(request, error.status_code, error.detail, dict(error.headers or {}))


async def backend_failed(request: Request, error: Exception) -> Response:
    """The backend did not give what a page needs."""
    assert isinstance(error, BackendRequestError)
    return _told(request, error.status, error.detail)


async def unforeseen(request: Request, _: Exception) -> Response:
    """A bug: logged with its trace by the server; here, the id to find it by."""
    headers = {"X-Request-Id": request.scope.get("request_id", "")}
    return problem(request, 500, "internal error", headers=headers)


HANDLERS: dict[Any, Any] = {
    SignInRequired: sign_in_needed,
    Moved: moved,
    HTTPException: refused,
    BackendRequestError: backend_failed,
    Exception: unforeseen,
}


def _told(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    if not _is_for_people(request):
        return problem(request, status, detail, headers=headers)
    authenticator, templates = request.app.state.authenticator, request.app.state.templates
    page: Response = templates.page(
        request,
        "error.html",
        authenticator.sessions.read(request),
        status=status,
        title=TITLES.get(status, HTTPStatus(status).phrase),
        code=status,
        detail="" if detail == HTTPStatus(status).phrase else detail,
        can_retry=status >= HTTPStatus.INTERNAL_SERVER_ERROR and request.method == "GET",
        way_back=getattr(request.state, "way_back", ""),
    )
    page.headers.update(headers or {})
    return page


def _is_for_people(request: Request) -> bool:
    """Whether a page is wanted: by a link, or by a form that was posted without scripts."""
    if request.method == "POST":
        return is_form(request) and not _is_script(request)
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/admin/api/")
    return is_page and not _is_script(request)


def _is_script(request: Request) -> bool:
    """Whether one of our scripts asks, in a page that is there already."""
    return "hx-request" in request.headers or request.headers.get("sec-fetch-dest") == "empty"
