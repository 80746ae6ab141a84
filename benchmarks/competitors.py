"""Installs pinned versions of the compared libraries into .bench/ of the checkout.

None of them is a dependency of the product. A second call changes nothing.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCH = HERE.parent / ".bench"

_REQUIREMENTS = HERE / "requirements.txt"
_NODE_FILES = (HERE / "package.json", HERE / "package-lock.json")


def install_pyvips() -> Path:
    """The interpreter of a virtual environment with pyvips and its bundled libvips."""
    environment = BENCH / "python"
    python = environment / "bin" / "python"
    if _is_fresh(environment, (_REQUIREMENTS,)):
        return python
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(environment)], check=True)
    install = ["pip", "install", "--quiet", "--python", str(python), "--requirement", str(_REQUIREMENTS)]
    subprocess.run([*uv, *install], check=True)
    _mark_fresh(environment, (_REQUIREMENTS,))
    return python


def install_sharp() -> Path | None:
    """The folder with sharp in its node_modules; None if Node.js is missing."""
    if shutil.which("npm") is None:
        return None
    folder = BENCH / "node"
    if _is_fresh(folder, _NODE_FILES):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for file in _NODE_FILES:
        shutil.copyfile(file, folder / file.name)
    subprocess.run(
        ["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True, stderr=subprocess.DEVNULL
    )
    _mark_fresh(folder, _NODE_FILES)
    return folder


def _is_fresh(folder: Path, sources: tuple[Path, ...]) -> bool:
    stamp = folder / ".installed"
    return stamp.is_file() and stamp.read_text() == _digest(sources)


def _mark_fresh(folder: Path, sources: tuple[Path, ...]) -> None:
    (folder / ".installed").write_text(_digest(sources))


def _digest(sources: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"\0".join(source.read_bytes() for source in sources)).hexdigest()
