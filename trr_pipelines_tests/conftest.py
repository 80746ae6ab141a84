"""Fixtures shared by all tests: a real PostgreSQL, databases, an archive, a face bank, a render pool."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from trr_pipelines.catalogue import schema
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.screenalytics.schema import FACE_BANK
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.support.databases import new_database


def pytest_configure() -> None:
    """A developer's own settings must not reach the tests, nor any fixture."""
    prefixes = ("TRR_", "SCREENALYTICS_", "OBJECT_STORAGE_", "AWS_")
    for name in list(os.environ):
        is_setting = name.startswith(prefixes) and not name.startswith("TRR_TEST_")
        if is_setting or name in ("DAGSTER_HOME", "DB_URL", "SUPABASE_JWT_SECRET"):
            del os.environ[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One server for all test workers; `template_trr` and `template_face_bank` have the newest schemas."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"{os.getpid()}")
    memory = Path("/dev/shm")  # noqa: S108  in memory, the database is not slowed down by a busy disk
    has_memory = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2_000_000_000
    home = (memory if has_memory else Path(tempfile.gettempdir())) / f"trr-tests-{run}"
    server = EmbeddedPostgres(home)
    server.start()
    with (home / "template.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _ensure_template(server)
    yield server
    server.release()
    if not server.is_running():  # this worker was the last to use it
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def server_home() -> Iterator[Path]:
    """A home for an embedded server that only this module uses.

    Not below pytest's folder, which keeps the files of three sessions: a data directory has 40 MB.
    """
    with tempfile.TemporaryDirectory(prefix="trr-tests-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "home"


def _ensure_template(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        if conn.execute("select from pg_database where datname = 'template_trr'").fetchone() is not None:
            return
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # durability is not needed in tests
            conn.execute(sql.SQL("alter system set {} = off").format(sql.Identifier(setting)))
        conn.execute("select pg_reload_conf()")
        conn.execute("create database unfinished")
        schema.upgrade(server.url("unfinished"))
        conn.execute("create database template_face_bank")
        FACE_BANK.upgrade(server.url("template_face_bank"))
        conn.execute("alter database unfinished rename to template_trr")


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """An empty database for one test."""
    with new_database(postgres, "template1") as url:
        yield url


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with the newest schema, for one test."""
    with new_database(postgres, "template_trr") as url:
        yield url


@pytest.fixture
def bank(postgres: EmbeddedPostgres) -> Iterator[FaceBank]:
    """An empty face bank for one test."""
    with new_database(postgres, "template_face_bank") as url:
        yield FaceBank(SecretStr(url))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open catalogue for one test."""
    opened = Database(database_url).open()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def render_pool() -> Iterator[RenderPool]:
    """One render process, shared by all tests of this worker that do not test processes."""
    with RenderPool(1) as pool:
        yield pool


@pytest.fixture
def archive(database: Database, database_url: str, tmp_path: Path) -> Archive:
    """An archive for one test: a catalogue, and a directory store under `tmp_path/media`."""
    settings = Settings(
        home=tmp_path / "home",
        database_url=database_url,
        media_store=f"file:{tmp_path / 'media'}",
        render_processes=1,
    )
    return Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url))
