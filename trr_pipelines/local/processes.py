"""Child processes of the local stack: started in a session of their own, attached to us, stopped in order.

What the processes are is `stack`'s to say.
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

READY_SECONDS = 90
STOP_SECONDS = 15
RUN_STOP_SECONDS = 12


@dataclass
class Child:
    """A part of the stack: a Python module with arguments, its log, and how we know that it is ready."""

    name: str
    module: str
    arguments: Sequence[str]
    log: Path
    is_ready: Callable[[], bool] = lambda: True
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. It leaves our process group, so that Ctrl-C reaches us alone and we stop the parts in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            # libpq's own variable: the database says whose a session is, in pg_stat_activity and in its log.
            environment = {"PGAPPNAME": self.name, **self.environment}
            self.process = start_attached(self.module, self.arguments, environment, log)

    def wait_until_ready(self) -> None:
        """Raises SetupError, with the last line of its log, when it ends or is not ready in time."""
        deadline = time.monotonic() + READY_SECONDS
        while not self.is_ready():
            if self.has_ended():
                raise SetupError(f"{self.name} ended while starting: {last_line(self.log)}")
            if time.monotonic() > deadline:
                raise SetupError(f"{self.name} is not ready after {READY_SECONDS} s; see {self.log}")
            time.sleep(0.1)

    def has_ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()

    def interrupt_runs(self) -> None:
        """Ask the runs of this code server to end, and wait for that: a run gives its photos back within seconds."""
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
        """Ask it to end, wait, and insist after a while; what it started and did not end goes with it."""
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
        """Until nobody of its process group is left: who still dies may still hold the embedded database."""
        assert self.process is not None
        while time.monotonic() < deadline:
            self.process.poll()
            os.killpg(self.process.pid, 0)
            time.sleep(0.02)


def _forks_runs(process: psutil.Process) -> bool:
    """Whether this is the process that a code server forks its runs from."""
    try:
        return any("multiprocessing.forkserver" in part for part in process.cmdline())
    except psutil.Error:
        return False


def start_attached(
    module: str, arguments: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int | None
) -> subprocess.Popen[bytes]:
    """Start a module that ends when we do; `output` takes both of its streams. Call it from the main thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "trr_pipelines.local.die_with_parent", str(os.getpid()), module, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        start_new_session=True,
    )


def require_free_port(port: int, name: str, setting: str) -> None:
    """Raise SetupError, naming port and setting, when somebody listens there already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise SetupError(
                f"port {port} for the {name} is in use ({error.strerror}); give another in {setting}"
            ) from None


def free_port() -> int:
    """A loopback port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> Callable[[], bool]:
    """Whether a GET of `url` gives 200."""

    def is_ready() -> bool:
        try:
            return httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return is_ready


def accepts(port: int) -> Callable[[], bool]:
    """Whether something accepts connections on a loopback port."""

    def is_ready() -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    return is_ready


def last_line(log: Path) -> str:
    """The last line that says something; the log's path where there is none."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        lines = []
    return next((line for line in reversed(lines) if line), f"see {log}")[:300]
