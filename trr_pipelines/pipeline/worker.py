"""The work loop of a run: claim open work of a scope, process it, renew leases, until nothing is open.

The loop does not depend on the kind of work; the caller passes a function that processes one photo. A bad photo ends as
a failed row, never as a failed run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from psycopg_pool import PoolTimeout

from trr_pipelines.catalogue import dispatches, ledger, photos
from trr_pipelines.catalogue.database import Connection, Database, is_outage
from trr_pipelines.catalogue.ledger import Claim, Kind, Scope, StaleResultError
from trr_pipelines.catalogue.photos import Photo
from trr_pipelines.compute.pool import PoolClosedError
from trr_pipelines.errors import ChangedOriginalError, MediaError, Reason, RetryableError, SetupError
from trr_pipelines.foreign_text import shown_url

logger = logging.getLogger(__name__)

# Pause between polls while another run holds the rest of the scope.
POLL_SECONDS = 0.5
DATABASE_ERRORS = (psycopg.Error, PoolTimeout)


@dataclass(frozen=True)
class PhotoOutcome:
    """The result of one photo's work: how it ended, and what was read and written."""

    ended: str = "complete"  # complete, duplicate, stale, taken_down, or the reason code of the failure
    objects_written: int = 0
    rows_written: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass
class Tally:
    """The sum of a run's outcomes; `seconds` is wall time."""

    ended: Counter[str] = field(default_factory=Counter)
    objects_written: int = 0
    rows_written: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    seconds: float = 0.0

    def add(self, outcome: PhotoOutcome) -> None:
        """Add the outcome of one photo."""
        self.ended[outcome.ended] += 1
        self.objects_written += outcome.objects_written
        self.rows_written += outcome.rows_written
        self.bytes_read += outcome.bytes_read
        self.bytes_written += outcome.bytes_written

    def include(self, other: Tally) -> None:
        """Add the tally of another part of the same run."""
        self.ended += other.ended
        self.objects_written += other.objects_written
        self.rows_written += other.rows_written
        self.bytes_read += other.bytes_read
        self.bytes_written += other.bytes_written
        self.seconds = round(self.seconds + other.seconds, 3)

    @property
    def complete(self) -> int:
        return self.ended["complete"] + self.ended["duplicate"]

    @property
    def failed(self) -> int:
        return sum(self.ended.values()) - self.complete - self.ended["stale"] - self.ended["taken_down"]

    @property
    def photos_per_second(self) -> float:
        return round(self.complete / self.seconds, 2) if self.seconds else 0.0


@dataclass(frozen=True)
class Work:
    """The scope, the kinds of work, the run that processes them, and its number of threads.

    `concurrency` returns how many photos to keep in progress when that differs from `threads`; its value may change.
    `cancel` is called when the work is aborted, before its threads are joined.
    """

    database: Database
    scope: Scope
    kinds: tuple[Kind, ...]
    run_id: str
    threads: int
    concurrency: Callable[[], int] | None = None
    cancel: Callable[[], object] | None = None
    propose_crops: bool = False

    @property
    def in_progress(self) -> int:
        """How many photos to keep in progress now."""
        return self.threads if self.concurrency is None else min(self.concurrency(), self.threads)

    @property
    def claim_limit(self) -> int:
        """How many photos to lease at once: a few of a batch, since its dispatch keeps other runs from the rest.

        Listed photos are leased all at once. Leased photos are left out of the next request, so an edit made during
        this run gets a run of its own instead of waiting for this one.
        """
        return self.in_progress if self.scope.photo_ids is None else max(1, len(self.scope.photo_ids))


Handle = Callable[[Photo, Sequence[Claim]], PhotoOutcome]
"""Processes and commits the claimed work of one photo, in a thread. Raises MediaError when the photo fails."""


def work_through(work: Work, handle: Handle, *, claimed: Sequence[Claim] = ()) -> Tally:
    """Process all open work of the scope; returns when every photo is complete or failed, in this run or another.

    `claimed` is work that the run has leased already; it is processed first.

    A MediaError, and any error that is not an infrastructure error, becomes a failed row of that photo; so does a
    database error about its values, such as a violated constraint. Raised are an outage of the database that outlasts
    its retries, since nothing more can be recorded, and SetupError, which would affect every photo. All leases are
    released on the way out.
    """
    return _Loop(work, handle).run(claimed)


class _Loop:
    def __init__(self, work: Work, handle: Handle) -> None:
        self._work = work
        self._handle = handle
        self._database = work.database
        self._in_flight: dict[Future[PhotoOutcome], UUID] = {}
        self._executor = ThreadPoolExecutor(work.threads, thread_name_prefix="photo")

    def run(self, claimed: Sequence[Claim]) -> Tally:
        started = time.monotonic()
        tally = Tally()
        try:
            with self._heartbeat():
                self._submit(claimed)
                while self._fill():
                    finished, _ = wait(list(self._in_flight), timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
                    for future in finished:
                        del self._in_flight[future]
                        tally.add(future.result())
        except BaseException:
            if self._work.cancel is not None:
                self._work.cancel()
            raise
        finally:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._release()
        tally.seconds = round(time.monotonic() - started, 3)
        return tally

    def _fill(self) -> bool:
        """Keep every thread busy, with one photo queued for each; False when nothing of the scope is open."""
        while True:
            if len(self._in_flight) <= self._work.in_progress:
                self._submit(self._claim())
            if self._in_flight:
                return True
            if self._count_open() == 0:
                return False
            time.sleep(POLL_SECONDS)

    def _claim(self) -> list[Claim]:
        work = self._work
        return self._database.run(
            lambda conn: ledger.claim(
                conn,
                work.scope,
                work.kinds,
                work.run_id,
                limit=work.claim_limit,
                propose_crops=work.propose_crops,
            )
        )

    def _submit(self, claims: Sequence[Claim]) -> None:
        by_photo: dict[UUID, list[Claim]] = {}
        for claim in claims:
            by_photo.setdefault(claim.photo_id, []).append(claim)
        if not by_photo:
            return
        known = self._database.run(lambda conn: photos.photos_by_id(conn, list(by_photo)))
        for photo_id, of_photo in by_photo.items():
            if photo_id in known:
                future = self._executor.submit(self._process, known[photo_id], of_photo)
                self._in_flight[future] = photo_id

    def _process(self, photo: Photo, claims: Sequence[Claim]) -> PhotoOutcome:
        try:
            return self._handle(photo, claims)
        except StaleResultError as stale:
            logger.info("%s; result dropped", stale)
            # Release the photo's other claims at once instead of when the lease expires.
            self._database.run(lambda conn: ledger.release_photo(conn, photo.id, self._work.run_id))
            return PhotoOutcome("stale")
        except (PoolClosedError, SetupError):
            raise
        except MediaError as error:
            return self._failed(photo, claims, error)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("photo %s (%s): unexpected error", photo.id, shown_url(photo.source_url))
            detail = " ".join(f"{type(error).__name__}: {error}".split())
            return self._failed(photo, claims, RetryableError(Reason.INTERNAL, detail))

    def _failed(self, photo: Photo, claims: Sequence[Claim], error: MediaError) -> PhotoOutcome:
        def record(conn: Connection) -> bool:
            recorded = {claim.kind for claim in claims if ledger.fail(conn, claim, self._work.run_id, error)}
            if recorded and isinstance(error, ChangedOriginalError):
                ledger.ask_for_original(conn, photo.id)
            if recorded & {"original", "base"}:
                photos.mark_failed(conn, photo.id, error.reason)
            return bool(recorded)

        logger.warning("photo %s (%s): %s", photo.id, shown_url(photo.source_url), error)
        return PhotoOutcome(str(error.reason) if self._database.run(record) else "stale")

    def _count_open(self) -> int:
        work = self._work
        return self._database.run(
            lambda conn: ledger.count_open(conn, work.scope, work.kinds, propose_crops=work.propose_crops)
        )

    def _release(self) -> None:
        try:
            self._database.run(lambda conn: ledger.release(conn, self._work.run_id))
        except DATABASE_ERRORS:
            logger.warning("could not release the leases of run %s; they expire by themselves", self._work.run_id)

    @contextmanager
    def _heartbeat(self) -> Iterator[None]:
        """Renew the leases of the photos in progress every few seconds."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(ledger.HEARTBEAT_SECONDS):
                try:
                    self._database.run(self._renew)
                except DATABASE_ERRORS:
                    logger.warning("could not renew the leases of run %s; retrying", self._work.run_id)

        thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _renew(self, conn: Connection) -> None:
        ledger.renew(conn, list(self._in_flight.values()), self._work.run_id)
        if self._work.scope.batch is not None:
            dispatches.renew(conn, dispatches.batch_scope(self._work.scope.batch), self._work.run_id)
