"""Child processes of the local stack: each in its own session, ended with this process, stopped in order.

`stack` defines the processes.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import psutil

from trr_pipelines.errors import SetupError
from trr_pipelines.local.stopping import Stop

READY_SECONDS = 90
STOP_SECONDS = 15
RUN_STOP_SECONDS = 12


@dataclass
class Child:
    """A process of the stack: a Python module with arguments, its log file, and its readiness check."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    is_ready: Callable[[], bool] = lambda: True
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    """The loopback port that it serves, if any: it is ready only when the port is its own, not another process's."""
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in its own process group: Ctrl-C reaches only this one, which stops all in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # libpq's variable: names the session in pg_stat_activity and in the log of the database.
            environment = {"PGAPPNAME": self.name, **self.environment}
            self.process = start_attached(self.module, self.arguments, environment, log)

    def wait_until_ready(self, stop: Stop) -> None:
        """Wait, and raise SetupError, with the last line of the log, when the process ends or is not ready in time."""
        deadline = time.monotonic() + READY_SECONDS
        while not (self._serves_its_port() and self.is_ready()):
            if self.has_ended():
                raise SetupError(f"{self.name} ended while starting: {last_line(self.log)}")
            if time.monotonic() > deadline:
                raise SetupError(f"{self.name} is not ready after {READY_SECONDS} s; see {self.log}")
            stop.pause(0.1)

    def _serves_its_port(self) -> bool:
        if self.port is None or self.process is None:
            return True
        try:
            connections = psutil.Process(self.process.pid).net_connections("tcp")
        except psutil.Error:
            return False
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == self.port for one in connections)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()

    def interrupt_runs(self) -> None:
        """Terminate the runs of this code server and wait for them: a run releases its leases within seconds."""
        if self.process is None or self.has_ended():
            return
        with suppress(psutil.NoSuchProcess):
            servers = [child for child in psutil.Process(self.process.pid).children() if _forks_runs(child)]
            runs = [run for server in servers for run in server.children()]
            for run in runs:
                with suppress(psutil.NoSuchProcess):
                    run.terminate()
            psutil.wait_procs(runs, RUN_STOP_SECONDS)

    def stop(self) -> None:
        """Terminate the process, wait, then kill its process group."""
        if self.process is None:
            return
        self.ask_to_stop()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
            self._wait_for_group(time.monotonic() + STOP_SECONDS)
        self.process.wait()

    def _wait_for_group(self, deadline: float) -> None:
        """Wait until its process group is empty: a process that is still ending may use the embedded database."""
        assert self.process is not None
        while time.monotonic() < deadline:
            self.process.poll()
            os.killpg(self.process.pid, 0)
            time.sleep(0.02)


def _forks_runs(process: psutil.Process) -> bool:
    """Whether this is the fork server of a code server."""
    try:
        return any("multiprocessing.forkserver" in part for part in process.cmdline())
    except psutil.Error:
        return False


def start_attached(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int | None
) -> subprocess.Popen[bytes]:
    """Start a module that ends with this process; stdout and stderr go to `output`. Call it from the main thread."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "trr_pipelines.local.die_with_parent", str(os.getpid()), module, *arguments],
        # No process of ours, whatever it starts, imports Python files from the folder that it was started in.
        env={**os.environ, "PYTHONSAFEPATH": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
    )


def require_free_port(port: int, name: str, setting: str) -> None:
    """Raise SetupError, naming port and setting, when the port is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"port {port} for the {name} is in use ({error.strerror}); give another in {setting}"
            ) from None


def answers(url: str) -> Callable[[], bool]:
    """A check that a GET of `url` returns 200."""

    def is_ready() -> bool:
        try:
            return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return is_ready


def accepts(path: Path) -> Callable[[], bool]:
    """A check that a Unix socket accepts connections."""

    def is_ready() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            return probe.connect_ex(str(path)) == 0

    return is_ready


def last_line(log: Path) -> str:
    """The last line that is not empty; the path of the log if there is none."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line), f"see {log}")[:300]
