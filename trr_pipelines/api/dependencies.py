"""Dependencies of routes: the archive, the author of a change, URLs of originals, the render pool."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from trr_pipelines.api.auth import CurrentCaller
from trr_pipelines.api.original_urls import OriginalUrls
from trr_pipelines.catalogue.audit import Author
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive


def _archive(request: Request) -> Archive:
    archive: Archive = request.app.state.archive
    return archive


def _author(request: Request, caller: CurrentCaller) -> Author:
    return Author(caller.author, caller.kind.value, request.scope.get("request_id", ""))


def _originals(request: Request) -> OriginalUrls:
    originals: OriginalUrls = request.app.state.originals
    return originals


def _pool(request: Request) -> RenderPool:
    pool: RenderPool = request.app.state.render_pool
    return pool


CurrentArchive = Annotated[Archive, Depends(_archive)]
CurrentAuthor = Annotated[Author, Depends(_author)]
CurrentOriginals = Annotated[OriginalUrls, Depends(_originals)]
CurrentPool = Annotated[RenderPool, Depends(_pool)]
