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
from trr_pipelines.home import make_folder, make_home, open_file
from trr_pipelines.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
MAX_SOCKET_PATH = 107  # bytes, without the final zero: unix(7)
SOCKET_NAME = 40  # bytes of the longest name below the folder: multiprocessing's pymp-…/listener-…
CODE_LOCATION = "trr_pipelines"


def dagster_home(settings: Settings) -> Path:
    """The folder for `DAGSTER_HOME`, with a fresh copy of the project's `dagster.yaml` in it."""
    source = PROJECT / "dagster.yaml"
    if not source.is_file():
        raise SetupError(f"{source} is missing: run this from a checkout of the project")
    home = settings.home / "dagster"
    make_home(settings.home)
    make_folder(home)
    with open_file(home / "dagster.yaml", "wb") as copy:
        copy.write(source.read_bytes())
    return home


@contextmanager
def socket_folder(settings: Settings) -> Iterator[Path]:
    """An empty folder for Unix sockets that only this user reaches; deleted with what is left in it.

    It is in Dagster's home, or a new one where the path of a socket would be too long.
    """
    folder = dagster_home(settings) / "sockets"
    if len(os.fsencode(folder)) + SOCKET_NAME > MAX_SOCKET_PATH:
        with tempfile.TemporaryDirectory(prefix="trr-") as made:
            yield Path(made)
        return
    shutil.rmtree(folder, ignore_errors=True)  # of a stack that was killed
    make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_workspace(settings: Settings, socket: Path) -> Path:
    """A workspace file with the address of the stack's code server, so that Dagster does not start its own."""
    path = dagster_home(settings) / "workspace.yaml"
    with open_file(path, "w", encoding="utf-8") as file:
        file.write(
            "load_from:\n"
            "  - grpc_server:\n"
            f"      socket: {json.dumps(str(socket))}\n"
            f"      location_name: {CODE_LOCATION}\n"
        )
    return path
