"""Restarting processes that end: at once, and after a pause when one keeps ending, which is an alert meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psycopg

from trr_pipelines.catalogue.database import Database
from trr_pipelines.errors import TrrError
from trr_pipelines.local.log_files import bound_log
from trr_pipelines.local.processes import Child, last_line
from trr_pipelines.local.stopping import Stop
from trr_pipelines.pipeline.alerting.alerts import FailingProcess, report_processes

WATCH_SECONDS = 0.5
ALERT_SECONDS = 10
# A process that ran for so long has started well.
STEADY_SECONDS = 60
# Restarts without a pause; after that the pause doubles from 2 s each time.
QUICK_RESTARTS = 3
MAX_PAUSE_SECONDS = 30


@dataclass
class _Watched:
    child: Child
    started: float
    quick_ends: int = 0
    due: float | None = None

    @property
    def is_failing(self) -> bool:
        is_steady = self.due is None and time.monotonic() - self.started > STEADY_SECONDS
        return self.quick_ends > QUICK_RESTARTS and not is_steady


class Supervisor:
    """Watches started processes; one that keeps ending never ends the others."""

    def __init__(self, children: Sequence[Child], report: Callable[[str], None]) -> None:
        self._watched = [_Watched(child, time.monotonic()) for child in children]
        self._report = report

    def watch(self, stop: Stop) -> None:
        """Restart processes that end, and bound their logs; in the main thread. Raises Stopped."""
        while True:
            stop.pause(WATCH_SECONDS)
            for watched in self._watched:
                bound_log(watched.child.log)
                if watched.child.has_ended():
                    self._restart(watched)

    def failing(self) -> list[FailingProcess]:
        """The processes that keep ending, with the last line of their logs."""
        return [
            FailingProcess(one.child.name, one.quick_ends, last_line(one.child.log))
            for one in self._watched
            if one.is_failing
        ]

    @contextmanager
    def alerts_in(self, database: Database) -> Iterator[None]:
        """Keep the alert about failing processes up to date during the block."""
        ended = threading.Event()

        def keep() -> None:
            while not ended.wait(ALERT_SECONDS):
                with suppress(TrrError, psycopg.Error):  # the next look reports it
                    report_processes(database, self.failing())

        thread = threading.Thread(target=keep, name="alerts of processes", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(1)

    def _restart(self, watched: _Watched) -> None:
        now = time.monotonic()
        if watched.due is None:
            is_quick = now - watched.started < STEADY_SECONDS
            watched.quick_ends = watched.quick_ends + 1 if is_quick else 1
            over = watched.quick_ends - QUICK_RESTARTS
            pause = min(MAX_PAUSE_SECONDS, 2**over) if over > 0 else 0
            watched.due = now + pause
            when = f"starting it again in {pause} s: {last_line(watched.child.log)}" if pause else "starting it again"
            self._report(f"{watched.child.name} ended; {when}")
        if now >= watched.due:
            watched.due, watched.started = None, now
            watched.child.start()
