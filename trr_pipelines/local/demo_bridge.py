"""`trr bridge demo`: a made-up application with photos at foreign keys, from the check to what its galleries show.

The demo calls the same functions as a real bridge; its runs are Dagster runs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pydantic import SecretStr

from trr_pipelines.bridge.application import Application
from trr_pipelines.bridge.check import BridgeFinding, check_bridge
from trr_pipelines.bridge.plan import BridgePlan, GalleryWeight, gallery_weights, plan_bridge
from trr_pipelines.bridge.publishing import publish_due
from trr_pipelines.bridge.sync import Selection, SyncSummary, sync
from trr_pipelines.catalogue.embedded import embedded_postgres
from trr_pipelines.local.demo import Progress, run_batches
from trr_pipelines.local.processes import Child, answers, require_free_port
from trr_pipelines.local.stopping import Stop
from trr_pipelines.pipeline.archive import Archive, dagster_url, open_archive
from trr_pipelines.samples import write_samples
from trr_pipelines.samples.application import make_application
from trr_pipelines.settings import Settings

DATABASE = "application"
PHOTOS, CROPS, CONTRADICTORY = 200, 60, 12
SHRINK = 2


@dataclass(frozen=True)
class BridgeDemoResult:
    """The results of each step; `galleries` are the largest, with the bytes of their cards before and after."""

    findings: list[BridgeFinding]
    plan: BridgePlan
    sync: SyncSummary
    published: Counter[str]
    galleries: list[tuple[GalleryWeight, int]]
    application_url: str
    seconds: float


def demo_bridge(settings: Settings, say: Callable[[str], None], progress: Progress) -> BridgeDemoResult:
    """Make an application of 200 photos on the embedded server, and bridge to it. Raises SetupError."""
    started = time.monotonic()
    url = _new_database(settings)
    bridged = settings.model_copy(update={"application_db_url": SecretStr(url)})
    with open_archive(bridged) as archive, _served(archive, say):
        say(f"an application with {PHOTOS} photos at foreign keys of {archive.settings.store_url}")
        _fill(archive, url)
        application = Application(url).open()
        try:
            return _bridge(archive, application, started, say, progress)
        finally:
            application.close()


def _bridge(
    archive: Archive, application: Application, started: float, say: Callable[[str], None], progress: Progress
) -> BridgeDemoResult:
    say("trr bridge check")
    findings = check_bridge(application, archive.store)
    say("trr bridge plan")
    plan = plan_bridge(archive.database, application, Selection())
    say("trr bridge sync --live")
    before = gallery_weights(application)
    summary = sync(archive, application, lane="live")
    dagster_url(archive.settings)
    run_batches(archive, summary.batches, say, progress, {"TRR_APPLICATION_DB_URL": application.url})
    published = publish_due(archive.database, application)
    after = {gallery.id: gallery.bytes for gallery in gallery_weights(application)}
    galleries = [(gallery, after.get(gallery.id, gallery.bytes)) for gallery in before]
    return BridgeDemoResult(
        findings, plan, summary, published, galleries, application.url, round(time.monotonic() - started, 1)
    )


def _new_database(settings: Settings) -> str:
    """An empty database for the application on the embedded server; an earlier one is dropped."""
    server = embedded_postgres(settings.home)
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        conn.execute(f"drop database if exists {DATABASE} with (force)")
        conn.execute(f"create database {DATABASE}")
    return server.url(DATABASE)


@contextmanager
def _served(archive: Archive, say: Callable[[str], None]) -> Iterator[None]:
    """The API for the block: the public URLs of the directory store are below it."""
    settings = archive.settings
    require_free_port(settings.api_port, "API", "TRR_API_PORT")
    api = Child(
        "API",
        "trr_pipelines.api",
        ["--host", "127.0.0.1", "--port", str(settings.api_port)],
        settings.home / "logs" / "api.log",
        answers(f"http://127.0.0.1:{settings.api_port}/readyz"),
        {"TRR_HOME": str(settings.home)},
        settings.api_port,
    )
    try:
        api.start()
        api.wait_until_ready(Stop())
        say(f"API ready on port {settings.api_port}: it serves the objects")
        yield
    finally:
        api.stop()


def _fill(archive: Archive, url: str) -> None:
    folder = archive.settings.home / "samples"
    write_samples(folder, shrink=SHRINK)
    pictures = [(path.name, path.read_bytes()) for path in sorted(folder.glob("[a-z]*.*")) if path.suffix != ".csv"]
    root = Path(archive.settings.store_url.removeprefix("file:"))

    def put(key: str, data: bytes) -> None:
        """As the application's own programs do, without asking the store."""
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    make_application(
        url,
        put,
        pictures,
        photos=PHOTOS,
        bucket=archive.store.bucket,
        base_url=archive.settings.base_url,
        crops=CROPS,
        contradictory=CONTRADICTORY,
    )
