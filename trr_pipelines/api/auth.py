"""Authentication and authorisation: the kinds of caller, and which of them each route is open to.

A bearer that is missing or cannot be verified is 401; a verified one without access is 403. The check runs before the
parameters and the body are read, so that errors reveal nothing to others.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import SecretStr

from trr_pipelines.allowlist import Allowlist, folded
from trr_pipelines.api.bodies import JSON, require_readable_body
from trr_pipelines.api.problems import Refusal, declared
from trr_pipelines.loopback import is_loopback
from trr_pipelines.settings import Settings
from trr_pipelines.web.service_tokens import SERVICE_ROLE, InternalAdminTokens, NotEnoughError, ServiceRoleTokens
from trr_pipelines.web.tokens import InvalidTokenError, IssuerUnreachableError, TokenVerifier

SECRET_HEADER = "x-trr-internal-admin-secret"  # noqa: S105  the header's name
ACTING_HEADER = "x-trr-acting-admin"
_CALLERS_KEY = "x-callers"


class CallerKind(StrEnum):
    """The kinds of caller, as listed in OpenAPI under `x-callers` of a route."""

    ADMIN = "admin"
    ADMIN_APP = "admin_app"
    SCREENALYTICS = "screenalytics"
    METRICS = "metrics"
    ANYONE = "anyone"


ADMIN, ADMIN_APP = CallerKind.ADMIN, CallerKind.ADMIN_APP
SCREENALYTICS, METRICS, ANYONE = CallerKind.SCREENALYTICS, CallerKind.METRICS, CallerKind.ANYONE


@dataclass(frozen=True)
class Caller:
    """The caller; `email` is the admin's, or that of the admin whom the admin app acts for (empty if it names none).

    `by_token`: the admin app showed its short-lived token.
    """

    kind: CallerKind
    email: str = ""
    by_token: bool = False

    @property
    def author(self) -> str:
        """The name of this caller in the audit log and in histories."""
        names = {ADMIN_APP: "admin app", SCREENALYTICS: "screenalytics"}
        without = " (token without admin_email)" if self.by_token else ""
        return self.email or names.get(self.kind, self.kind.value) + without


_ANONYMOUS = Caller(ANYONE)


class Gate:
    """Identifies callers by their credentials. For one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._service_role = _bytes(settings.service_role_key)
        self._admin_secret = _bytes(settings.internal_admin_shared_secret)
        self._screenalytics = _bytes(settings.screenalytics_service_token)
        self._metrics = settings.metrics_token.get_secret_value().encode() if settings.metrics_token else b""
        self._internal_admin = InternalAdminTokens(settings)
        self._supabase = ServiceRoleTokens(settings)
        self._tokens = TokenVerifier(settings)
        self._allowlist = Allowlist(settings.admin_allowlist)

    async def admit(self, request: Request, allowed: Sequence[CallerKind]) -> Caller:
        """The caller, if its kind is in `allowed`. Raises Refusal with 400, 401, 403 or 503."""
        if ANYONE in allowed:
            return _ANONYMOUS
        if METRICS in allowed and not self._metrics:
            if not _is_local(request):
                raise Refusal(403, "metrics are open to this machine only; set TRR_METRICS_TOKEN to allow others")
            return Caller(METRICS)
        caller = await self._identify(request)
        if caller.kind not in allowed:
            raise Refusal(403, "this caller may not use this route")
        return caller

    async def _identify(self, request: Request) -> Caller:
        bearer = _bearer(request)
        if hmac.compare_digest(bearer, self._service_role):
            return self._admin_app(request)
        if hmac.compare_digest(bearer, self._screenalytics):
            return Caller(SCREENALYTICS)
        if self._metrics and hmac.compare_digest(bearer, self._metrics):
            return Caller(METRICS)
        role: str | None = None
        try:
            internal = self._internal_admin.verify(bearer)
            if internal is not None:
                return self._acting(request, internal.email, by_token=True)
            role = self._supabase.role(bearer)
            if role == SERVICE_ROLE:
                return self._admin_app(request)
            claims = await self._tokens.verify(bearer)
        except InvalidTokenError as error:
            if role is not None and self._supabase.is_separate:
                raise Refusal(403, "the role of this token is not service_role") from None
            raise Refusal(401, str(error), {"WWW-Authenticate": 'Bearer error="invalid_token"'}) from None
        except NotEnoughError as error:
            raise Refusal(403, str(error)) from None
        except IssuerUnreachableError as error:
            raise Refusal(503, str(error)) from None
        if claims.email not in self._allowlist:
            raise Refusal(403, "this account is not on the admin allowlist")
        return Caller(ADMIN, claims.email.strip())

    def _admin_app(self, request: Request) -> Caller:
        secret = _only(request, SECRET_HEADER)
        if not hmac.compare_digest(secret or b"", self._admin_secret):
            raise Refusal(403, "the service role alone is not enough")
        return self._acting(request, None, by_token=False)

    def _acting(self, request: Request, signed: str | None, *, by_token: bool) -> Caller:
        """The admin app, for the admin whom its token or its header names; both must be one who is listed."""
        acting = _only(request, ACTING_HEADER)
        named = None if acting is None else acting.decode("utf-8", "replace").strip()
        for email in (signed, named):
            if email is not None and email not in self._allowlist:
                raise Refusal(403, "the acting admin is not on the admin allowlist")
        if signed is not None and named is not None and folded(signed) != folded(named):
            raise Refusal(403, "the token and X-TRR-Acting-Admin name two admins")
        return Caller(ADMIN_APP, (signed or named or "").strip(), by_token)


class GuardedRoute(APIRoute):
    """A route that authenticates the caller before it reads the body or validates parameters."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        extra = self.openapi_extra or {}
        if _CALLERS_KEY not in extra:
            raise ValueError(f"{self.path} does not declare its callers; use open_to()")
        allowed = [CallerKind(name) for name in extra[_CALLERS_KEY]]
        media_type, limit = extra.get("x-body", (JSON, 1_000_000))

        async def guarded(request: Request) -> Response:
            gate: Gate = request.app.state.gate
            request.state.caller = await gate.admit(request, allowed)
            request.scope["caller"] = request.state.caller.author
            _only(request, "idempotency-key")
            if request.scope["path"].endswith("\n"):  # Starlette's patterns end in `$`, which also matches before it
                raise Refusal(404, "Not Found")
            await require_readable_body(request, media_type, limit)
            return await handler(request)

        return guarded


def open_to(*callers: CallerKind, errors: Sequence[int] = (), body: tuple[str, int] | None = None) -> dict[str, Any]:
    """Keyword arguments of a route: its callers and its error statuses.

    `body` is the media type and the maximal size in bytes of its request body, if that is not 1 MB of JSON.
    """
    extra: dict[str, Any] = {_CALLERS_KEY: [caller.value for caller in callers]}
    common = {422, 503}
    if ANYONE not in callers:
        extra["security"] = [form for caller in callers for form in _SECURITY[caller]]
        common |= {400, 401, 403}
    if body is not None:
        extra["x-body"] = body
        if body[0] != JSON:
            content = {body[0]: {"schema": {"type": "string", "format": "binary"}}}
            extra["requestBody"] = {"required": True, "content": content}
    return {"openapi_extra": extra, "responses": declared(*common, *errors)}


_SECURITY: dict[CallerKind, list[dict[str, list[str]]]] = {
    ADMIN: [{"admin": []}],
    ADMIN_APP: [{"service_role": [], "internal_admin_secret": []}, {"internal_admin_token": []}],
    SCREENALYTICS: [{"screenalytics": []}],
    METRICS: [{"metrics": []}],
}
SECURITY_SCHEMES = {
    "admin": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "token of an admin's sign-in; the e-mail must be on TRR_ADMIN_ALLOWLIST",
    },
    "service_role": {
        "type": "http",
        "scheme": "bearer",
        "description": "TRR_SERVICE_ROLE_KEY, or a JWT with the role service_role, signed with SUPABASE_JWT_SECRET",
    },
    "internal_admin_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "the admin app's token of at most 120 s, signed with TRR_INTERNAL_ADMIN_SHARED_SECRET; its"
        " admin_email, if any, must be on TRR_ADMIN_ALLOWLIST",
    },
    "internal_admin_secret": {
        "type": "apiKey",
        "in": "header",
        "name": "X-TRR-Internal-Admin-Secret",
        "description": "the admin app's second secret; X-TRR-Acting-Admin names the admin it acts for",
    },
    "screenalytics": {"type": "http", "scheme": "bearer", "description": "SCREENALYTICS_SERVICE_TOKEN"},
    "metrics": {
        "type": "http",
        "scheme": "bearer",
        "description": "TRR_METRICS_TOKEN; if it is not set, callers on this machine need no token",
    },
}


def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


CurrentCaller = Annotated[Caller, Depends(_caller)]


def _bytes(secret: SecretStr | None) -> bytes:
    """A secret as bytes to compare with. An empty one must match nothing; `require_credentials` refuses unset ones."""
    value = secret.get_secret_value().encode() if secret is not None else b""
    return value or b"\0"


def _is_local(request: Request) -> bool:
    """Whether the request comes from this machine and was not forwarded by a proxy."""
    host = request.client.host if request.client else ""
    is_forwarded = any(
        name.startswith(b"x-forwarded") or name in (b"forwarded", b"via", b"x-real-ip")
        for name, _ in request.scope["headers"]
    )
    # A page of another site reaches a loopback port by a name of its own that it lets resolve to it.
    named = request.url.hostname or ""
    return is_loopback(host) and is_loopback(named) and not is_forwarded


def _bearer(request: Request) -> bytes:
    header = _only(request, "authorization")
    scheme, _, token = (header or b"").partition(b" ")
    token = token.strip()
    if scheme.lower() != b"bearer" or not token:
        raise Refusal(401, "a bearer token is required", {"WWW-Authenticate": "Bearer"})
    return token


def _only(request: Request, name: str) -> bytes | None:
    """The header's raw value. Raises Refusal if it is sent twice: a proxy in front may have read the other value."""
    values = [value for header, value in request.scope["headers"] if header == name.encode()]
    if len(values) > 1:
        raise Refusal(400, f"{name} is sent {len(values)} times")
    return values[0] if values else None
