"""The server process of a data directory, told from every other by what the kernel says of it.

`postmaster.pid` alone proves nothing: it is copied with the folder, and outlives its process, whose id another gets.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Final

import psutil

from trr_pipelines.catalogue.postgres_programs import HERE

_START_TOLERANCE: Final = 5.0  # seconds between the start of the process and the time that it writes down


def postmaster_lines(data: Path) -> list[str]:
    """The lines of `postmaster.pid`: pid, data directory, start time, port, socket folder, …, status."""
    try:
        text = (data / "postmaster.pid").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    return [line.strip() for line in text.splitlines()]


def find_postmaster(data: Path) -> psutil.Process | None:
    """The main process of the server of this data directory, ready or not; None when none of ours is alive.

    It is ours when it is a PostgreSQL of the directory's owner that works in this very directory (the same inode, so
    not in a copy), was started on it, and at the time that it wrote down.
    """
    lines = postmaster_lines(data)
    try:
        process = psutil.Process(int(lines[0]))
        with process.oneshot():
            # A killed server stays a zombie until the container's init process reaps it, if it ever does.
            is_alive = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            is_ours = (
                is_alive
                and process.uids().effective == data.stat().st_uid
                and _works_in(process, data)
                and _was_started_then(process, float(lines[2]), data, lines[3])
            )
    except (IndexError, ValueError, OSError, psutil.Error):
        return None
    return process if is_ours else None


def _works_in(process: psutil.Process, data: Path) -> bool:
    folder = Path(f"/proc/{process.pid}/cwd")
    arguments = process.cmdline()
    given = Path(arguments[arguments.index("-D") + 1])
    # Relative to the process: for us `HERE` is our own folder.
    started_on = folder if given == Path(HERE) else folder / given
    return folder.samefile(data) and started_on.samefile(data)


def _was_started_then(process: psutil.Process, written: float, data: Path, port: str) -> bool:
    """Whether the process was started when its file says, or, as the clock may have been set since, has our socket."""
    if abs(process.create_time() - written) <= _START_TOLERANCE:
        return True
    return _listener(data, port) == process.pid


def _listener(data: Path, port: str) -> int | None:
    """The process that listens on the socket in the data directory, by the kernel."""
    folder = os.open(data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            client.connect(f"/proc/self/fd/{folder}/.s.PGSQL.{port}")
            pid: int = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            return pid
    except OSError:
        return None
    finally:
        os.close(folder)
