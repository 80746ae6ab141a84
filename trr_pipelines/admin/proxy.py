"""The proxy: the only routes that reach the backend with credentials, each with one method and one path.

The star is also a form, for pages without scripts: a form can only POST, and the response leads back to its page.
Each backend request is built from checked parts: of the browser's request only the headers named below, the body, and
ids of the path and of named query parameters that were parsed and written again go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trr_pipelines.admin.authentication import Authenticator, checked_next
from trr_pipelines.admin.backend import Backend, BackendRequestError, request_error
from trr_pipelines.admin.forms import read_form
from trr_pipelines.web.bodies import read_at_most
from trr_pipelines.web.problems import Refusal

JSON_BODY, IMAGE_BODY = 1_000_000, 50_000_000  # bytes; the backend's own limits
_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_FORWARDED = ("content-type", "if-match", "if-none-match")
_RETURNED = ("content-type", "etag", "retry-after", "www-authenticate")


@dataclass(frozen=True)
class ProxyRoute:
    """One route: the same method and path below `/admin/api` and below the backend's `/api/v1/admin`.

    `query` names the parameters that go on, each an id.
    """

    method: str
    path: str
    takes_image: bool = False
    query: tuple[str, ...] = ()


STAR = ProxyRoute("PATCH", "/person/{person_id}/gallery/{link_id}/facebank-seed")
PROXY_ROUTES = (
    STAR,
    ProxyRoute("PUT", "/media-assets/{id}/crop", query=("link_id",)),
    ProxyRoute("DELETE", "/media-assets/{id}/crop", query=("link_id",)),
    ProxyRoute("POST", "/media-assets/{id}/crops/{signature}/activate"),
    ProxyRoute("POST", "/media-assets/{id}/reprocess"),
    ProxyRoute("POST", "/reprocess"),
    ProxyRoute("PUT", "/media-assets/{id}/original", takes_image=True),
    ProxyRoute("POST", "/views"),
)


def proxy_routes() -> list[Route]:
    """The proxy's routes. A path with two methods has two routes."""
    return [
        *(Route(f"/admin/api{route.path}", _endpoint(route), methods=[route.method]) for route in PROXY_ROUTES),
        Route(f"/admin/api{STAR.path}", _star_form, methods=["POST"]),
    ]


def _endpoint(route: ProxyRoute) -> Callable[[Request], Awaitable[Response]]:
    async def forward(request: Request) -> Response:
        authenticator: Authenticator = request.app.state.authenticator
        backend: Backend = request.app.state.backend
        session = authenticator.session(request)
        body = await _body(request, route)
        headers = {name: request.headers[name] for name in _forwarded(request)}
        headers["x-request-id"] = request.scope["request_id"]
        try:
            path, query = _target(request, route)
            response = await backend.send(route.method, path, session.email, headers, query=query, body=body)
        except BackendRequestError as error:
            raise Refusal(error.status, error.detail) from None
        if response.status_code == HTTPStatus.UNAUTHORIZED:  # about our credentials, not about the browser's session
            raise Refusal(502, "The backend refuses this app's credentials.")
        returned = {name: response.headers[name] for name in _RETURNED if name in response.headers}
        return Response(response.content, response.status_code, {**returned, "cache-control": "no-store"})

    return forward


async def _star_form(request: Request) -> Response:
    """The star as a form with `facebank_seed` (true or false) and `next`, the page to return to."""
    authenticator: Authenticator = request.app.state.authenticator
    backend: Backend = request.app.state.backend
    session = authenticator.session(request)
    form = await read_form(request)
    flag = form.get("facebank_seed", "")
    if flag not in ("true", "false"):
        raise Refusal(422, f"facebank_seed: {flag[:80]!r} is neither true nor false")
    page = checked_next(form.get("next", ""))
    request.state.way_back = page
    body = json.dumps({"facebank_seed": flag == "true"}).encode()
    headers = {"content-type": "application/json", "x-request-id": request.scope["request_id"]}
    path, _ = _target(request, STAR)
    response = await backend.send(STAR.method, path, session.email, headers, body=body)
    if response.status_code != HTTPStatus.OK:
        raise request_error(response)
    return RedirectResponse(f"{page}#photo-{request.path_params['link_id'].lower()}", HTTPStatus.SEE_OTHER)


def _target(request: Request, route: ProxyRoute) -> tuple[str, list[tuple[str, str]]]:
    """The backend's path and query, with each id checked. Raises Refusal with 422 naming the invalid id."""
    asked = {name: request.query_params[name] for name in route.query if name in request.query_params}
    for name, value in {**request.path_params, **asked}.items():
        pattern, form = (_SIGNATURE, "a signature") if name == "signature" else (_UUID, "a UUID")
        if not pattern.fullmatch(value.lower()):
            raise Refusal(422, f"{name}: {value[:80]!r} is not {form}")
    ids = {name: value.lower() for name, value in request.path_params.items()}
    return "/api/v1/admin" + route.path.format(**ids), [(name, value.lower()) for name, value in asked.items()]


def _forwarded(request: Request) -> list[str]:
    """Names of the browser's headers to forward, without those that its Connection header makes hop-by-hop."""
    hops = {name.strip().lower() for name in request.headers.get("connection", "").split(",")}
    return [name for name in _FORWARDED if name in request.headers and name not in hops]


async def _body(request: Request, route: ProxyRoute) -> bytes:
    """The whole body. Raises Refusal: 415 if the route takes another type, 413 above its limit."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_at_most(request, IMAGE_BODY if route.takes_image else JSON_BODY)
    if route.takes_image and not sent.startswith("image/"):
        raise Refusal(415, f"the body is {sent or 'without a type'}, image/* is required")
    if not route.takes_image and (body or sent) and sent != "application/json":
        raise Refusal(415, f"the body is {sent or 'without a type'}, application/json is required")
    return body
