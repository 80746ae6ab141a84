"""Which process did something, in a form that outlives it: to know later, from another process, whether it still runs.

A process id alone is not enough, since it is used again. Only Linux has what this reads (proc(5)).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class ProcessIdentity:
    """A process: its machine's name, the boot and PID namespace that its id belongs to, its id, and its start.

    `started` is in clock ticks since boot, which a change of the clock does not affect.
    """

    node: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def of_this_process(cls) -> ProcessIdentity:
        """The process that calls."""
        return cls(os.uname().nodename, *_place(), os.getpid(), start_ticks(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> ProcessIdentity | None:
        """The identity that `str` wrote; None for any other text."""
        parts = text.rsplit("/", 4)
        if len(parts) != 5 or not parts[3].isdecimal():
            return None
        return cls(parts[0], parts[1], parts[2], int(parts[3]), parts[4])

    def __str__(self) -> str:
        return f"{self.node}/{self.boot}/{self.namespace}/{self.pid}/{self.started}"

    def is_alive(self) -> bool | None:
        """Whether it still runs; None when that cannot be seen from here: another machine or container."""
        if self.node != os.uname().nodename:
            return None
        boot, namespace = _place()
        if self.boot != boot:
            return False  # the machine was restarted since
        if self.namespace != namespace:
            return None
        try:
            return start_ticks(self.pid) == self.started
        except ProcessLookupError:
            return False


def start_ticks(pid: int) -> str:
    """The start of a process in clock ticks since boot. Raises ProcessLookupError when it has ended, or is a zombie."""
    try:
        # The name of the program, in parentheses, may have spaces and parentheses itself.
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except FileNotFoundError:
        raise ProcessLookupError(pid) from None
    if state in ("Z", "X"):
        raise ProcessLookupError(pid)
    return fields[18]


@cache
def _place() -> tuple[str, str]:
    """The boot of this machine, and the PID namespace of this process."""
    return _BOOT_ID.read_text(encoding="ascii").strip(), str(_PID_NAMESPACE.readlink()).partition("[")[2].rstrip("]")
