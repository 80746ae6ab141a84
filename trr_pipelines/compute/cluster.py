"""Rendering on a Dask cluster: the tasks, their timeouts, and what the death of a worker means for a photo.

`distributed` is imported only when a cluster is used: it takes 1.5 s of CPU. The tasks themselves are in `dask_worker`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from trr_pipelines.compute import dask_worker, protocol
from trr_pipelines.compute.pool import PoolClosedError
from trr_pipelines.compute.renderer import IO_THREADS, OriginalRef, RenderedPhoto
from trr_pipelines.errors import MediaError, Reason, RetryableError, SetupError
from trr_pipelines.imaging.render import Rendered, RenderRequest
from trr_pipelines.storage.store import PutObject

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10.0
# A killed worker is back within seconds, a machine within a minute.
WORKERLESS_SECONDS = 60.0
REFRESH_SECONDS = 1.0
# Results are small and arrive at once; after this time the cluster itself is checked.
ANSWER_SECONDS = 5.0

# Threads of a run; each only waits for its photo.
MAX_THREADS = 256

# Dask runs higher priorities first: finishing a photo frees its pixels, and a backfill comes last.
_FINISH, _START, _START_IN_BACKGROUND = 10, 0, -10


class ClusterRenderer:
    """The workers of the scheduler at `address`; use it in a `with` statement."""

    threads = MAX_THREADS

    def __init__(
        self,
        address: str,
        store_url: str,
        *,
        in_background: bool = False,
        connect_seconds: float = CONNECT_SECONDS,
        workerless_seconds: float = WORKERLESS_SECONDS,
    ) -> None:
        """
        Args:
            address: of the scheduler, as `TRR_DASK_ADDRESS` has it.
            store_url: of the run's store; workers with another one refuse.
            in_background: the cluster renders photos of other runs first.
            connect_seconds: how long to wait for the scheduler.
            workerless_seconds: how long the cluster may have no worker.

        Raises:
            SetupError: no scheduler answers at the address, or `distributed` is not installed.
        """
        self._address = address
        self._store_url = store_url
        self._priority = _START_IN_BACKGROUND if in_background else _START
        self._workerless_seconds = workerless_seconds
        self._client = connect(address, connect_seconds)
        self._is_cancelled = False
        self._lock = threading.Lock()
        self._slots = 0
        self._is_silent = False
        self._refreshed_at = float("-inf")
        self._seen_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close(timeout=ANSWER_SECONDS)

    def concurrency(self) -> int:
        """The current number of worker threads, plus a few photos that wait for them.

        Raises SetupError if the scheduler is lost, or has had no worker for too long.
        """
        return self._require_workers() + IO_THREADS

    def cancel(self) -> None:
        """Make threads that wait for a result raise PoolClosedError within five seconds."""
        self._is_cancelled = True

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        head = protocol.request_head(request, source.name)
        rendered = self._submit("render", self._priority, self._store_url, asdict(source), head)
        summary = self.result(self._submit("summarise", _FINISH, rendered))
        return _RemoteRenderedPhoto(self, rendered, summary)

    def store(self, rendered: Future[Any], keys: Sequence[str]) -> list[PutObject]:
        """Store the variants from the worker that has them."""
        stored: list[PutObject] = self.result(self._submit("store", _FINISH, self._store_url, rendered, list(keys)))
        return stored

    def result(self, future: Future[Any]) -> Any:
        """The result of a task; waits as long as the cluster is available.

        Raises the failure that the worker returns, or RetryableError (`decode_crash`) if several workers died on it.
        """
        from distributed import CancelledError, KilledWorker

        while True:
            try:
                result = future.result(timeout=ANSWER_SECONDS)
            except TimeoutError:
                if self._is_cancelled:
                    raise PoolClosedError("the run was cancelled while the cluster rendered") from None
                self._require_workers()
            except CancelledError:
                raise self._lost() from None
            except KilledWorker as death:
                # Retryable: Dask also blames tasks that only waited on the dead workers.
                raise RetryableError(
                    Reason.DECODE_CRASH, f"{death.allowed_failures + 1} Dask workers died while rendering this photo"
                ) from None
            except ImportError as error:
                raise SetupError(
                    f"a worker of TRR_DASK_ADDRESS {self._address} does not have this project installed: {error}"
                ) from None
            else:
                if isinstance(result, MediaError | SetupError):
                    raise result
                return result

    def _submit(self, step: str, priority: int, *arguments: Any) -> Future[Any]:
        if self._client.status in ("closing", "closed"):
            raise self._lost()
        task = getattr(dask_worker, step)
        return self._client.submit(task, *arguments, key=f"trr-{step}-{uuid4()}", priority=priority)

    def _require_workers(self) -> int:
        """The number of worker threads, refreshed once a second. Raises SetupError."""
        with self._lock:
            if time.monotonic() - self._refreshed_at >= REFRESH_SECONDS:
                self._refresh_slots()
                self._refreshed_at = time.monotonic()
                if self._slots:
                    self._seen_at = self._refreshed_at
            if self._client.status == "closed":
                raise self._lost()
            if time.monotonic() - self._seen_at > self._workerless_seconds:
                raise self._without_workers()
            return self._slots

    def _refresh_slots(self) -> None:
        self._slots, self._is_silent = 0, False
        try:
            self._slots = slots(self._client)
        except (OSError, TimeoutError, RuntimeError):  # while the scheduler stops or restarts
            self._is_silent = True

    def _without_workers(self) -> SetupError:
        where, seconds = f"TRR_DASK_ADDRESS {self._address}", f"{self._workerless_seconds:g} s"
        if self._is_silent:
            return SetupError(f"{where}: the scheduler has not answered for {seconds}")
        return SetupError(f"{where}: no worker for {seconds}; start one with `dask worker {self._address}`")

    def _lost(self) -> SetupError:
        return SetupError(f"TRR_DASK_ADDRESS {self._address}: lost the scheduler while photos were rendering")


@dataclass(frozen=True)
class _RemoteRenderedPhoto:
    renderer: ClusterRenderer
    rendered: Future[Any]
    summary: Rendered

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        return self.renderer.store(self.rendered, keys)


def connect(address: str, seconds: float = CONNECT_SECONDS) -> Client:
    """A client of the scheduler at `address`.

    Raises SetupError if it does not answer in time, or `distributed` is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SetupError("TRR_DASK_ADDRESS is set, but `distributed` is missing: install trr-pipelines[dask]") from None
    try:
        with ThreadPoolExecutor(1) as thread:  # the calling thread may already run an event loop
            thread.submit(asyncio.run, asyncio.wait_for(_handshake(address), seconds)).result()
        return Client(address, timeout=seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError, MemoryError) as error:  # the last two: not a scheduler
        raise SetupError(
            f"TRR_DASK_ADDRESS: no Dask scheduler answers at {address} within {seconds:g} s ({type(error).__name__})"
        ) from None


async def _handshake(address: str) -> None:
    """Complete a handshake with the scheduler: `Client` waits for it without limit once the connection is accepted."""
    from distributed import Security
    from distributed.comm.core import connect as open_comm

    comm = await open_comm(address, **Security().get_connection_args("client"))
    comm.abort()


def slots(client: Client) -> int:
    """The number of tasks that run at once. Raises OSError or TimeoutError if the scheduler does not answer."""
    assert client.scheduler is not None
    threads: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=ANSWER_SECONDS)
    return sum(threads.values())
