"""Makes sure that the browser tests have their browser: Debian's Chromium, installed where we may."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

BROWSER = "chromium"
HOW = f"apt-get install {BROWSER}"


def main() -> int:
    """Exit code 1 in CI without a browser; elsewhere the tests that need it are skipped, and a line says how."""
    if shutil.which(BROWSER):
        return 0
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing Chromium for the browser tests …", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", BROWSER]):
            subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    if shutil.which(BROWSER):
        return 0
    print(f"no {BROWSER} here: browser tests cannot run. As root: {HOW}", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


if __name__ == "__main__":
    sys.exit(main())
