"""A fixed number of render processes, shared by threads, of which any may die without harm to the others.

What a death means for the photo that was in hand is decided here; rendering itself is `imaging`'s.
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

# How long a process may take without using any CPU before it counts as hung.
QUIET_SECONDS = 30.0

# A process that keeps more than this after a photo is replaced: it takes 0.3 s, once in a great many photos.
MAX_IDLE_BYTES = 400_000_000


class PoolClosedError(TrrError):
    """The pool was closed while, or before, a photo was rendered; nothing is known about the photo."""


class RenderPool:
    """Renders photos in child processes under limits of time and memory; use it in a `with` statement.

    Processes start when they are first needed, and end with the pool or with the run, however that ends.
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
            workers: how many processes, and so how many photos at a time; by default one for each CPU.
            cpu_seconds: how much CPU one photo may use before its process is killed.
            quiet_seconds: how long a process may do nothing with a photo before it is killed.
            niceness: by how much its processes stand back behind others, from 0 to 19.
        """
        self.workers = workers or len(os.sched_getaffinity(0))
        self._cpu_seconds = cpu_seconds
        self._quiet_seconds = quiet_seconds
        # Last in, first out: a process that is warm is used before another one is started.
        self._places: queue.LifoQueue[RenderProcess | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._places.put(None)
        self._lock = threading.Lock()
        self._alive: set[RenderProcess] = set()
        self._is_closed = False
        # Processes die with the thread that starts them: so one thread that lives as long as the pool starts them all.
        self._starter = ThreadPoolExecutor(1, "render-pool", initializer=_prepare_starter, initargs=(niceness,))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def render(self, data: bytes, request: RenderRequest, *, name: str) -> Rendered:
        """Renders one photo in the next process that is free; blocks until then. Any thread may call it.

        Args:
            data: the whole file.
            request: what to make of it.
            name: the photo's name for messages.

        Raises:
            PermanentError: the photo cannot be rendered: as `imaging.render`, and `decode_timeout` (10 s of CPU),
                `decode_oom` (1.4 GB) or `decode_crash`, after which the process is replaced.
            RetryableError: the process was killed from outside, did not start, or got no CPU in time.
            PoolClosedError: the pool was closed meanwhile.
        """
        if len(data) > MAX_BYTES:  # before it is copied into a process
            raise PermanentError(Reason.TOO_MANY_BYTES, f"{len(data):,} bytes, the limit is {MAX_BYTES:,}")
        place = self._places.get()
        try:
            if self._is_closed:
                raise PoolClosedError("the render pool is closed")
            if place is not None and not place.is_alive():  # killed from outside while it had nothing to do
                self._discard(place)
                place = None
            place = place or self._start()
            process, place = place, None
            rendered, place = self._exchange(process, data, request, name)
        finally:
            self._places.put(place)
        if isinstance(rendered, MediaError):
            raise rendered
        return rendered

    def processes(self) -> list[int]:
        """The ids of the processes that are alive now, for whoever watches their memory."""
        with self._lock:
            return [process.pid for process in self._alive]

    def close(self) -> None:
        """Ends every process, also those that are busy: their `render` raises `PoolClosedError`."""
        with self._lock:
            self._is_closed = True
            for process in self._alive:
                process.interrupt()
        for place in [self._places.get() for _ in range(self.workers)]:
            if place is not None:
                self._discard(place)
        for _ in range(self.workers):
            self._places.put(None)  # for whoever still waits: they find the pool closed
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
        """The result, and the process when it can go on; otherwise it has ended."""
        message = protocol.frame(protocol.request_head(request, name), data)
        result: Rendered | MediaError
        keep = False
        try:
            result, resident_bytes = protocol.parse_answer(*process.exchange(message, self._quiet_seconds))
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
    """For the starting thread. On Linux niceness is a thread's own, and its processes inherit it; and they inherit the
    mask, so Ctrl-C of the terminal cannot hit one before it ignores it itself."""
    os.nice(niceness)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
