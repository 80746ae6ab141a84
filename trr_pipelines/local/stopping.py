"""Stopping in order: the first SIGINT, SIGTERM or SIGHUP asks for it, later ones change nothing.

The handler only records the request, so that it never interrupts the start of a process or the stop itself; loops look
for it between two steps.
"""

from __future__ import annotations

import signal
from threading import Event


class Stopped(Exception):  # noqa: N818  a request, not an error
    """A stop was requested."""


class Stop:
    """Whether a stop was requested."""

    def __init__(self) -> None:
        self._requested = Event()

    def request(self) -> None:
        """Request it."""
        self._requested.set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped as soon as a stop is requested."""
        if self._requested.wait(seconds):
            raise Stopped


def stopping_signals() -> list[signal.Signals]:
    """The signals that ask a command to stop: without SIGHUP where it is ignored, as under `nohup`."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_ignored else [signal.SIGHUP])]


def requested_by_signals() -> Stop:
    """A stop that these signals request from now on, also where the shell started us with Ctrl-C ignored."""
    stop = Stop()
    for number in stopping_signals():
        signal.signal(number, lambda _number, _frame: stop.request())
    return stop
