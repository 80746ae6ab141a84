"""The proxy: the only routes that reach the backend with credentials, each with its one method and path.

The star is a form as well, for pages without scripts: a form can only POST, and is answered with the page it came from.
What goes to the backend is put together here from checked parts. Nothing of a browser's request passes by itself:
not its headers (but for those named below), not its query, and its path only as ids that were read and written anew.
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

from trr_pipelines.admin.authentication import CSRF_HEADER, Authenticator, checked_next
from trr_pipelines.admin.backend import Backend, BackendRequestError, refused
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
    """One route: the same method and path below `/admin/api` and below the backend's `/api/v1/admin`."""

    method: str
    path: str
    takes_image: bool = False


STAR = ProxyRoute("PATCH", "/person/{person_id}/gallery/{link_id}/facebank-seed")
PASSAGES = (
    STAR,
    ProxyRoute("PUT", "/media-assets/{id}/crop"),
    ProxyRoute("DELETE", "/media-assets/{id}/crop"),
    ProxyRoute("POST", "/media-assets/{id}/crops/{signature}/activate"),
    ProxyRoute("POST", "/media-assets/{id}/reprocess"),
    ProxyRoute("POST", "/reprocess"),
    ProxyRoute("PUT", "/media-assets/{id}/original", takes_image=True),
    ProxyRoute("POST", "/views"),
)


def proxy_routes() -> list[Route]:
    """The routes of the proxy. A path that two methods share has two routes."""
    return [
        *(Route(f"/admin/api{passage.path}", _endpoint(passage), methods=[passage.method]) for passage in PASSAGES),
        Route(f"/admin/api{STAR.path}", _star_form, methods=["POST"]),
    ]


def _endpoint(passage: ProxyRoute) -> Callable[[Request], Awaitable[Response]]:
    async def pass_on(request: Request) -> Response:
        authenticator: Authenticator = request.app.state.authenticator
        backend: Backend = request.app.state.backend
        authenticator.require_own_origin(request)
        session = authenticator.session(request)
        body = await _body(request, passage)
        token = request.headers.get(CSRF_HEADER)
        # A page of another site cannot send JSON without being asked first; everything else has to bring the token.
        if token is not None or _type(request) != "application/json":
            authenticator.require_token(token or "", session.id)
        headers = {name: request.headers[name] for name in _forwarded(request)}
        headers["x-request-id"] = request.scope["request_id"]
        try:
            answer = await backend.send(passage.method, _target(request, passage), session.email, headers, body=body)
        except BackendRequestError as error:
            raise Refusal(error.status, error.detail) from None
        if answer.status_code == HTTPStatus.UNAUTHORIZED:  # ours were refused; the browser's sign-in is good
            raise Refusal(502, "The backend refuses this app's credentials.")
        returned = {name: answer.headers[name] for name in _RETURNED if name in answer.headers}
        return Response(answer.content, answer.status_code, {**returned, "cache-control": "no-store"})

    return pass_on


async def _star_form(request: Request) -> Response:
    """The star, from a form with `csrf_token`, `facebank_seed` (true or false) and `next`, the page to go back to."""
    authenticator: Authenticator = request.app.state.authenticator
    backend: Backend = request.app.state.backend
    authenticator.require_own_origin(request)
    session = authenticator.session(request)
    form = await read_form(request)
    authenticator.require_token(form.get("csrf_token", ""), session.id)
    wanted = form.get("facebank_seed", "")
    if wanted not in ("true", "false"):
        raise Refusal(422, f"facebank_seed: {wanted[:80]!r} is neither true nor false")
    page = checked_next(form.get("next", ""))
    request.state.way_back = page
    body = json.dumps({"facebank_seed": wanted == "true"}).encode()
    headers = {"content-type": "application/json", "x-request-id": request.scope["request_id"]}
    answer = await backend.send(STAR.method, _target(request, STAR), session.email, headers, body=body)
    if answer.status_code != HTTPStatus.OK:
        raise refused(answer)
    return RedirectResponse(f"{page}#photo-{request.path_params['link_id'].lower()}", HTTPStatus.SEE_OTHER)


def _target(request: Request, passage: ProxyRoute) -> str:
    """The backend's path, with each id checked. Raises Refusal with 422 naming the one that is none."""
    for name, value in request.path_params.items():
        pattern, form = (_SIGNATURE, "a signature") if name == "signature" else (_UUID, "a UUID")
        if not pattern.fullmatch(value.lower()):
            raise Refusal(422, f"{name}: {value[:80]!r} is not {form}")
    ids = {name: value.lower() for name, value in request.path_params.items()}
    return "/api/v1/admin" + passage.path.format(**ids)


def _forwarded(request: Request) -> list[str]:
    """Names of the browser's headers that go on, without those that it calls hop-by-hop."""
    hops = {name.strip().lower() for name in request.headers.get("connection", "").split(",")}
    return [name for name in _FORWARDED if name in request.headers and name not in hops]


def _type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request, passage: ProxyRoute) -> bytes:
    """The body, whole. Raises Refusal: 415 for another type than the route takes, 413 above its limit."""
    sent, limit = _type(request), IMAGE_BODY if passage.takes_image else JSON_BODY
    body = await read_at_most(request, limit)
    if passage.takes_image and not sent.startswith("image/"):
        raise Refusal(415, f"the body is {sent or 'of no type'}, image/* is needed")
    if not passage.takes_image and (body or sent) and sent != "application/json":
        raise Refusal(415, f"the body is {sent or 'of no type'}, application/json is needed")
    return body
