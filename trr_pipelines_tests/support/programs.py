"""Ensures that the programs of the system that tests use are there, and installs them if running as root.

Without the browser its tests are skipped, and in CI nothing runs; without the others their tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from trr_pipelines_tests.support.chromium import BROWSERS, INSTALL_COMMAND, browser_path
from trr_pipelines_tests.support.postgres_15 import PACKAGES, missing_packages

# Debian starts a service after its installation unless this program forbids it.
_POLICY = Path("/usr/sbin/policy-rc.d")


def main() -> int:
    """Install what is missing if possible. Without a browser: exit code 1 in CI."""
    wanted = [*([] if shutil.which(BROWSERS[0]) else BROWSERS), *missing_packages()]
    if wanted and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing {', '.join(wanted)} for the tests …", flush=True)
        with _no_services():
            _apt_get("update")
            for package in wanted:
                if package != BROWSERS[1] or browser_path() is None:
                    _apt_get("install", "-y", package)
    if missing := missing_packages():
        print(f"not installed: {', '.join(missing)}; their tests are skipped. As root: apt-get install {PACKAGES}")
    if browser_path():
        return 0
    print(f"Chromium not found: browser tests cannot run. Install it as root: {INSTALL_COMMAND}", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Packages that are installed in the block start no service."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text("#!/bin/sh\nexit 101\n")
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()


def _apt_get(*arguments: str) -> None:
    """Run apt-get; the caller checks whether the program is there afterwards."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "-qq", *arguments], env=environment, stdout=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    sys.exit(main())
