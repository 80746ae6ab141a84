"""DAGSTER_HOME of the local stack: instance configuration, compute logs and workspace file."""

from __future__ import annotations

from pathlib import Path

from trr_pipelines.errors import SetupError
from trr_pipelines.home import make_folder, make_home, open_file
from trr_pipelines.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
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


def write_workspace(settings: Settings, port: int) -> Path:
    """A workspace file with the address of the stack's code server, so that Dagster does not start its own."""
    path = dagster_home(settings) / "workspace.yaml"
    path.write_text(
        "load_from:\n"
        "  - grpc_server:\n"
        "      host: 127.0.0.1\n"
        f"      port: {port}\n"
        f"      location_name: {CODE_LOCATION}\n",
        encoding="utf-8",
    )
    return path
