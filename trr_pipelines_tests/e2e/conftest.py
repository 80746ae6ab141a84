"""The whole stack as started by `trr up`, and a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from trr_pipelines_tests.support import chromium
from trr_pipelines_tests.support.stacks import PATIENCE_SECONDS, RunningStack, new_stack, running

# Without these, Chromium contacts update servers; the tests must reach loopback only.
# Long, because other tests run on the same machine; a condition that becomes true ends the wait at once.
expect.set_options(timeout=PATIENCE_SECONDS * 1000)
QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]


@pytest.fixture(scope="module")
def stack(server_home: Path) -> Iterator[RunningStack]:
    """`trr up` on separate ports."""
    server_home.mkdir()
    with running(new_stack(server_home / ".trr"), server_home) as stack:
        yield stack


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
