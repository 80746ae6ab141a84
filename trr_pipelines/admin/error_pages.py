"""Error responses: a page for people, a problem document for scripts."""

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
    404: "Page not found",
    422: "Invalid request",
    502: "Backend error",
    503: "Backend unavailable",
    504: "Backend timeout",
}


async def sign_in_needed(request: Request, _: Exception) -> Response:
    """Redirect a page to the sign-in page and back; answer a script with a 401 problem."""
    if _is_for_people(request):
        return RedirectResponse(sign_in_url(here(request)), HTTPStatus.SEE_OTHER)
    return problem(request, 401, "session expired; sign in again", headers={"WWW-Authenticate": "Cookie"})


async def refused(request: Request, error: Exception) -> Response:
    """Handle an HTTPException."""
    assert isinstance(error, HTTPException)
    return _response(request, error.status_code, error.detail, dict(error.headers or {}))


async def backend_failed(request: Request, error: Exception) -> Response:
    """Handle a failed request to the backend."""
    assert isinstance(error, BackendRequestError)
    return _response(request, error.status, error.detail)


async def unforeseen(request: Request, _: Exception) -> Response:
    """Handle an unexpected exception: the server logs the traceback, the response carries the request id."""
    headers = {"X-Request-Id": request.scope.get("request_id", "")}
    return problem(request, 500, "internal error", headers=headers)


HANDLERS: dict[Any, Any] = {
    SignInRequired: sign_in_needed,
    Moved: moved,
    HTTPException: refused,
    BackendRequestError: backend_failed,
    Exception: unforeseen,
}


def _response(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
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
    """Whether the response is a page: for a link, or a form posted without scripts."""
    if request.method == "POST":
        return is_form(request) and not _is_script(request)
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/admin/api/")
    return is_page and not _is_script(request)


def _is_script(request: Request) -> bool:
    """Whether one of our scripts sent the request."""
    return "hx-request" in request.headers or request.headers.get("sec-fetch-dest") == "empty"
