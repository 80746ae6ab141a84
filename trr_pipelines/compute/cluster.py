"""A Dask cluster as a site: what is asked of its workers, how long for, and what their deaths mean for a photo.

`distributed` is imported when a cluster is used, and no earlier: it takes 1.5 s of CPU. What the workers do is in
`dask_worker`.
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
# A worker that was killed is back within some seconds, a machine within a minute.
WORKERLESS_SECONDS = 60.0
LOOK_SECONDS = 1.0
# A result that is there is small, and here at once; after this we look whether the cluster is still there.
ANSWER_SECONDS = 5.0

# Threads of a run: they only wait, each for its photo.
MAX_THREADS = 256

# Dask does what has the higher priority first. To finish a photo frees its pixels; a backfill stands back.
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
            in_background: the cluster renders what others ask for first.
            connect_seconds: how long to wait for an answer of the scheduler.
            workerless_seconds: how long the cluster may be without any worker.

        Raises:
            SetupError: no scheduler answers at the address, or `distributed` is not installed.
        """
        self._address = address
        self._store_url = store_url
        self._priority = _START_IN_BACKGROUND if in_background else _START
        self._workerless_seconds = workerless_seconds
        self._client = connect(address, connect_seconds)
        self._is_given_up = False
        self._lock = threading.Lock()
        self._slots = 0
        self._is_silent = False
        self._looked_at = float("-inf")
        self._seen_at = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close(timeout=ANSWER_SECONDS)

    def concurrency(self) -> int:
        """As many photos as the workers have threads by now, and some that wait for them.

        Raises SetupError when the scheduler is lost, or has had no worker for too long.
        """
        return self._require_workers() + IO_THREADS

    def cancel(self) -> None:
        """Threads that wait for a result get PoolClosedError within five seconds."""
        self._is_given_up = True

    def render(self, source: OriginalRef, request: RenderRequest) -> RenderedPhoto:
        head = protocol.request_head(request, source.name)
        rendered = self._submit("render", self._priority, self._store_url, asdict(source), head)
        outline = self.result(self._submit("outline", _FINISH, rendered))
        return _RemoteRenderedPhoto(self, rendered, outline)

    def store(self, rendered: Future[Any], keys: Sequence[str]) -> list[PutObject]:
        """Have the variants stored by the worker that holds them."""
        stored: list[PutObject] = self.result(self._submit("store", _FINISH, self._store_url, rendered, list(keys)))
        return stored

    def result(self, future: Future[Any]) -> Any:
        """What a task came to; waits as long as the cluster is there.

        Raises the failure that the worker answers with; RetryableError (`decode_crash`) when worker after worker died.
        """
        from distributed import CancelledError, KilledWorker

        while True:
            try:
                result = future.result(timeout=ANSWER_SECONDS)
            except TimeoutError:
                if self._is_given_up:
                    raise PoolClosedError("the run ended before the cluster was done") from None
                self._require_workers()
            except CancelledError:
                raise self._lost() from None
            except KilledWorker as death:
                # Retryable: Dask counts the deaths of a worker against whatever waited there, too.
                raise RetryableError(
                    Reason.DECODE_CRASH, f"{death.allowed_failures + 1} Dask workers died with this photo in hand"
                ) from None
            except ImportError as error:
                raise SetupError(f"a worker of TRR_DASK_ADDRESS {self._address} lacks this project: {error}") from None
            else:
                if isinstance(result, MediaError | SetupError):
                    raise result
                return result

    def _submit(self, step: str, priority: int, *arguments: Any) -> Future[Any]:
        if self._client.status in ("closing", "closed"):
            raise self._lost()
        work = getattr(dask_worker, step)
        return self._client.submit(work, *arguments, key=f"trr-{step}-{uuid4()}", priority=priority)

    def _require_workers(self) -> int:
        """How many threads the workers have; looked up once a second."""
        with self._lock:
            if time.monotonic() - self._looked_at >= LOOK_SECONDS:
                self._look()
                self._looked_at = time.monotonic()
                if self._slots:
                    self._seen_at = self._looked_at
            if self._client.status == "closed":
                raise self._lost()
            if time.monotonic() - self._seen_at > self._workerless_seconds:
                raise self._without_workers()
            return self._slots

    def _look(self) -> None:
        self._slots, self._is_silent = 0, False
        try:
            self._slots = slots(self._client)
        except (OSError, TimeoutError, RuntimeError):  # on the way down, or back
            self._is_silent = True

    def _without_workers(self) -> SetupError:
        where, seconds = f"TRR_DASK_ADDRESS {self._address}", f"{self._workerless_seconds:g} s"
        if self._is_silent:
            return SetupError(f"{where}: the scheduler has not answered for {seconds}")
        return SetupError(f"{where}: no worker there for {seconds}; start one with `dask worker {self._address}`")

    def _lost(self) -> SetupError:
        return SetupError(f"TRR_DASK_ADDRESS {self._address}: the scheduler went away while it had photos in hand")


@dataclass(frozen=True)
class _RemoteRenderedPhoto:
    site: ClusterRenderer
    rendered: Future[Any]
    summary: Rendered

    def store(self, keys: Sequence[str]) -> list[PutObject]:
        return self.site.store(self.rendered, keys)


def connect(address: str, seconds: float = CONNECT_SECONDS) -> Client:
    """A client of the scheduler at `address`.

    Raises SetupError when it does not answer in time, or `distributed` is not installed.
    """
    try:
        from distributed import Client
    except ImportError:
        raise SetupError("TRR_DASK_ADDRESS is set, and `distributed` is missing: install trr-pipelines[dask]") from None
    try:
        with ThreadPoolExecutor(1) as thread:  # whoever calls may have an event loop of its own
            thread.submit(asyncio.run, asyncio.wait_for(_greet(address), seconds)).result()
        return Client(address, timeout=seconds, set_as_default=False)
    except (OSError, TimeoutError, ValueError, MemoryError) as error:  # the last two: what answers is no scheduler
        raise SetupError(
            f"TRR_DASK_ADDRESS: no Dask scheduler answers at {address} within {seconds:g} s ({type(error).__name__})"
        ) from None


async def _greet(address: str) -> None:
    """Shake hands with the scheduler. `Client` waits for that without limit, once something accepts the connection."""
    from distributed import Security
    from distributed.comm.core import connect as reach

    comm = await reach(address, **Security().get_connection_args("client"))
    comm.abort()


def slots(client: Client) -> int:
    """How many tasks the cluster can do at a time. Raises OSError or TimeoutError when the scheduler does not say."""
    assert client.scheduler is not None
    threads: dict[str, int] = client.sync(client.scheduler.ncores, callback_timeout=ANSWER_SECONDS)
    return sum(threads.values())
