"""The processes of `trr up`: database, API, admin app, Dagster's code server, daemon and UI; stopped in order."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trr_pipelines.errors import SetupError
from trr_pipelines.home import make_home, open_file, private_umask
from trr_pipelines.local.dagster_home import CODE_LOCATION, dagster_home, socket_folder, write_workspace
from trr_pipelines.local.processes import Child, accepts, answers, require_free_port
from trr_pipelines.local.stopping import Stop
from trr_pipelines.local.supervision import Supervisor
from trr_pipelines.pipeline.archive import dagster_url, open_archive
from trr_pipelines.settings import Settings

DAEMON = "Dagster daemon"
CODE_SERVER = "Dagster code server"


@dataclass(frozen=True)
class Stack:
    """A running stack: what looks after its processes, and their URLs."""

    supervisor: Supervisor
    api: str
    admin: str
    dagster: str


@contextmanager
def only_one(home: Path, name: str) -> Iterator[None]:
    """Raise SetupError when another process has the lock `name` of this home; the message has its process id."""
    make_home(home)
    with open_file(home / f"{name}.lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SetupError(f"trr {name} already runs for {home} (process {lock.read().strip() or '?'})") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


@contextmanager
def running_stack(settings: Settings, report: Callable[[str], None], stop: Stop) -> Iterator[Stack]:
    """Run all processes during the block; `report` gets a line for each. Raises SetupError when one does not start,
    and Stopped when a stop is requested meanwhile."""
    with private_umask(), only_one(settings.home, "up"), socket_folder(settings) as sockets:
        require_free_port(settings.api_port, "API", "TRR_API_PORT")
        require_free_port(settings.admin_port, "admin app", "TRR_ADMIN_PORT")
        require_free_port(settings.dagster_port, "Dagster UI", "TRR_DAGSTER_PORT")
        with open_archive(settings) as archive, archive.database_kept_alive():
            dagster_url(settings)
            report("database ready")
            started: list[Child] = []
            try:
                for child in _children(settings, sockets / "code-server.sock"):
                    stop.pause(0)
                    child.start()
                    started.append(child)
                for child in started:
                    child.wait_until_ready(stop)
                    report(f"{child.name} ready")
                api, admin, dagster = (
                    f"http://127.0.0.1:{port}"
                    for port in (settings.api_port, settings.admin_port, settings.dagster_port)
                )
                supervisor = Supervisor(started, report)
                with supervisor.alerts_in(archive.database):
                    yield Stack(supervisor, api, settings.admin_url or admin, dagster)
            finally:
                _stop(started)


def _stop(children: list[Child]) -> None:
    """Stop the daemon first, so that it launches no more runs; then the runs; then all others at once."""
    by_name = {child.name: child for child in children}
    if DAEMON in by_name:
        by_name[DAEMON].stop()
    if CODE_SERVER in by_name:
        by_name[CODE_SERVER].interrupt_runs()
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()


def _children(settings: Settings, socket: Path) -> list[Child]:
    logs, home = settings.home / "logs", dagster_home(settings)
    workspace = str(write_workspace(settings, socket))
    environment = {"DAGSTER_HOME": str(home), "TRR_HOME": str(settings.home), "PYTHONUNBUFFERED": "1"}
    api = f"http://127.0.0.1:{settings.api_port}"
    dagster = f"http://127.0.0.1:{settings.dagster_port}"
    return [
        Child(
            CODE_SERVER,
            "trr_pipelines.local.code_server",
            [
                *("--socket", str(socket)),
                *("--module-name", "trr_pipelines.definitions", "--location-name", CODE_LOCATION),
            ],
            logs / "code-server.log",
            accepts(socket),
            environment,
        ),
        Child(
            "API",
            "trr_pipelines.api",
            ["--host", "127.0.0.1", "--port", str(settings.api_port)],
            logs / "api.log",
            answers(f"{api}/readyz"),
            environment,
            settings.api_port,
        ),
        Child(
            "admin app",
            "trr_pipelines.admin",
            ["--host", "127.0.0.1"],
            logs / "admin.log",
            answers(f"http://127.0.0.1:{settings.admin_port}/healthz"),
            environment,
            settings.admin_port,
        ),
        Child(
            "Dagster UI",
            "trr_pipelines.dagster_ui",
            ["--host", "127.0.0.1", "--port", str(settings.dagster_port), "--workspace", workspace],
            logs / "dagster-ui.log",
            answers(f"{dagster}/server_info"),
            environment,
            settings.dagster_port,
        ),
        Child(
            DAEMON,
            "dagster._daemon",
            ["run", "-w", workspace],
            logs / "dagster-daemon.log",
            environment=environment,
        ),
    ]
