"""Connections to the catalogue: a pool, retried transactions, named queries and their rows as dataclasses.

No query is written here, and no use case.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosql
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from trr_pipelines.errors import SetupError, TrrError, printable

logger = logging.getLogger(__name__)

T = TypeVar("T")
Connection = psycopg.Connection[DictRow]

# Errors that make a transaction worth retrying: the server went away or was restarted (57P01 and broken sockets are
# OperationalError too), a deadlock (40P01), a serialisation failure (40001), no free connection.
RETRYABLE = (psycopg.OperationalError, PoolTimeout)
# Classes of SQLSTATE: a value too long for an index, which psycopg reports as operational; and a transaction that is
# read-only or was terminated, a missing schema, table or right, which affect every statement.
_TOO_LARGE = "54"
_UNUSABLE = ("25", "3F", "42")
# The embedded server restarts 0.1-0.4 s after a kill; a failover of a managed one takes up to half a minute.
RETRY_SECONDS = 40
# A wait for a lock ends after this long, and the transaction is retried as after an outage.
LOCK_TIMEOUT_MS = 2_000


def load_queries(file_name: str) -> Any:
    """The named queries of one file under `queries/`, as methods that take a connection; rows come back as dicts.

    Typed Any: the methods exist only once the file has been read. The module that loads the file wraps each in a typed
    function, and turns rows into dataclasses with `rows_as` and `row_as`.
    """
    return aiosql.from_path(Path(__file__).parent / "queries" / file_name, "psycopg")


def rows_as(row_type: Callable[..., T], rows: Iterable[DictRow]) -> list[T]:
    """The rows of a named query as dataclasses: each column becomes the field of its name."""
    return [row_type(**row) for row in rows]


def row_as(row_type: Callable[..., T], row: DictRow | None) -> T | None:
    """As `rows_as`, for a query that returns one row or none."""
    return None if row is None else row_type(**row)


def streamed(conn: Connection, row_type: Callable[..., T], query: Any, **parameters: object) -> Iterator[T]:
    """As `rows_as`, one row at a time: memory does not grow with the result.

    The connection can run no other statement until the last row has been read.
    """
    for row in conn.cursor().stream(query.sql, parameters):
        yield row_type(**row)


class Database:
    """A pool of connections to one database; safe to share between threads.

    `run` retries for `retry_seconds`; a statement may take `statement_seconds` (0: no limit). A pipeline can wait for
    a server that restarts, an HTTP client cannot. Neither waits for a lock without saying who holds it.
    """

    def __init__(
        self, url: str, *, max_size: int = 10, retry_seconds: float = RETRY_SECONDS, statement_seconds: float = 0
    ) -> None:
        self._url = url
        self._retry_seconds = retry_seconds
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=0,
            max_size=max_size,
            timeout=5,
            open=False,
            check=ConnectionPool.check_connection,
            # A prepared statement keeps one plan for all parameters; our scopes differ in size by a factor of 10,000.
            kwargs={
                "row_factory": dict_row,
                "prepare_threshold": None,
                "connect_timeout": 5,
                "options": _limits(statement_seconds),
            },
        )

    def open(self) -> Database:
        """Check that the database can be reached, and open the pool. Raises a one-line SetupError when it cannot."""
        try:
            with psycopg.connect(self._url, connect_timeout=5):
                pass
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot reach the database: {_first_line(error)}") from None
        self._pool.open()
        return self

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when the block raises.

        Not retried: for a block that must not run twice, or that fails at once. Everything else uses `run` or `read`.
        """
        with self._pool.connection() as conn:
            yield conn

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one snapshot (REPEATABLE READ, read only), retried like `run`."""

        def in_snapshot(conn: Connection) -> T:
            conn.execute("set transaction isolation level repeatable read, read only")
            return work(conn)

        return self.run(in_snapshot)

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one transaction; retry all of it on errors in `RETRYABLE`, for up to `retry_seconds`.

        `work` must be idempotent: when the connection breaks during the commit, the outcome is unknown. Raises
        LockHeldError, which names the session, when another holds a lock for that long.
        """
        watch = _LockWatch(self._url, self._retry_seconds)
        for attempt in Retrying(
            retry=retry_if_exception(_may_succeed_later),
            stop=stop_after_delay(self._retry_seconds),
            wait=wait_exponential_jitter(multiplier=0.05, max=2),
            reraise=True,
        ):
            with attempt, watch.named_errors(), self.transaction() as conn, watch.over(conn):
                return work(conn)
        raise AssertionError("unreachable: Retrying either returns or raises")


class LockHeldError(TrrError, psycopg.errors.LockNotAvailable):
    """Another session holds a lock for too long; the message names it."""


class _LockWatch:
    """Finds out who holds the lock that a transaction waits for.

    After a timeout the wait is over, and PostgreSQL no longer says what it was for: the next attempt is looked at while
    it waits.
    """

    def __init__(self, url: str, patience: float) -> None:
        self._url = url
        self._patience = patience
        self._has_waited = False
        self._holder = ""

    @contextmanager
    def named_errors(self) -> Iterator[None]:
        """Add who holds the lock to the errors of the block."""
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            self._has_waited = True
            if not self._holder:
                raise
            raise LockHeldError(f"a lock in the database is not free: {self._holder}") from error

    @contextmanager
    def over(self, conn: Connection) -> Iterator[None]:
        """Look for the holder halfway through the timeout, if an earlier attempt has waited in vain."""
        if not self._has_waited:
            yield
            return
        timer = threading.Timer(LOCK_TIMEOUT_MS / 2000, self._look, [conn.info.backend_pid])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    def _look(self, pid: int) -> None:
        try:
            holder = lock_holder(self._url, pid)
        except psycopg.Error:
            return
        if holder and not self._holder:
            logger.warning("waiting up to %.0f s for a lock in the database: %s", self._patience, holder)
        self._holder = holder or self._holder


def lock_holder(url: str, pid: int) -> str:
    """The session that the session `pid` waits for, in one line, with what ends it; empty when it does not wait."""
    with psycopg.connect(url, connect_timeout=5, autocommit=True, row_factory=dict_row) as conn:
        row = conn.execute(
            "select pid, application_name, usename, state, extract(epoch from now() - state_change) as seconds,"
            " extract(epoch from now() - xact_start) as open_seconds"
            " from pg_stat_activity where pid = any(pg_blocking_pids(%s)) order by xact_start limit 1",
            (pid,),
        ).fetchone()
    if row is None:
        return ""
    name = printable(row["application_name"] or "without a name")
    doing = f"{row['state']} for {row['seconds'] or 0:.0f} s, its transaction open for {row['open_seconds'] or 0:.0f} s"
    return (
        f"process {row['pid']} ({name}, user {row['usename']}) holds it, {doing}; "
        f"to end it: select pg_terminate_backend({row['pid']})"
    )


def _limits(statement_seconds: float) -> str:
    """Libpq options that bound the wait for each lock, and each statement unless that is 0."""
    lock = f"-c lock_timeout={LOCK_TIMEOUT_MS}"
    return f"-c statement_timeout={round(statement_seconds * 1000)} {lock}" if statement_seconds else lock


def is_outage(error: BaseException) -> bool:
    """Whether the database failed, rather than the values of one statement.

    True when it cannot be reached, was restarted, is full or read-only, or has another schema or other rights. False
    for every other error of a statement (a constraint, a number out of range, a text with NUL).
    """
    code = _sqlstate(error)
    if isinstance(error, (*RETRYABLE, psycopg.InterfaceError)):
        return not code.startswith(_TOO_LARGE)
    return isinstance(error, psycopg.Error) and code.startswith(_UNUSABLE)


def reason_of(error: psycopg.OperationalError | PoolTimeout) -> str:
    """Why the database did not do what a request needed, in words that hold no value of the request."""
    if isinstance(error, PoolTimeout):
        return "all connections to the catalogue are in use by other requests"
    return _REASONS.get(_sqlstate(error), "the catalogue cannot be reached")


_REASONS = {
    "55P03": f"another change held what this one needs for more than {LOCK_TIMEOUT_MS / 1000:g} s",
    "40P01": "another change and this one waited for each other",
    "40001": "another change came first",
    "57014": "the catalogue took too long for this request",
    "53100": "the disk of the catalogue is full",
    "53300": "the catalogue has too many connections",
    "57P03": "the catalogue is starting or stopping",
}


def _may_succeed_later(error: BaseException) -> bool:
    return isinstance(error, RETRYABLE) and not _sqlstate(error).startswith(_TOO_LARGE)


def _sqlstate(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
