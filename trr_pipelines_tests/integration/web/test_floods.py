"""Row "single clients" of SECURITY: both apps as processes, each flooded by one client.

`benchmarks.floods` runs longer ones with more connections.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.floods import FLOODS, MOST_MEMORY, MOST_SECONDS, Target, run_flood, stop, wait_until_ready, warm_up
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.ports import free_port

SECONDS, CONNECTIONS = 1.2, 350  # more than the servers accept; heads of 250 KB are 87 MB
PATIENCE = 3  # other tests have the cores as well


@pytest.fixture(scope="module")
def admin_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    environment = {
        **os.environ,
        **backends.ENVIRONMENT,
        "TRR_HOME": str(tmp_path_factory.mktemp("home")),
        "TRR_API_URL": "http://127.0.0.1:9",
        "TRR_ADMIN_PORT": str(port),
    }
    log = tmp_path_factory.mktemp("logs") / "admin.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines.admin"], env=environment, stdout=output, stderr=output
        )
    target = Target("admin app", port, process, "/admin/static/vendor/htmx.min.js", log)
    try:
        wait_until_ready(target)
        yield target
    finally:
        stop(process)


@pytest.mark.parametrize("name", FLOODS)
def test_one_client_neither_fills_the_memory_nor_stops_the_others(admin_app: Target, name: str) -> None:
    warm_up(admin_app)
    before, logged = admin_app.rss(), admin_app.log.stat().st_size
    health = run_flood(admin_app, FLOODS[name], CONNECTIONS, SECONDS)
    assert health.failed == 0
    assert max(health.seconds) <= MOST_SECONDS * PATIENCE
    assert max(health.most_mb, admin_app.rss()) <= MOST_MEMORY * before
    text = admin_app.log.read_bytes()[logged:]
    assert b"Traceback" not in text
