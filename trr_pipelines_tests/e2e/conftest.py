"""The whole stack as started by `trr up`, and a real browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from trr_pipelines.local.processes import free_port
from trr_pipelines_tests.support import chromium

PATIENCE_SECONDS = 120
# Without these, Chromium contacts update servers; the tests must reach loopback only.
# Long, because other tests run on the same machine; a condition that becomes true ends the wait at once.
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


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


def wait_for(condition: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until `condition` holds; fail the test with `what` on a timeout."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds} s for {what}")
        time.sleep(0.3)


@pytest.fixture(scope="module")
def stack(server_home: Path) -> Iterator[RunningStack]:
    """`trr up` on separate ports, ended by SIGTERM; then all its processes must have ended."""
    server_home.mkdir()
    home = server_home / ".trr"
    api, dagster, admin = free_port(), free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("TRR_", "DAGSTER_"))},
        "TRR_HOME": str(home),
        "TRR_API_PORT": str(api),
        "TRR_DAGSTER_PORT": str(dagster),
        "TRR_ADMIN_PORT": str(admin),
    }
    log = home.parent / "up.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "up"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: process.poll() is not None or b"Ctrl-C stops" in log.read_bytes(), "the stack to be up")
        assert process.poll() is None, log.read_text()
        urls = [f"http://127.0.0.1:{port}" for port in (dagster, api, admin)]
        yield RunningStack(home, *urls, environment)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_SECONDS)
    assert process.returncode == 0, log.read_text()
    assert not _processes_of(home)


def _processes_of(home: Path) -> list[str]:
    """Command lines of processes that mention the stack's home or run with it."""
    commands = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            command = (folder / "cmdline").read_bytes()
        except OSError:  # ended meanwhile, or not readable
            continue
        if str(home).encode() in command or f"TRR_HOME={home}".encode() in environment:
            commands.append(command.replace(b"\0", b" ").decode(errors="replace"))
    return commands


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's headless Chromium, one for all tests of this worker: Playwright cannot start twice in one process."""
    executable = chromium.browser_path()
    if executable is None:
        assert not os.environ.get("CI"), "CI must have a browser"
        pytest.skip(f"Chromium not found; install it as root: {chromium.INSTALL_COMMAND}")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=executable, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new page; script errors are not checked, since Dagster has its own."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield context.new_page()
    context.close()
