"""Ensures that Debian's Chromium is available for the browser tests, and installs it if running as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

# Debian's two builds, the preferred one first: it draws no window, so a page takes 0.18 s of CPU instead of 0.63.
BROWSERS = ("chromium-headless-shell", "chromium")
INSTALL_COMMAND = f"apt-get install {BROWSERS[0]}"


def browser_path() -> str | None:
    """The path of the installed browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main() -> int:
    """Install the browser if possible. If it is missing: exit code 1 in CI; elsewhere, its tests are skipped."""
    if shutil.which(BROWSERS[0]):
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing Chromium for the browser tests …", flush=True)
        _apt_get("update")
        for browser in BROWSERS:
            if browser_path() is None or browser == BROWSERS[0]:
                _apt_get("install", "-y", browser)
    if browser_path():
        return 0
    print(f"Chromium not found: browser tests cannot run. Install it as root: {INSTALL_COMMAND}", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


def _apt_get(*arguments: str) -> None:
    """Run apt-get; the caller checks whether the browser is installed afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(main())
