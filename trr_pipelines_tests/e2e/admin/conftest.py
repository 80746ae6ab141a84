"""The admin app in front of a real backend, without Dagster: the tests do the work of runs themselves."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from trr_pipelines.admin.app import create_app as create_admin
from trr_pipelines.api.app import create_app as create_backend
from trr_pipelines.catalogue.database import Database
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines.catalogue.ledger import Scope
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.pipeline.imports.mirroring import mirror_originals
from trr_pipelines.pipeline.rendering.derivatives import render_photos
from trr_pipelines.settings import Settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests.pictures import photo, saved
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.admin_apps import running
from trr_pipelines_tests.support.archives import EVERYTHING, import_path, photo_ids, query
from trr_pipelines_tests.support.databases import new_database
from trr_pipelines_tests.support.faulty_proxy import FaultyProxy, no_fault
from trr_pipelines_tests.support.ports import free_port
from trr_pipelines_tests.support.stacks import PATIENCE_SECONDS, wait_for

SHOW, PERSON = "The Valley: Persian Style", "Person One"
GALLERY = "/admin/trr-shows/the-valley-persian-style/season-1/media-gallery"
PERSON_GALLERY = "/admin/trr-people/person-one/media-gallery"
PHOTOS = 10
PATIENCE_MS = 25_000  # nothing here waits for Dagster


@dataclass
class AdminStack:
    """An archive with photos, its backend, and the admin app; `between` is a faulty proxy between the two."""

    url: str
    archive: Archive
    folder: Path
    photos: dict[str, UUID]
    between: FaultyProxy
    pool: RenderPool

    def render(self, *photos: UUID) -> None:
        """Mirror and render these photos, as the next run would."""
        scope = Scope(photo_ids=photos)
        mirror_originals(self.archive, scope, "run-2")
        render_photos(self.archive, scope, "run-2", EVERYTHING, pool=self.pool)

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        return query(self.archive.database, sql, *parameters)

    def id_of(self, table: str, slug: str) -> UUID:
        sql = "select entity_id from core.slugs where entity_kind = %s and slug = %s"
        found: UUID = self.rows(sql, table, slug)[0]["entity_id"]
        return found


@pytest.fixture(scope="session")
def filled(postgres: EmbeddedPostgres, render_pool: RenderPool, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The archive from which the stacks of all workers start: the first worker fills it, as `template_admin`."""
    of_worker = tmp_path_factory.getbasetemp()
    folder = (of_worker.parent if "PYTEST_XDIST_WORKER" in os.environ else of_worker) / "admin"
    folder.mkdir(exist_ok=True)
    settings = Settings(home=folder / "home", media_store=f"file:{folder / 'media'}")
    with (
        (folder / "lock").open("ab") as lock,
        psycopg.connect(postgres.url("postgres"), autocommit=True) as conn,
    ):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if conn.execute("select from pg_database where datname = 'template_admin'").fetchone() is None:
            conn.execute("create database unfinished_admin template template_trr")
            database = Database(postgres.url("unfinished_admin")).open()
            store = open_store(settings.store_url, base_url=settings.base_url)
            _fill(Archive(settings, database, store), folder, render_pool)
            database.close()
            conn.execute("alter database unfinished_admin rename to template_admin")
    return settings


@pytest.fixture(scope="session")
def admin_stack(
    postgres: EmbeddedPostgres, filled: Settings, render_pool: RenderPool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AdminStack]:
    api_port, admin_port = free_port(), free_port()
    with new_database(postgres, "template_admin") as database_url, pytest.MonkeyPatch.context() as environment:
        for name, value in {
            **backends.ENVIRONMENT,
            "TRR_HOME": str(tmp_path_factory.mktemp("admin-home")),
            "TRR_DATABASE_URL": database_url,
            "TRR_MEDIA_STORE": filled.media_store,
            "TRR_API_PORT": str(api_port),
            "TRR_ADMIN_PORT": str(admin_port),
        }.items():
            environment.setenv(name, value)
        settings = Settings()
        backend = create_backend()
        with FaultyProxy(api_port) as between:
            environment.setenv("TRR_API_URL", between.url)
            admin = create_admin()
            environment.undo()
            database = Database(database_url).open()
            archive = Archive(settings, database, open_store(settings.store_url, base_url=settings.base_url))
            for table in ("media_assets", "media_asset_variants"):
                query(
                    database,
                    f"update core.{table} set hosted_url = replace(hosted_url, %s, %s)",  # noqa: S608  our own names
                    filled.base_url,
                    settings.base_url,
                )
            with running(backend, api_port), running(admin, admin_port) as url:
                yield AdminStack(url, archive, filled.home.parent, photo_ids(archive), between, render_pool)
            database.close()


def _fill(archive: Archive, folder: Path, pool: RenderPool) -> None:
    """Ten photos and a broken one, of a season of a show and of a person, through the whole pipeline."""
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "show", "season", "person", "kind", "caption", "tags", "position"])
        for number in range(PHOTOS):
            path = folder / f"{number}.jpg"
            size = [(1200, 920), (760, 1000), (930, 930)][number % 3]  # crops a little wider than a card
            path.write_bytes(saved(photo(*size, seed=number), "JPEG", quality=92))
            tags = "cast;stills" if number % 2 else "cast"
            rows.writerow([path, SHOW, 1, PERSON, "photo", f"Photo {number}", tags, number])
        (folder / "broken.jpg").write_text("not a picture")
        rows.writerow([folder / "broken.jpg", SHOW, 1, PERSON, "photo", "Broken", "", PHOTOS])
    (batch,) = import_path(archive, manifest).batches
    mirror_originals(archive, Scope(batch=batch), "run-1")
    render_photos(archive, Scope(batch=batch), "run-1", EVERYTHING, pool=pool)


@pytest.fixture(scope="session")
def signed_in(admin_stack: AdminStack, browser: Browser) -> dict[str, Any]:
    """The storage state of an admin who signed in on the sign-in page."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{admin_stack.url}/admin/sign-in#access_token={backends.token(exp=4_000_000_000)}")
    page.get_by_text(f"as {backends.ADMIN_EMAIL}").wait_for()
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/admin/trr-shows")
    state: dict[str, Any] = json.loads(json.dumps(context.storage_state()))
    context.close()
    return state


Opener = Callable[..., Page]


def _is_ours(message: str) -> bool:
    """Whether a page of ours violated its policy; a frame-ancestors violation is by another site's page."""
    return "Content Security Policy" in message and "frame-ancestors" not in message


def _writes(sent: Request) -> bool:
    """Whether the request may change data. Beacons, sent by other sites only, may end without an event."""
    return sent.method != "GET" and sent.resource_type != "ping"


@pytest.fixture
def opened(admin_stack: AdminStack, browser: Browser, signed_in: dict[str, Any]) -> Iterator[Opener]:
    """Opens a page of the app as the admin: `opened("/admin/…", width=390)`. A script error fails the test.

    A test ends when all requests of its pages have ended: a star changes before the backend writes, and a late write
    would count in the next test.
    """
    expect.set_options(timeout=PATIENCE_MS)
    contexts: list[BrowserContext] = []
    errors: list[str] = []
    unanswered: set[Request] = set()

    def open_page(path: str, *, width: int = 1280, height: int = 860, **options: Any) -> Page:
        context = browser.new_context(
            base_url=admin_stack.url, viewport={"width": width, "height": height}, storage_state=signed_in, **options
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        context.on("request", lambda sent: unanswered.add(sent) if _writes(sent) else None)
        context.on("requestfinished", lambda sent: unanswered.discard(sent))
        context.on("requestfailed", lambda sent: unanswered.discard(sent))
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if _is_ours(message.text) else None)
        page.goto(path)
        return page

    yield open_page
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)
    admin_stack.between.plan = no_fault
    until = time.monotonic() + PATIENCE_MS / 1000
    while unanswered and time.monotonic() < until:
        contexts[-1].pages[0].wait_for_timeout(20)
    for context in contexts:
        context.close()
    assert errors == []
    assert [f"{sent.method} {sent.url}" for sent in unanswered] == []


def wait_for_script(page: Page, expression: str) -> None:
    """Wait until an expression is true. Playwright's own wait evaluates in the page, whose policy forbids it."""
    wait_for(lambda: page.evaluate(expression), expression)
