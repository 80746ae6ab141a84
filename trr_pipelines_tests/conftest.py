"""What tests of several folders share: a real PostgreSQL, an archive of their own, a folder of small photos."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.settings import Settings
from trr_pipelines.storage.opening import open_store

_numbers = itertools.count()


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own TRR_… and DAGSTER_HOME must not reach the tests."""
    for name in os.environ:
        if name.startswith("TRR_") or name == "DAGSTER_HOME":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """One server for all tests of this worker; `template_trr` holds the newest schema."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"))
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing of it has to outlive the tests
            conn.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
        conn.execute("select pg_reload_conf()")
        conn.execute("create database template_trr")
    schema.upgrade(server.url("template_trr"))
    yield server
    server.release()


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> str:
    """A database of the test's own, with nothing in it."""
    return _new_database(postgres, "template1")


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> str:
    """A database of the test's own, with the newest schema."""
    return _new_database(postgres, "template_trr")


def _new_database(postgres: EmbeddedPostgres, template: str) -> str:
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template)))
    return postgres.url(name)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open catalogue of the test's own."""
    opened = Database(database_url).open()
    yield opened
    opened.close()


@pytest.fixture
def archive(database: Database, database_url: str, tmp_path: Path) -> Archive:
    """An archive of the test's own: a catalogue, and a directory store under `tmp_path/media`."""
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        media_store=f"file:{tmp_path / 'media'}",
        render_processes=1,
    )
    return Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url))
