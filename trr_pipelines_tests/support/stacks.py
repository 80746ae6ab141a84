"""`trr up` as a user starts it: in a terminal or without one, on separate ports, and what is left of it afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from trr_pipelines_tests.support.ports import free_port

PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class RunningStack:
    """A stack for the tests: its URLs, and the environment of commands."""

    home: Path
    dagster: str
    api: str
    admin: str
    environment: dict[str, str]

    def trr(self, *arguments: str) -> str:
        """Run a command against the stack and return its output."""
        command = [sys.executable, "-m", "trr_pipelines", *arguments]
        return subprocess.run(command, env=self.environment, check=True, capture_output=True, text=True).stdout

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data of a GraphQL request to Dagster."""
        request = {"query": query, "variables": variables}
        response = httpx.post(f"{self.dagster}/graphql", json=request, timeout=60)
        return dict(response.json()["data"])

    def runs(self, *statuses: str) -> list[dict[str, Any]]:
        """The runs with one of these statuses, the newest first."""
        query = (
            "query($f: RunsFilter) { runsOrError(filter: $f, limit: 50)"
            " { ... on Runs { results { runId status jobName } } } }"
        )
        found: list[dict[str, Any]] = self.graphql(query, f={"statuses": list(statuses)})["runsOrError"]["results"]
        return found

    def processes(self) -> list[str]:
        """Command lines of processes that mention the stack's home or run with it."""
        commands = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = (folder / "environ").read_bytes()
                command = (folder / "cmdline").read_bytes()
            except OSError:  # ended meanwhile, or not readable
                continue
            if str(self.home).encode() in command or f"TRR_HOME={self.home}".encode() in environment:
                commands.append(command.replace(b"\0", b" ").decode(errors="replace"))
        return commands


def new_stack(home: Path) -> RunningStack:
    """URLs and environment of a stack that is not started yet."""
    api, dagster, admin = free_port(), free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TRR_", "DAGSTER_"))},
        "TRR_HOME": str(home),
        "TRR_API_PORT": str(api),
        "TRR_DAGSTER_PORT": str(dagster),
        "TRR_ADMIN_PORT": str(admin),
    }
    return RunningStack(home, *(f"http://127.0.0.1:{port}" for port in (dagster, api, admin)), environment)


def wait_for(condition: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `condition` holds; fail the test with `what` on a timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.3)


class Terminal:
    """`trr up` in a pseudo-terminal of its own; `output` is what it has shown."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self.output = ""
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "up"],
            env=stack.environment,
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)

    def wait_until_up(self) -> None:
        """Wait for the last line of the start."""
        wait_for(lambda: self.has_ended() or "Ctrl-C stops" in self.read(), "the stack to be up")
        assert not self.has_ended(), self.output

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def read(self) -> str:
        """All output until now."""
        with suppress(OSError):  # EIO: its other end is closed
            while select.select([self._master], [], [], 0)[0]:
                data = os.read(self._master, 65536)
                if not data:
                    break
                self.output += data.decode(errors="replace")
        return self.output

    def press_ctrl_c(self) -> None:
        """Type Ctrl-C, which reaches the foreground process group."""
        os.write(self._master, b"\x03")

    def close(self) -> None:
        """Close the window: the kernel sends SIGHUP."""
        self.read()
        os.close(self._master)

    def wait_for_end(self) -> int:
        """Its exit code."""
        wait_for(lambda: self.read() is not None and self.has_ended(), "trr up to end")
        return int(self.process.returncode)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGHUP):  # a test runner in the background has them ignored
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def running(stack: RunningStack, folder: Path) -> Iterator[RunningStack]:
    """Run `trr up` without a terminal, end it by SIGTERM; then all its processes must have ended."""
    log = folder / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "up"],
            env=stack.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: process.poll() is not None or b"Ctrl-C stops" in log.read_bytes(), "the stack to be up")
        assert process.poll() is None, log.read_text()
        yield stack
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
    assert process.returncode == 0, log.read_text()
    assert not stack.processes()
