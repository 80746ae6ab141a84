"""DAGSTER_HOME of the local stack: instance configuration, compute logs and workspace file."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
MAX_SOCKET_PATH = 107  # bytes, without the final zero: unix(7)
CODE_LOCATION = "trr_pipelines"


def dagster_home(settings: Settings) -> Path:
    """The folder for `DAGSTER_HOME`, with a fresh copy of the project's `dagster.yaml` in it."""
    source = PROJECT / "dagster.yaml"
    if not source.is_file():
        raise SetupError(f"{source} is missing: run this from a checkout of the project")
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, home / "dagster.yaml")
    return home


@contextmanager
def private_socket(settings: Settings, name: str) -> Iterator[Path]:
    """A path for a Unix socket that only this user reaches: in Dagster's home, or in a new folder if that is too long."""
    path = dagster_home(settings) / f"{name}.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        path.parent.chmod(0o700)
        path.unlink(missing_ok=True)
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="trr-") as folder:
        yield Path(folder) / path.name


def write_workspace(settings: Settings, socket: Path) -> Path:
    """A workspace file with the address of the stack's code server, so that Dagster does not start its own."""
    path = dagster_home(settings) / "workspace.yaml"
    path.write_text(
        "load_from:\n"
        "  - grpc_server:\n"
        f"      socket: {json.dumps(str(socket))}\n"
        f"      location_name: {CODE_LOCATION}\n",
        encoding="utf-8",
    )
    return path
