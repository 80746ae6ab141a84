"""A backend over real HTTP, and a proxy in front of it that can inject faults."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import httpx
import pytest

from trr_pipelines.api.app import create_app
from trr_pipelines.catalogue.database import Database
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.face_banks import add_person
from trr_pipelines_tests.support.faulty_proxy import FaultyProxy


@pytest.fixture
def backend(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """A backend on the test's archive; yields a client with the admin app's credentials."""
    for name, value in backends.environment(archive).items():
        monkeypatch.setenv(name, value)
    with backends.serving(create_app(), backends.ADMIN_APP) as client:
        yield client


@pytest.fixture
def proxy(backend: httpx.Client) -> Iterator[FaultyProxy]:
    """A proxy between Screenalytics and the backend that records the requests."""
    assert backend.base_url.port is not None
    with FaultyProxy(backend.base_url.port) as running:
        yield running


@pytest.fixture
def person(database: Database) -> UUID:
    return add_person(database)
