"""A thread of the backend that raises an alert when Dagster's alert sensor stops running.

A dead daemon cannot report itself, and the backend runs wherever galleries are served. All other alerts are evaluated
by the sensor.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trr_pipelines.pipeline.alerting.alerts import detect_silence
from trr_pipelines.pipeline.alerting.messages import deliver
from trr_pipelines.pipeline.archive import Archive

INTERVAL_SECONDS = 30.0

_log = logging.getLogger("trr.alerts")


@contextmanager
def watching(archive: Archive, *, every: float = INTERVAL_SECONDS) -> Iterator[None]:
    """Check every `every` seconds inside the block, first after that time, and deliver due alerts to the webhook."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(archive, every, stop), name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)  # a thread that waits for a webhook ends with the process


def _watch(archive: Archive, every: float, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(every):
        try:
            for kind in detect_silence(archive, up_seconds=time.monotonic() - started).raised:
                _log.warning("alert %s", kind)
            if problem := deliver(archive).problem:
                _log.warning("alerts were not delivered to the webhook: %s; delivery is retried", problem)
        except Exception as error:  # noqa: BLE001  an unreachable database must not end the thread
            _log.warning("alerts could not be checked: %s", type(error).__name__)
