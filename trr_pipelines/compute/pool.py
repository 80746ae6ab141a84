"""A fixed number of render processes, shared by threads; the death of one does not affect the others.

What a death means for the photo being rendered is decided here; rendering is in `imaging`.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from trr_pipelines.compute import protocol
from trr_pipelines.compute.process import ProcessDiedError, ProcessTimeoutError, RenderProcess
from trr_pipelines.errors import MediaError, PermanentError, Reason, RetryableError, TrrError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.imaging.render import Rendered, RenderRequest

CPU_SECONDS = 10

# A process that uses no CPU for this long counts as hung.
QUIET_SECONDS = 30.0

# A process that keeps more memory than this after a photo is replaced, which takes 0.3 s and is rare.
MAX_IDLE_BYTES = 400_000_000


class PoolClosedError(TrrError):
    """The pool was closed before or while a photo was rendered, so there is no result for it."""


class RenderPool:
    """Renders photos in child processes with limits of time and memory; use it in a `with` statement.

    Processes start when they are first needed, and end with the pool or the run, even if the run is killed.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        cpu_seconds: int = CPU_SECONDS,
        quiet_seconds: float = QUIET_SECONDS,
        niceness: int = 0,
    ) -> None:
        """
        Args:
            workers: the number of processes, and so of photos at a time; one per CPU by default.
            cpu_seconds: CPU time of one photo after which its process is killed.
            quiet_seconds: time without CPU use after which a process is killed.
            niceness: the nice value of its processes, from 0 to 19.
        """
        self.workers = workers or len(os.sched_getaffinity(0))
        self._cpu_seconds = cpu_seconds
        self._quiet_seconds = quiet_seconds
        # Last in, first out: a running process is reused before another is started.
        self._slots: queue.LifoQueue[RenderProcess | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._slots.put(None)
        self._lock = threading.Lock()
        self._alive: set[RenderProcess] = set()
        self._is_closed = False
        # A process dies with the thread that starts it, so one thread as old as the pool starts them all.
        self._starter = ThreadPoolExecutor(1, "render-pool", initializer=_prepare_starter, initargs=(niceness,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
        """Render one photo in the next free process; blocks until then. Any thread may call it.

        Args:
            data: the whole file.
            request: the variants to make.
            name: the photo's name for messages.

        Raises:
            PermanentError: as `imaging.render`, and `decode_timeout` (10 s of CPU), `decode_oom` (1.4 GB) or
                `decode_crash`, after which the process is replaced.
            RetryableError: the process was killed from outside, did not start, or got no CPU in time.
            PoolClosedError: the pool was closed meanwhile.
        """
        if len(data) > MAX_BYTES:  # before it is copied into a process
            raise PermanentError(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, the limit is {MAX_BYTES:,}")
        slot = self._slots.get()
        try:
            if self._is_closed:
                raise PoolClosedError("the render pool is closed")
            if slot is not None and not slot.is_alive():  # killed from outside while idle
                self._discard(slot)
                slot = None
            slot = slot or self._start()
            process, slot = slot, None
            rendered, slot = self._exchange(process, data, request, name)
        finally:
            self._slots.put(slot)
        if isinstance(rendered, MediaError):
            raise rendered
        return rendered

    def processes(self) -> list[int]:
        """The ids of the running processes, to monitor their memory."""
        with self._lock:
            return [process.pid for process in self._alive]

    def close(self) -> None:
        """End every process, including busy ones, whose `render` raises `PoolClosedError`."""
        with self._lock:
            self._is_closed = True
            for process in self._alive:
                process.interrupt()
        for slot in [self._slots.get() for _ in range(self.workers)]:
            if slot is not None:
                self._discard(slot)
        for _ in range(self.workers):
            self._slots.put(None)  # wakes threads that still wait: they find the pool closed
        self._starter.shutdown()

    def _start(self) -> RenderProcess:
        try:
            process = self._starter.submit(RenderProcess, self._cpu_seconds).result()
        except (OSError, ProcessDiedError, ProcessTimeoutError, protocol.ProtocolError) as error:
            raise RetryableError(
                Reason.INTERNAL, f"the render process did not start: {error or type(error).__name__}"
            ) from error
        with self._lock:
            if not self._is_closed:
                self._alive.add(process)
                return process
        process.kill()
        raise PoolClosedError("the render pool is closed")

    def _exchange(
        self, process: RenderProcess, data: bytes, request: RenderRequest, name: str
    ) -> tuple[Rendered | MediaError, RenderProcess | None]:
        """The result, and the process if it can be reused; otherwise it has ended."""
        message = protocol.frame(protocol.request_head(request, name), data)
        result: Rendered | MediaError
        keep = False
        try:
            result, resident_bytes = protocol.parse_reply(*process.exchange(message, self._quiet_seconds))
            keep = resident_bytes <= MAX_IDLE_BYTES and not _is_out_of_memory(result)
        except ProcessDiedError as death:
            if self._is_closed:
                raise PoolClosedError("the render pool was closed while it rendered") from death
            result = self._error_for_death(death.returncode)
        except ProcessTimeoutError:
            result = RetryableError(Reason.DECODE_TIMEOUT, f"no answer and no work for {self._quiet_seconds:g} s")
        except protocol.ProtocolError as error:
            result = PermanentError(Reason.DECODE_CRASH, f"the render process sent {error}")
        finally:
            if not keep:
                self._discard(process)
        return result, process if keep else None

    def _error_for_death(self, returncode: int) -> MediaError:
        if returncode == -signal.SIGPROF:
            return PermanentError(Reason.DECODE_TIMEOUT, f"decoding took more than {self._cpu_seconds} s of CPU")
        if returncode == -signal.SIGKILL:
            return RetryableError(Reason.DECODE_CRASH, "the render process was killed from outside")
        if returncode < 0:
            return PermanentError(Reason.DECODE_CRASH, f"the decoder crashed ({signal.Signals(-returncode).name})")
        return PermanentError(Reason.DECODE_CRASH, f"the render process ended with exit code {returncode}")

    def _discard(self, process: RenderProcess) -> None:
        with self._lock:
            self._alive.discard(process)
        process.kill()


def _is_out_of_memory(result: Rendered | MediaError) -> bool:
    return isinstance(result, MediaError) and result.reason is Reason.DECODE_OOM


def _prepare_starter(niceness: int) -> None:
    """Initialise the starting thread. On Linux niceness is per thread, and its processes inherit it. They also inherit
    the signal mask, so that Ctrl-C cannot end one before it ignores the signal itself."""
    os.nice(niceness)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
