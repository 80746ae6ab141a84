"""Fixtures of the bridge: an application database, its rows, and a second connection to it as the bridge opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trr_pipelines.bridge.application import Application
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.samples.copies import numbered
from trr_pipelines_tests.pictures import jpeg
from trr_pipelines_tests.support.applications import Reader, Rows, new_application, opened
from trr_pipelines_tests.support.archives import query

Put = Callable[..., None]
RenderAll = Callable[[], None]


@pytest.fixture
def application_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An application database without rows, for one test."""
    with new_application(postgres) as url:
        yield url


@pytest.fixture
def application(application_url: str) -> Iterator[Application]:
    """The application as the bridge opens it."""
    with opened(application_url) as application:
        yield application


@pytest.fixture
def rows(application_url: str) -> Rows:
    """The application's rows, as its own programs write them."""
    return Rows(application_url)


@pytest.fixture
def reader(application_url: str) -> Reader:
    """A reader of the application's galleries."""
    return Reader(application_url)


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes an object of the application into the bucket, as its own programs do: by default a JPEG of its own."""
    count = 0

    def write(key: str, data: bytes | None = None) -> None:
        nonlocal count
        count += 1
        path = tmp_path / "media" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if data is not None else numbered(jpeg(), count) or b"")

    return write


def render_everything(archive: Archive, pool: RenderPool) -> None:
    """Do the work of all batches, as their runs do."""
    for row in query(archive.database, "select key from core.import_batches"):
        scope = Scope(batch=row["key"])
        mirror_originals(archive, scope, "test")
        render_photos(archive, scope, "test", pool=pool)


@pytest.fixture
def render_all(archive: Archive, render_pool: RenderPool) -> RenderAll:
    """Does the work of all batches."""
    return lambda: render_everything(archive, render_pool)
