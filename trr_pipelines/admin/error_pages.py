"""Error responses: an HTML page with links onward for browsers, a problem (RFC 9457) for scripts."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from trr_pipelines.admin.authentication import SignInRequired, requested_page, sign_in_url
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
    504: "Backend too slow",
}


async def sign_in_required(request: Request, _: Exception) -> Response:
    """Redirect a page to the sign-in and back; a script gets 401, so that its page can stay open."""
    if _wants_page(request):
        return RedirectResponse(sign_in_url(requested_page(request)), HTTPStatus.SEE_OTHER)
    return problem(request, 401, "session expired; sign in again", headers={"WWW-Authenticate": "Cookie"})


async def refused(request: Request, error: Exception) -> Response:
    """A refusal by the framework or by this app."""
    assert isinstance(error, HTTPException)
    return _error_response(request, error.status_code, error.detail, dict(error.headers or {}))


async def backend_failed(request: Request, error: Exception) -> Response:
    """The backend did not return what a page needs."""
    assert isinstance(error, BackendRequestError)
    return _error_response(request, error.status, error.detail)


async def internal_error(request: Request, _: Exception) -> Response:
    """A bug: the server logs its traceback; the response has the request id to find it by."""
    headers = {"X-Request-Id": request.scope.get("request_id", "")}
    return problem(request, 500, "internal error", headers=headers)


HANDLERS: dict[Any, Any] = {
    SignInRequired: sign_in_required,
    Moved: moved,
    HTTPException: refused,
    BackendRequestError: backend_failed,
    Exception: internal_error,
}


def _error_response(request: Request, status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    if not _wants_page(request):
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


def _wants_page(request: Request) -> bool:
    """Whether the response is shown as a page: after a link, or a form posted without scripts."""
    if request.method == "POST":
        return is_form(request) and not _is_script(request)
    is_page = request.method in ("GET", "HEAD") and not request.url.path.startswith("/admin/api/")
    return is_page and not _is_script(request)


def _is_script(request: Request) -> bool:
    """Whether a script of an open page sent the request."""
    return "hx-request" in request.headers or request.headers.get("sec-fetch-dest") == "empty"
