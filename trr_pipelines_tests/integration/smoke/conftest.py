"""An environment of a real backend, admin app and face bank, with a person and three photos."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from trr_pipelines.admin.app import create_app as create_admin
from trr_pipelines.api.app import create_app as create_backend
from trr_pipelines.compute.pool import RenderPool
from trr_pipelines.pipeline.archive import Archive
from trr_pipelines.screenalytics.bank import FaceBank
from trr_pipelines.settings import load_settings
from trr_pipelines.storage.factory import open_store
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.admin_apps import serving_admin
from trr_pipelines_tests.support.archives import import_files, query, run
from trr_pipelines_tests.support.environments import Environment
from trr_pipelines_tests.support.ports import free_port


@pytest.fixture
def environment(
    archive: Archive, bank: FaceBank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, render_pool: RenderPool
) -> Iterator[Environment]:
    port, admin_port = free_port(), free_port()
    backend, admin = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
    media = f"{backend}/media"
    served = Archive(archive.settings, archive.database, open_store(archive.settings.store_url, base_url=media))
    files = {f"{number}.jpg": pictures.jpeg(400, 300, seed=number) for number in range(3)}
    run(served, import_files(served, tmp_path / "in", files, person="Person One"), pool=render_pool)
    settings = backends.environment(archive) | {
        "TRR_MEDIA_BASE_URL": media,
        "TRR_API_URL": backend,
        "TRR_ADMIN_PORT": str(admin_port),
        "SCREENALYTICS_DB_URL": bank.url.get_secret_value(),
        "TRR_SMOKE_TOKEN": backends.token(),
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with ExitStack() as stack:
        stack.enter_context(serving_admin(create_backend(), port))
        stack.enter_context(serving_admin(create_admin(), admin_port))
        person = query(archive.database, "select id from core.people")[0]["id"]
        yield Environment(backend, admin, bank, archive.database, load_settings(), person, tmp_path / "evidence")
