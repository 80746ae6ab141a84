"""`python -m trr_pipelines.local.code_server ARG…`: Dagster's code server, with runs that start in 0.2 s.

Dagster starts each run in a new interpreter, which imports Dagster and this project for 3-5 s on two cores. Here a run
is forked from a process that has imported everything already. Dagster has no setting for that, so its request for a
`spawn` context returns the `forkserver` context. Dagster still monitors, ends and counts the runs;
those that were killed with an earlier code server are ended first. `dagster dev` works without this module.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.util
import runpy
import sys
import tempfile
from multiprocessing.context import BaseContext
from pathlib import Path

from dagster import DagsterInstance

from trr_pipelines.defs.run_workers import end_killed_runs

PRELOADED = ["trr_pipelines.definitions", "trr_pipelines.defs.storage", "dagster._grpc.impl"]


def main() -> None:
    """Run `dagster api grpc` with the given arguments."""
    _keep_sockets_in(Path(sys.argv[sys.argv.index("--socket") + 1]).parent)
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(PRELOADED)

    def get_context(method: str | None = None) -> BaseContext:
        return forking if method == "spawn" else original(method)

    original = multiprocessing.get_context
    multiprocessing.get_context = get_context  # type: ignore[assignment]

    _end_killed_runs()
    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


def _keep_sockets_in(folder: Path) -> None:
    """Have multiprocessing make the folder of its sockets here: when this process is killed, the stack deletes it."""
    tempfile.tempdir = str(folder)
    multiprocessing.util.get_temp_dir()  # remembered by multiprocessing
    tempfile.tempdir = None


def _end_killed_runs() -> None:
    """End the runs that ended with an earlier code server, so that they do not hold the queue."""
    try:
        with DagsterInstance.get() as instance:
            for run_id in end_killed_runs(instance, at_start=True):
                logging.warning("ended run %s: its process was killed", run_id)
    except Exception:  # Dagster's monitoring ends them later
        logging.exception("killed runs were not looked for")


if __name__ == "__main__":
    main()
