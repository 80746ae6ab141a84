"""Row "single clients" of SECURITY: both apps as processes, each flooded by one client.

`benchmarks.floods` runs longer ones with more connections.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.floods import FLOODS, MOST_MEMORY, MOST_SECONDS, Target, run_flood, stop, wait_until_ready, warm_up
from trr_pipelines_tests.support import backends
from trr_pipelines_tests.support.ports import free_port

SECONDS, CONNECTIONS = 0.8, 300  # more than the server accepts; heads of 250 KB are 75 MB
PATIENCE = 5  # other tests have the cores as well


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


def test_one_client_neither_fills_the_memory_nor_stops_the_others(admin_app: Target) -> None:
    """All floods in one test: the app starts once."""
    failed: dict[str, str] = {}
    for name, flood in FLOODS.items():
        warm_up(admin_app)
        before, logged = admin_app.rss(), admin_app.log.stat().st_size
        health = run_flood(admin_app, flood, CONNECTIONS, SECONDS)
        most = max(health.most_mb, admin_app.rss())
        slowest = max(health.seconds)
        if health.failed or slowest > MOST_SECONDS * PATIENCE or most > MOST_MEMORY * before:
            failed[name] = f"{before:.0f} MB, then {most:.0f}; /healthz {slowest:.1f} s, {health.failed} failed"
        if b"Traceback" in admin_app.log.read_bytes()[logged:]:
            failed[name] = "a traceback in the log"
    assert failed == {}
