"""Chromium for benchmarks of pages: signed in to the app of a running `trr up`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from trr_pipelines.admin.development import sign_in_link
from trr_pipelines.settings import Settings


@contextmanager
def signed_in_browser(settings: Settings) -> Iterator[tuple[Browser, dict[str, Any]]]:
    """A browser and its session cookies."""
    link, executable = sign_in_link(settings), shutil.which("chromium")
    if link is None or executable is None:
        sys.exit("needs the embedded default (a development sign-in) and chromium")
    with sync_playwright() as playwright:
        # A page that a benchmark modified has no address space, so it could not load anything from loopback.
        loopback = "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", loopback]
        browser = playwright.chromium.launch(executable_path=executable, args=quiet)
        context = browser.new_context()
        page = context.new_page()
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/admin/trr-shows")
        state: dict[str, Any] = dict(context.storage_state())
        context.close()
        yield browser, state
        browser.close()
