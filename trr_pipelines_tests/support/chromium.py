"""Debian's Chromium for the browser tests; `programs` installs it."""

from __future__ import annotations

import shutil

# Debian's two builds, the preferred one first: it draws no window, so a page takes 0.18 s of CPU instead of 0.63.
BROWSERS = ("chromium-headless-shell", "chromium")
INSTALL_COMMAND = f"apt-get install {BROWSERS[0]}"


def browser_path() -> str | None:
    """The path of the installed browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)
