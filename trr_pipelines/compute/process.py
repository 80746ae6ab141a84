"""One render process as its parent sees it: started, spoken to under a deadline, ended.

Which photo goes to which process, and what a death means for the photo, is `pool`'s.
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
LONGEST_SECONDS = 600.0

# What a render process needs of the environment: no secret of ours is among it.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR", "TZ", "TRR_RENDER_FAILPOINT")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

# Memory of one photo is kept for the next, up to 256 MB: otherwise glibc gives every picture back to the kernel, which
# then clears each page again, 7 % of all CPU. Other C libraries ignore these.
_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 30), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}

_PIPE_BYTES = 1 << 20
_MAX_LAST_WORDS = 10_000


class ProcessDiedError(Exception):
    """The process ended before it answered; `returncode` as in `subprocess`."""

    def __init__(self, returncode: int, last_words: str = "") -> None:
        super().__init__(f"ended with {returncode}" + (f": {last_words}" if last_words else ""))
        self.returncode = returncode


class ProcessTimeoutError(Exception):
    """The process did not answer in time."""


class _Patience:
    """How long to wait for a process: `quiet_seconds` at a time, again as long as it has used CPU meanwhile.

    A machine with other things to do must not make a photo fail: with 18 busy processes on 2 cores, good photos that
    need 2 s of CPU were killed after 45 s. What uses too much CPU is ended by a timer of its own.
    """

    def __init__(self, pid: int, quiet_seconds: float) -> None:
        self._statistics = Path(f"/proc/{pid}/stat")
        self._quiet_seconds = quiet_seconds
        self._last = time.monotonic() + LONGEST_SECONDS
        self._deadline = time.monotonic() + quiet_seconds
        self._ticks = self._cpu_ticks()

    def seconds_left(self) -> float:
        """Seconds to wait before asking again; 0 when patience has ended."""
        now = time.monotonic()
        if now >= self._deadline and (ticks := self._cpu_ticks()) > self._ticks:
            self._ticks = ticks
            self._deadline = min(now + self._quiet_seconds, self._last)
        return max(0.0, self._deadline - now)

    def _cpu_ticks(self) -> int:
        fields = self._statistics.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class RenderProcess:
    """A running `trr_pipelines.compute.child`. Not thread-safe: one photo at a time."""

    def __init__(self, cpu_seconds: int) -> None:
        """Starts the process, which may use `cpu_seconds` for each photo, and waits until it is ready.

        The thread that calls this must live as long as the process: the kernel ends the process with that thread.

        Raises:
            ProcessDiedError, ProcessTimeoutError, OSError: it did not start.
        """
        package_root = Path(__file__).resolve().parents[2]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= _ONE_THREAD | _KEEP_MEMORY
        search_path = os.pathsep.join(filter(None, (str(package_root), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            # -P: photos are rendered from any folder, and a file named numpy.py in it must not be imported.
            [sys.executable, "-P", "-m", "trr_pipelines.compute.child", str(os.getpid()), str(cpu_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,  # until it is ready: then it goes to /dev/null
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
            self._receive(_Patience(self.pid, START_SECONDS))
        except ProcessDiedError as death:
            last_words = self._process.stderr.read(_MAX_LAST_WORDS).decode(errors="replace").split("\n")
            self.kill()
            raise ProcessDiedError(death.returncode, "".join(last_words[-2:])) from None
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
        """Sends a message and waits for the answer, its head and its body, as long as the process is at work.

        Args:
            pieces: the message.
            quiet_seconds: how long the process may take without using any CPU.

        Raises:
            ProcessDiedError: the process ended.
            ProcessTimeoutError: there was no whole answer in time.
            protocol.ProtocolError: the answer is longer than allowed.
        """
        patience = _Patience(self.pid, quiet_seconds)
        self._send(pieces, patience)
        return self._receive(patience)

    def interrupt(self) -> None:
        """Kills the process without waiting; any thread may call it while another one is in `exchange`."""
        self._process.kill()

    def kill(self) -> None:
        """Kills the process and frees all that it held."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _send(self, pieces: Sequence[bytes], patience: _Patience) -> None:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                self._wait(self._to, select.POLLOUT, patience)
                try:
                    view = view[os.write(self._to, view[:_PIPE_BYTES]) :]
                except BlockingIOError:
                    continue
                except BrokenPipeError:
                    raise ProcessDiedError(self._process.wait()) from None

    def _receive(self, patience: _Patience) -> tuple[bytes, bytes]:
        head_bytes, body_bytes = protocol.lengths(self._read(protocol.LENGTHS.size, patience))
        return self._read(head_bytes, patience), self._read(body_bytes, patience)

    def _read(self, count: int, patience: _Patience) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            self._wait(self._from, select.POLLIN, patience)
            try:
                part = os.read(self._from, min(_PIPE_BYTES, count - len(parts)))
            except BlockingIOError:
                continue
            if not part:
                raise ProcessDiedError(self._process.wait())
            parts += part
        return bytes(parts)

    def _wait(self, descriptor: int, event: int, patience: _Patience) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while left := patience.seconds_left():
            if poll.poll(left * 1000):
                return
        raise ProcessTimeoutError("no answer in time")
