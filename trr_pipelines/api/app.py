"""The backend's application object: routes, middleware and shared state put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi

from trr_pipelines.api import problems, routes
from trr_pipelines.api.auth import SECURITY_SCHEMES, Gate
from trr_pipelines.api.daemon_watch import watching
from trr_pipelines.api.metrics import Metrics
from trr_pipelines.api.original_urls import OriginalUrls
from trr_pipelines.api.variant_watch import VariantWatch
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.credentials import require_credentials, with_credentials
from trr_pipelines.pipeline.archive import open_archive
from trr_pipelines.settings import load_settings
from trr_pipelines.web.logs import RequestLog

# The router of every module in `routes`, by module name.
ROUTERS: tuple[APIRouter, ...] = tuple(
    import_module(f"{routes.__name__}.{module.name}").router for module in iter_modules(routes.__path__)
)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    # The pool starts its process when the first original is replaced.
    with open_archive(app.state.settings, for_http=True) as archive, RenderPool(1) as pool, watching(archive):
        app.state.archive, app.state.render_pool = archive, pool
        app.state.variant_watch = VariantWatch(archive.database)
        app.state.metrics.watch(archive)
        yield


def create_app() -> FastAPI:
    """The application, for uvicorn's `--factory`. Opens nothing before startup.

    Raises SetupError for invalid settings and missing secrets.
    """
    settings = with_credentials(load_settings())
    require_credentials(settings)
    app = FastAPI(
        title="TRR media backend",
        version="1",
        lifespan=_lifespan,
        docs_url=None,  # they load scripts from other sites
        redoc_url=None,
        redirect_slashes=False,  # another address is 404; no redirect is built from input
        # GuardedRoute has checked the content type.
        strict_content_type=False,
    )
    app.state.settings = settings
    app.state.gate = Gate(settings)
    app.state.originals = OriginalUrls(settings)
    app.state.metrics = Metrics()
    app.state.routes = [route for router in ROUTERS for route in router.routes]
    for router in ROUTERS:
        app.include_router(router)
    app.add_middleware(RequestLog, on_response=app.state.metrics.count_response)
    problems.handle_problems(app)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's OpenAPI document, with our problem schema and the credentials of all callers."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = problems.SCHEMA
        components["securitySchemes"] = SECURITY_SCHEMES
        for path in schema["paths"].values():
            for operation in path.values():
                operation.pop("x-body", None)
        app.openapi_schema = schema
    return app.openapi_schema
