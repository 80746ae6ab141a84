"""A thread of the backend that notices when nobody in Dagster looks for alerts any more, and says so.

A dead daemon cannot report itself; the backend runs beside it wherever galleries are served. All else is the sensor's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trr_pipelines.pipeline.alerting.alerts import look_for_silence
from trr_pipelines.pipeline.alerting.messages import deliver
from trr_pipelines.pipeline.archive import Archive

LOOK_SECONDS = 30.0

_log = logging.getLogger("trr.alerts")


@contextmanager
def watching(archive: Archive, *, every: float = LOOK_SECONDS) -> Iterator[None]:
    """Look every so many seconds inside the block, first after that time, and tell the webhook what is due."""
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(archive, every, stop), name="alerts", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5)  # one that waits for a webhook ends with the process


def _watch(archive: Archive, every: float, stop: threading.Event) -> None:
    began = time.monotonic()
    while not stop.wait(every):
        try:
            for kind in look_for_silence(archive, up_seconds=time.monotonic() - began).raised:
                _log.warning("alert %s", kind)
            if problem := deliver(archive).problem:
                _log.warning("the webhook takes no alerts: %s; they are kept", problem)
        except Exception as error:  # noqa: BLE001  a database that is away must not end the watch
            _log.warning("could not look for alerts: %s", type(error).__name__)
