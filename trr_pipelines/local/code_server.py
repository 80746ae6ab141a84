"""`python -m trr_pipelines.local.code_server ARG…`: Dagster's code server, whose runs start in a moment.

Dagster starts each run by spawning a new interpreter, which imports Dagster and this project for 3-5 s on two cores
before it does anything. Here a run is forked off a process that has imported everything already: 0.4 s. Dagster has
no setting for that, so the one word with which it asks for its way of starting processes is answered with another.
Everything else, how runs are watched, ended and counted, stays Dagster's. `dagster dev` works without this.
"""

from __future__ import annotations

import multiprocessing
import runpy
import sys
from multiprocessing.context import BaseContext

PRELOADED = ["trr_pipelines.definitions", "trr_pipelines.defs.storage", "dagster._grpc.impl"]


def main() -> None:
    """Become `dagster api grpc` with the arguments given."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload(PRELOADED)

    def get_context(method: str | None = None) -> BaseContext:
        return forking if method == "spawn" else original(method)

    original = multiprocessing.get_context
    multiprocessing.get_context = get_context  # type: ignore[assignment]

    sys.argv = ["dagster", "api", "grpc", *sys.argv[1:]]
    runpy.run_module("dagster", run_name="__main__")


if __name__ == "__main__":
    main()
