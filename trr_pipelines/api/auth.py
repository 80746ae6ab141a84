"""Who is calling, and what they may: three kinds of caller, and each route names those that it is open to.

One rule: a bearer that is missing or cannot be verified is 401, a verified one that is not enough is 403. The guard
runs before anything else of a request is read, so nobody learns from an error what only a caller may know.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import SecretStr

from trr_pipelines.allowlist import Allowlist
from trr_pipelines.api.bodies import JSON, require_readable_body
from trr_pipelines.api.problems import Refusal, declared
from trr_pipelines.settings import Settings
from trr_pipelines.web.tokens import InvalidTokenError, IssuerUnreachableError, TokenVerifier

SECRET_HEADER = "x-trr-internal-admin-secret"  # noqa: S105  the header's name
ACTING_HEADER = "x-trr-acting-admin"
_CALLERS_KEY = "x-callers"


class CallerKind(StrEnum):
    """The kinds of caller, as OpenAPI lists them under `x-callers` of a route."""

    ADMIN = "admin"
    ADMIN_APP = "admin_app"
    SCREENALYTICS = "screenalytics"
    METRICS = "metrics"
    ANYONE = "anyone"


ADMIN, ADMIN_APP = CallerKind.ADMIN, CallerKind.ADMIN_APP
SCREENALYTICS, METRICS, ANYONE = CallerKind.SCREENALYTICS, CallerKind.METRICS, CallerKind.ANYONE


@dataclass(frozen=True)
class Caller:
    """Who calls; `email` is the admin's, or the one that the admin app acts for (empty: it named none)."""

    kind: CallerKind
    email: str = ""

    @property
    def author(self) -> str:
        """How the audit trail and histories name this caller."""
        return self.email or {ADMIN_APP: "admin app", SCREENALYTICS: "screenalytics"}.get(self.kind, self.kind.value)


_NOBODY = Caller(ANYONE)


class Gate:
    """Tells callers apart by what they show. Safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        self._service_role = _bytes(settings.service_role_key)
        self._admin_secret = _bytes(settings.internal_admin_shared_secret)
        self._screenalytics = _bytes(settings.screenalytics_service_token)
        self._metrics = settings.metrics_token.get_secret_value().encode() if settings.metrics_token else b""
        self._tokens = TokenVerifier(settings)
        self._allowlist = Allowlist(settings.admin_allowlist)

    def admit(self, request: Request, allowed: Sequence[CallerKind]) -> Caller:
        """The caller, if one of `allowed`. Raises Refusal with 400, 401, 403 or 503."""
        if ANYONE in allowed:
            return _NOBODY
        if METRICS in allowed and not self._metrics:
            if not _is_local(request):
                raise Refusal(403, "metrics are for this machine only; set TRR_METRICS_TOKEN for others")
            return Caller(METRICS)
        caller = self._identify(request)
        if caller.kind not in allowed:
            raise Refusal(403, "this caller may not use this route")
        return caller

    def _identify(self, request: Request) -> Caller:
        bearer = _bearer(request)
        if hmac.compare_digest(bearer, self._service_role):
            return self._admin_app(request)
        if hmac.compare_digest(bearer, self._screenalytics):
            return Caller(SCREENALYTICS)
        if self._metrics and hmac.compare_digest(bearer, self._metrics):
            return Caller(METRICS)
        try:
            claims = self._tokens.verify(bearer)
        except InvalidTokenError as error:
            raise Refusal(401, str(error), {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
        except IssuerUnreachableError as error:
            raise Refusal(503, str(error)) from None
        if claims.email not in self._allowlist:
            raise Refusal(403, "this account is not on the list of admins")
        return Caller(ADMIN, claims.email.strip())

    def _admin_app(self, request: Request) -> Caller:
        secret = _only(request, SECRET_HEADER)
        if not hmac.compare_digest(secret or b"", self._admin_secret):
            raise Refusal(403, "the service role alone is not enough")
        acting = _only(request, ACTING_HEADER)
        if acting is None:
            return Caller(ADMIN_APP)
        email = acting.decode("utf-8", "replace").strip()
        if email not in self._allowlist:
            raise Refusal(403, "the acting admin is not on the list of admins")
        return Caller(ADMIN_APP, email)


class GuardedRoute(APIRoute):
    """A route that asks who calls before its body is read or its parameters are looked at."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
        extra = self.openapi_extra or {}
        if _CALLERS_KEY not in extra:
            raise ValueError(f"{self.path} does not say who may call it")
        allowed = [CallerKind(name) for name in extra[_CALLERS_KEY]]
        media_type, limit = extra.get("x-body", (JSON, 1_000_000))

        async def guarded(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            request.state.caller = gate.admit(request, allowed)
            request.scope["caller"] = request.state.caller.author
            _only(request, "idempotency-key")
            if request.scope["path"].endswith("\n"):  # Starlette's patterns end in `$`, which overlooks it
                raise Refusal(404, "Not Found")
            await require_readable_body(request, media_type, limit)
            return await answer(request)

        return guarded


def open_to(*callers: CallerKind, errors: Sequence[int] = (), body: tuple[str, int] | None = None) -> dict[str, Any]:
    """What a route declares: who may call it and with what it may answer besides success.

    `body` is the media type and the largest size in bytes of what is sent to it, where that is not 1 MB of JSON.
    """
    extra: dict[str, Any] = {_CALLERS_KEY: [caller.value for caller in callers]}
    common = {422, 503}
    if ANYONE not in callers:
        extra["security"] = [_SECURITY[caller] for caller in callers]
        common |= {400, 401, 403}
    if body is not None:
        extra["x-body"] = body
        if body[0] != JSON:
            content = {body[0]: {"schema": {"type": "string", "format": "binary"}}}
            extra["requestBody"] = {"required": True, "content": content}
    return {"openapi_extra": extra, "responses": declared(*common, *errors)}


_SECURITY: dict[CallerKind, dict[str, list[str]]] = {
    ADMIN: {"admin": []},
    ADMIN_APP: {"service_role": [], "internal_admin_secret": []},
    SCREENALYTICS: {"screenalytics": []},
    METRICS: {"metrics": []},
}
SECURITY_SCHEMES = {
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "token of an admin's sign-in; the e-mail must be on TRR_ADMIN_ALLOWLIST",
    },
    "service_role": {"type": "http", "scheme": "bearer", "description": "the admin app's service-role key"},
    "internal_admin_secret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-TRR-Internal-Admin-Secret",
        "description": "the admin app's second secret; with X-TRR-Acting-Admin it names the admin it acts for",
    },
    "screenalytics": {"type": "http", "scheme": "bearer", "description": "SCREENALYTICS_SERVICE_TOKEN"},
    "metrics": {
        "type": "http",
        "scheme": "bearer",
        "description": "TRR_METRICS_TOKEN; where that is not set, callers on this machine need nothing",
    },
}


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]


def _bytes(secret: SecretStr | None) -> bytes:
    """A secret for comparing. `require_credentials` has refused unset ones; an empty one must still match nothing."""
    value = secret.get_secret_value().encode() if secret is not None else b""
    return value or b"\0"


def _is_local(request: Request) -> bool:
    """Whether the caller sits on this machine; what a proxy on this machine passes on does not count."""
    host = request.client.host if request.client else ""
    is_passed_on = any(
        name.startswith(b"x-forwarded") or name in (b"forwarded", b"via", b"x-real-ip")
        for name, _ in request.scope["headers"]
    )
    try:
        return ip_address(host).is_loopback and not is_passed_on
    except ValueError:
        return False


def _bearer(request: Request) -> bytes:
    header = _only(request, "authorization")
    scheme, _, token = (header or b"").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise Refusal(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})
    return token


def _only(request: Request, name: str) -> bytes | None:
    """The header's raw value. Sent twice, nobody could say which one a proxy in front of us looked at."""
    wanted = name.encode()
    values = [value for header, value in request.scope["headers"] if header == wanted]
    if len(values) > 1:
        raise Refusal(400, f"{name} is sent {len(values)} times")
    return values[0] if values else None
