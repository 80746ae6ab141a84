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
from collections.abc import Mapping
from pathlib import Path

VERSION = "2.0.11"
SHA512 = "Thx/WtpeOQqSrqBCw/A1cwGJGg4UrVa3+sW0GmrM3p4gJgO89ecH4qtbnyzDDWFvBTqjnIMCgELTNt636dtamA=="
FOLDER = Path(__file__).parent / "static" / "vendor"
FILES = {"package/dist/htmx.min.js": FOLDER / "htmx.min.js", "package/LICENSE": FOLDER / "htmx.LICENSE"}


def vendor(package: str, version: str, sha512: str, files: Mapping[str, Path]) -> None:
    """Pack `package` with npm, check its hash (base64), and put members of it where `files` says."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = Path(folder) / packed.stdout.strip().splitlines()[-1]
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != sha512:
            sys.exit(f"{package} {version} has the hash {found}, {sha512} was pinned")
        with tarfile.open(archive) as members:
            for member, target in files.items():
                content = members.extractfile(member)
                assert content is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


if __name__ == "__main__":
    vendor("htmx.org", VERSION, SHA512, FILES)
