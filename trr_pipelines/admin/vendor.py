"""`python -m trr_pipelines.admin.vendor`: copy htmx out of its npm package, checked against the hash pinned here.

The files are committed, so neither installing nor running the app downloads anything.
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
    """Download `package` with npm, check its hash (base64), and copy members of it to the paths in `files`."""
    with tempfile.TemporaryDirectory() as folder:
        packed = subprocess.run(
            ["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, capture_output=True, text=True
        )
        archive = Path(folder) / packed.stdout.strip().splitlines()[-1]
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if digest != sha512:
            sys.exit(f"{package} {version} has the hash {digest}, pinned is {sha512}")
        with tarfile.open(archive) as members:
            for member, target in files.items():
                content = members.extractfile(member)
                assert content is not None
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())


if __name__ == "__main__":
    vendor("htmx.org", VERSION, SHA512, FILES)
