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

# What a render process needs of the environment: no secret of ours is among it.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONHOME", "TMPDIR", "TZ", "TRR_RENDER_FAILPOINT")
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

_PIPE_BYTES = 1 << 20
_MAX_LAST_WORDS = 10_000


class ProcessDiedError(Exception):
    """The process ended before it answered; `returncode` as in `subprocess`."""

    def __init__(self, returncode: int, last_words: str = "") -> None:
        super().__init__(f"ended with {returncode}" + (f": {last_words}" if last_words else ""))
        self.returncode = returncode


class ProcessTimeoutError(Exception):
    """The process did not answer in time."""


class RenderProcess:
    """A running `trr_pipelines.compute.child`. Not thread-safe: one photo at a time."""

    def __init__(self, cpu_seconds: int) -> None:
        """Starts the process, which may use `cpu_seconds` for each photo, and waits until it is ready.

        The thread that calls this must live as long as the process: the kernel ends the process with that thread.

        Raises:
            ProcessDiedError, ProcessTimeoutError, OSError: it did not start.
        """
        package_root = Path(__file__).resolve().parents[2]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | _ONE_THREAD
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
            self._receive(time.monotonic() + START_SECONDS)
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

    def exchange(self, pieces: Sequence[bytes], seconds: float) -> tuple[bytes, bytes]:
        """Sends a message and waits at most `seconds` for the answer: its head and its body.

        Raises:
            ProcessDiedError: the process ended.
            ProcessTimeoutError: there was no whole answer in time.
            protocol.ProtocolError: the answer is longer than allowed.
        """
        deadline = time.monotonic() + seconds
        self._send(pieces, deadline)
        return self._receive(deadline)

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

    def _send(self, pieces: Sequence[bytes], deadline: float) -> None:
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

    def _receive(self, deadline: float) -> tuple[bytes, bytes]:
        head_bytes, body_bytes = protocol.lengths(self._read(protocol.LENGTHS.size, deadline))
        return self._read(head_bytes, deadline), self._read(body_bytes, deadline)

    def _read(self, count: int, deadline: float) -> bytes:
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

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise ProcessTimeoutError("no answer in time")
