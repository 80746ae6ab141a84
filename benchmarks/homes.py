"""Temporary homes of benchmarks, with their embedded databases."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trr_pipelines.catalogue.embedded import embedded_postgres


@contextmanager
def thrown_away(home: Path) -> Iterator[None]:
    """Stop the home's database after the block, before its folder is deleted, after which it could not be stopped.

    SIGTERM ends the block, so that everything started in it is stopped.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        embedded_postgres(home).release()
        signal.signal(signal.SIGTERM, before)
