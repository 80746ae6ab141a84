"""What tests of the backend share: a server over the test's own archive, and rows to ask it for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

import httpx
import pytest

from trr_pipelines.api.app import create_app
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.archives import query


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
    """Links photos to a person: `link(person)` makes a photo that is served, `served=False` one that is pending."""
    count = 0

    def make(person_id: UUID, *, served: bool = True, seed: bool = False) -> UUID:
        nonlocal count
        count += 1
        return add_photo(archive, person_id, count, served=served, seed=seed)

    return make


def add_photo(archive: Archive, person_id: UUID, number: int, *, served: bool, seed: bool) -> UUID:
    """A photo of a person by SQL alone; returns the link."""
    sha = f"{number:064x}"
    key = f"originals/{sha[:2]}/{sha}.jpg"
    rows = query(
        archive.database,
        "with batch as (insert into core.import_batches (key, source, day, number)"
        "  values ('20260212-deadline-00001', 'deadline', '2026-02-12', 1) on conflict do nothing),"
        " asset as (insert into core.media_assets (source, source_url, batch_key, state, sha256, bytes, width, height,"
        "  format, frames, hosted_bucket, hosted_key, hosted_url)"
        "  values ('deadline', %(url)s, '20260212-deadline-00001', %(state)s, %(sha)s, 1000, 640, 480, 'jpeg', 1,"
        "  'local', %(key)s, %(hosted)s) returning id)"
        " insert into core.media_links (media_asset_id, person_id, kind, position, caption, facebank_seed)"
        " select id, %(person)s, 'photo', %(number)s, %(caption)s, %(seed)s from asset returning id",
        {
            "url": f"https://photos.example/{number}.jpg",
            "state": "mirrored" if served else "pending",
            "sha": sha if served else None,
            "key": key if served else None,
            "hosted": f"http://127.0.0.1:8000/media/{key}" if served else None,
            "person": person_id,
            "number": number,
            "caption": f"photo {number}",
            "seed": seed,
        },
    )
    found: UUID = rows[0]["id"]
    return found
