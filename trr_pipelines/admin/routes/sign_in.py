"""Sign-in with a token of the configured issuer or a link of the development issuer, and sign-out."""

from __future__ import annotations

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from trr_pipelines.admin.authentication import HOME, SIGN_IN, Authenticator, checked_next
from trr_pipelines.admin.forms import read_form
from trr_pipelines.admin.sessions import MAX_SECONDS
from trr_pipelines.web.problems import Refusal
from trr_pipelines.web.tokens import InvalidTokenError, IssuerUnreachableError

T = TypeVar("T")


async def show(request: Request) -> Response:
    """The sign-in page; redirects onward if the request already has a session."""
    target = checked_next(request.query_params.get("next", ""))
    if request.app.state.authenticator.sessions.read(request) is not None:
        return RedirectResponse(target, HTTPStatus.SEE_OTHER)
    return _page(request, target)


async def sign_in(request: Request) -> Response:
    """Start a session for the e-mail of a valid token, if it is on the allowlist."""
    authenticator: Authenticator = request.app.state.authenticator
    form = await read_form(request)
    target = checked_next(form.get("next", ""))
    token = form.get("token", "").strip()
    links = request.app.state.links
    email = await _lasting(links.email_of, token) if links is not None else None
    expires = int(time.time()) + MAX_SECONDS
    if email is None:
        try:
            claims = await request.app.state.verifier.verify(token.encode())
        except InvalidTokenError as error:
            return _page(request, target, status=401, problem=f"{str(error).capitalize()}.")
        except IssuerUnreachableError as error:
            return _page(request, target, status=503, problem=f"{str(error).capitalize()}. Try again.")
        email, expires = claims.email.strip(), min(expires, claims.expires)
    if not authenticator.sessions.may_sign_in(email):
        return _page(request, target, status=403, problem="This account is not on the admin allowlist.")
    response = RedirectResponse(target, HTTPStatus.SEE_OTHER)
    authenticator.sessions.start(response, email, expires)
    return response


async def sign_out(request: Request) -> Response:
    """End the session, for every process of the app and lastingly. Raises SignInRequired without one."""
    authenticator: Authenticator = request.app.state.authenticator
    session = authenticator.session(request)
    response = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
    await _lasting(authenticator.sessions.end, response, session)
    return response


async def home(_: Request) -> Response:
    """Redirects to the first page."""
    return RedirectResponse(HOME, HTTPStatus.SEE_OTHER)


ROUTES = [
    Route("/", home),
    Route("/admin", home),
    Route(SIGN_IN, show, methods=["GET"]),
    Route(SIGN_IN, sign_in, methods=["POST"]),
    Route("/admin/sign-out", sign_out, methods=["POST"]),
]


async def _lasting(work: Callable[..., T], *arguments: object) -> T:
    """Do what writes to the disk. Raises Refusal with 503 if that fails."""
    try:
        return await run_in_threadpool(work, *arguments)
    except OSError as error:
        raise Refusal(503, f"this cannot be kept on the app's disk ({error.strerror}); try again") from None


def _page(request: Request, target: str, *, status: int = 200, problem: str = "") -> Response:
    page: Response = request.app.state.templates.page(
        request,
        "sign_in.html",
        None,
        status=status,
        target=target,
        problem=problem,
        is_development=request.app.state.links is not None,
    )
    return page
