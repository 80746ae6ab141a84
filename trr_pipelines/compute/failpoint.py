"""Fault injection for tests of how a run handles a broken decoder.

`TRR_RENDER_FAILPOINT=action:name` makes the render process perform `action` on the photo `name`; one per line. Only
tests and benchmarks set it.
"""

from __future__ import annotations

import os
import signal
import time
from typing import BinaryIO


def trigger(name: str, replies: BinaryIO) -> None:
    """Perform the action set for the photo `name`, if any; `replies` is the pipe to the parent."""
    for point in os.environ.get("TRR_RENDER_FAILPOINT", "").splitlines():
        action, _, photo = point.partition(":")
        if photo == name:
            _ACTIONS[action](replies)


def _crash(_: BinaryIO) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _killed(_: BinaryIO) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _kill_parent(_: BinaryIO) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(3600)


def _sleep(_: BinaryIO) -> None:
    time.sleep(3600)


def _spin(_: BinaryIO) -> None:
    while True:
        pass


def _eat(_: BinaryIO) -> None:
    hoard = []
    while True:
        hoard.append(bytearray(50_000_000))


def _babble(_: BinaryIO) -> None:
    os.write(1, b"libtiff: warning, unknown field\n")
    os.write(2, b"libtiff: warning, unknown field\n")


def _flood(replies: BinaryIO) -> None:
    replies.write(b"\xff" * 12)
    _sleep(replies)


_ACTIONS = {
    "crash": _crash,
    "killed": _killed,
    "kill_parent": _kill_parent,
    "sleep": _sleep,
    "spin": _spin,
    "eat": _eat,
    "babble": _babble,
    "flood": _flood,
}
