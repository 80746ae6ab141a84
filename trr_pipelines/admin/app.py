"""The admin app's application object: routes, middleware and shared state put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from trr_pipelines.admin import error_pages
from trr_pipelines.admin.authentication import Authenticator
from trr_pipelines.admin.backend import Backend
from trr_pipelines.admin.development import UsedLinks, has_development_issuer
from trr_pipelines.admin.ended import EndedIds
from trr_pipelines.admin.guard import HEALTH, Guard, security_headers
from trr_pipelines.admin.proxy import proxy_routes
from trr_pipelines.admin.routes import entities, galleries, operations, photos, redirects, sign_in
from trr_pipelines.admin.sessions import Sessions
from trr_pipelines.admin.templating import Templates, static_files
from trr_pipelines.credentials import ADMIN_APP, require_credentials, with_credentials
from trr_pipelines.settings import Settings, load_settings
from trr_pipelines.web.logs import RequestLog
from trr_pipelines.web.origins import Origins, origin_of
from trr_pipelines.web.tokens import TokenVerifier

GZIP_FROM_BYTES = 1_000


def create_app() -> Starlette:
    """The application, for uvicorn's `--factory`. Raises SetupError for invalid settings and missing secrets."""
    environment = load_settings()
    # With TRR_API_URL set this is not the embedded default, and no secrets are generated for it.
    settings = environment if environment.api_url else with_credentials(environment)
    require_credentials(settings, ADMIN_APP)
    origins = Origins.of(settings.admin_url, settings.admin_port)
    app = Starlette(
        routes=_routes(),
        middleware=[
            Middleware(RequestLog),
            Middleware(Guard, origins=origins, headers=security_headers(origin_of(settings.base_url))),
            Middleware(GZipMiddleware, minimum_size=GZIP_FROM_BYTES),
        ],
        exception_handlers=error_pages.HANDLERS,
        lifespan=_lifespan,
    )
    app.state.settings = settings
    app.state.verifier = TokenVerifier(settings)
    ended = EndedIds(settings.home)
    app.state.links = UsedLinks(settings, ended) if has_development_issuer(environment) else None
    app.state.authenticator = Authenticator(Sessions(settings, ended, is_secure=origins.is_secure))
    app.state.templates = Templates(settings)
    return app


def _routes() -> list[Route | Mount]:
    return [
        Route(HEALTH, _healthz),
        *sign_in.ROUTES,
        *proxy_routes(),
        *redirects.ROUTES,
        *operations.ROUTES,
        *photos.ROUTES,
        *entities.ROUTES,
        *galleries.ROUTES,
        Mount("/admin/static", static_files()),
    ]


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    app.state.backend = Backend(settings)
    yield
    await app.state.backend.close()


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok")
