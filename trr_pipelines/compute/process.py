"""The parent's side of one render process: start it, exchange messages under a deadline, end it.

Which process renders which photo, and what its death means for the photo, is decided in `pool`.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trr_pipelines.compute import protocol

START_SECONDS = 30.0
MAX_SECONDS = 600.0

# The environment of a render process; it has no secret.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR", "TZ", "TRR_RENDER_FAILPOINT")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# Keep up to 256 MB of memory from one photo to the next: otherwise glibc returns every image to the kernel, which then
# clears each page again, 7 % of all CPU. Other C libraries ignore these.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}

_PIPE_BYTES = 1 << 20
_MAX_STDERR_BYTES = 10_000


class ProcessDiedError(Exception):
    """The process ended before it replied; `returncode` as in `subprocess`."""

    def __init__(self, returncode: int, stderr_tail: str = "") -> None:
        super().__init__(f"ended with {returncode}" + (f": {stderr_tail}" if stderr_tail else ""))
        self.returncode = returncode


class ProcessTimeoutError(Exception):
    """The process did not reply in time."""


class _Deadline:
    """A deadline of `quiet_seconds` that is extended as long as the process has used CPU meanwhile.

    A busy machine must not make a photo fail: with 18 busy processes on 2 cores, good photos that need 2 s of CPU were
    killed after 45 s. A process that uses too much CPU is ended by its own timer.
    """

    def __init__(self, pid: int, quiet_seconds: float) -> None:
        self._statistics = Path(f"/proc/{pid}/stat")
        self._quiet_seconds = quiet_seconds
        self._last = time.monotonic() + MAX_SECONDS
        self._next = time.monotonic() + quiet_seconds
        self._ticks = self._cpu_ticks()

    def seconds_left(self) -> float:
        """Seconds to wait before the next check; 0 after the deadline."""
        now = time.monotonic()
        if now >= self._next and (ticks := self._cpu_ticks()) > self._ticks:
            self._ticks = ticks
            self._next = min(now + self._quiet_seconds, self._last)
        return max(0.0, self._next - now)

    def _cpu_ticks(self) -> int:
        fields = self._statistics.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class RenderProcess:
    """A running `trr_pipelines.compute.child`. Not thread-safe: one photo at a time."""

    def __init__(self, cpu_seconds: int) -> None:
        """Start the process, which may use `cpu_seconds` of CPU per photo, and wait until it is ready.

        The thread that calls this must live as long as the process: the kernel ends the process with that thread.

        Raises:
            ProcessDiedError, ProcessTimeoutError, OSError: it did not start.
        """
        package_root = Path(__file__).resolve().parents[2]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= _ONE_THREAD | _KEEP_MEMORY
        search_path = os.pathsep.join(filter(None, (str(package_root), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            # -P: the working directory may be any folder, and a numpy.py in it must not be imported.
            [sys.executable, "-P", "-m", "trr_pipelines.compute.child", str(os.getpid()), str(cpu_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # until it is ready; then it writes to /dev/null
            env={**environment, "PYTHONPATH": search_path},
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._to, self._from = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        os.set_blocking(self._from, False)
        try:
            self._receive(_Deadline(self.pid, START_SECONDS))
        except ProcessDiedError as death:
            stderr_tail = self._process.stderr.read(_MAX_STDERR_BYTES).decode(errors="replace").split("\n")
            self.kill()
            raise ProcessDiedError(death.returncode, "".join(stderr_tail[-2:])) from None
        except BaseException:
            self.kill()
            raise
        self._process.stderr.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exchange(self, pieces: Sequence[bytes], quiet_seconds: float) -> tuple[bytes, bytes]:
        """Send a message and wait for the head and body of the reply, as long as the process is working.

        Args:
            pieces: the message.
            quiet_seconds: how long the process may use no CPU.

        Raises:
            ProcessDiedError: the process ended.
            ProcessTimeoutError: there was no complete reply in time.
            protocol.ProtocolError: the reply is longer than allowed.
        """
        deadline = _Deadline(self.pid, quiet_seconds)
        self._send(pieces, deadline)
        return self._receive(deadline)

    def interrupt(self) -> None:
        """Kill the process without waiting; any thread may call it while another is in `exchange`."""
        self._process.kill()

    def kill(self) -> None:
        """Kill the process and free its resources."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _send(self, pieces: Sequence[bytes], deadline: _Deadline) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                self._wait(self._to, select.POLLOUT, deadline)
                try:
                    view = view[os.write(self._to, view[:_PIPE_BYTES]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise ProcessDiedError(self._process.wait()) from None

    def _receive(self, deadline: _Deadline) -> tuple[bytes, bytes]:
        head_bytes, body_bytes = protocol.lengths(self._read(protocol.LENGTHS.size, deadline))
        return self._read(head_bytes, deadline), self._read(body_bytes, deadline)

    def _read(self, count: int, deadline: _Deadline) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._wait(self._from, select.POLLIN, deadline)
            try:
                part = os.read(self._from, min(_PIPE_BYTES, count - len(parts)))
            except BlockingIOError:
                continue
            if not part:
                raise ProcessDiedError(self._process.wait())
            parts += part
        return bytes(parts)

    def _wait(self, descriptor: int, event: int, deadline: _Deadline) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while left := deadline.seconds_left():
            if poll.poll(left * 1000):
                return
        raise ProcessTimeoutError("no reply in time")
