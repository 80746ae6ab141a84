"""Bounding the log files of child processes, which write to them for as long as they run."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from trr_pipelines.home import FILE

MAX_BYTES = 10_000_000
KEPT = 3  # earlier parts: `api.log.1` is the newest


def bound_log(log: Path) -> None:
    """Move what a log above MAX_BYTES has to `.1`, the earlier parts one further, and empty it.

    The process goes on writing to its open file, which must be in append mode; a line that it writes in between is
    lost. An earlier part that is not ours to replace, or a full disk, leaves the log as it is.
    """
    with suppress(OSError):
        if log.stat().st_size <= MAX_BYTES:
            return
        for number in range(KEPT, 1, -1):
            with suppress(FileNotFoundError):
                _part(log, number - 1).replace(_part(log, number))
        descriptor = os.open(_part(log, 1), os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE)
        with log.open("rb") as source, os.fdopen(descriptor, "wb") as target:
            shutil.copyfileobj(source, target)
        os.truncate(log, 0)


def _part(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
