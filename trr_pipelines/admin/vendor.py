"""`python -m trr_pipelines.admin.vendor`: htmx as its package has it, checked against the hash that is pinned here.

What it writes is committed, so nothing is fetched where the app is installed or runs.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = "2.0.11"
SHA512 = "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA=="
FOLDER = Path(__file__).parent / "static" / "vendor"
FILES = {"package/dist/htmx.min.js": "htmx.min.js", "package/LICENSE": "htmx.LICENSE"}


def main() -> None:
    """Pack the pinned version with npm, check it, and put its files where templates expect them."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"htmx.org@{VERSION}"], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = Path(folder) / packed.stdout.strip().splitlines()[-1]
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != SHA512:
            sys.exit(f"htmx.org {VERSION} has the hash {found}, {SHA512} was pinned")
        FOLDER.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive) as package:
            for member, name in FILES.items():
                content = package.extractfile(member)
                assert content is not None
                (FOLDER / name).write_bytes(content.read())


if __name__ == "__main__":
    main()
