"""Fixtures of the backend's tests: a server over the test's own archive, and rows to read from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest

from trr_pipelines.api.app import create_app
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import add_photo, query


@pytest.fixture
def environment(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> str:
    """The application's settings; returns the database's URL."""
    assert archive.settings.database_url is not None
    url = archive.settings.database_url.get_secret_value()
    monkeypatch.setenv("TRR_HOME", str(archive.settings.home))
    monkeypatch.setenv("TRR_DATABASE_URL", url)
    monkeypatch.setenv("TRR_MEDIA_STORE", archive.settings.media_store)
    for name, value in backends.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return url


@pytest.fixture
def client(environment: str) -> Iterator[httpx.Client]:
    """A client of the application behind the server that production uses."""
    with backends.serving(create_app()) as one:
        yield one


@pytest.fixture
def person(archive: Archive) -> UUID:
    """A person without photos."""
    (row,) = query(archive.database, "insert into core.people (full_name) values ('Person One') returning id")
    found: UUID = row["id"]
    return found


@pytest.fixture
def link(archive: Archive) -> Callable[..., UUID]:
    """Links photos to a person: `link(person)` creates a served photo, `served=False` a pending one."""
    count = 0

    def make(person_id: UUID, *, served: bool = True, seed: bool = False) -> UUID:
        nonlocal count
        count += 1
        return add_photo(archive.database, person_id, count, served=served, seed=seed)

    return make
