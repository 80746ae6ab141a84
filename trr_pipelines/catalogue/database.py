"""Connections to the catalogue: a pool, transactions that are tried again, and the named queries.

No query is written here, and no use case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosql
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from trr_pipelines.errors import SetupError

T = TypeVar("T")
Connection = psycopg.Connection[DictRow]

# What a transaction may be tried again for: the server went away or was restarted (57P01 and broken sockets are
# OperationalError too), a deadlock (40P01), a serialisation failure (40001), no connection free.
RETRYABLE = (psycopg.OperationalError, PoolTimeout)
# The embedded server is back 0.1-0.4 s after a kill, a failover of a managed one takes up to half a minute.
RETRY_SECONDS = 40
LOCK_TIMEOUT_MS = 2_000


def load_queries(file_name: str) -> Any:
    """The named queries of one file under `queries/`, as methods that take a connection; rows come back as dicts.

    Typed Any: the methods exist only once the file has been read. Each is wrapped by a typed function beside it.
    """
    return aiosql.from_path(Path(__file__).parent / "queries" / file_name, "psycopg")


def streamed(conn: Connection, query: Any, **parameters: object) -> Iterator[DictRow]:
    """The rows of a named query one by one, so that memory does not grow with them. Until the last one is taken, the
    connection can do nothing else."""
    yield from conn.cursor().stream(query.sql, parameters)


class Database:
    """A pool of connections to one database; safe to share between threads.

    `retry_seconds` is how long `run` goes on trying, and `statement_seconds` how long a statement may take (0: as long
    as it needs): a pipeline can wait for a server that restarts, whoever waits for an answer over HTTP cannot.
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
            # Plans of prepared statements are kept for all values alike; our scopes differ in size by 10,000.
            kwargs={
                "row_factory": dict_row,
                "prepare_threshold": None,
                "connect_timeout": 5,
                "options": _limits(statement_seconds),
            },
        )

    def open(self) -> Database:
        """Connect once. Raises SetupError, in one line, when the database cannot be reached."""
        try:
            with psycopg.connect(self._url, connect_timeout=5):
                pass
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot reach the database: {_first_line(error)}") from None
        self._pool.open()
        return self

    def close(self) -> None:
        """Give every connection back; idempotent."""
        self._pool.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when the block raises."""
        with self._pool.connection() as conn:
            yield conn

    def read(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one snapshot (REPEATABLE READ, read only), and again as `run` does."""

        def in_snapshot(conn: Connection) -> T:
            conn.execute("set transaction isolation level repeatable read, read only")
            return work(conn)

        return self.run(in_snapshot)

    def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in one transaction, and the whole of it again when the database was not able to.

        `work` must be idempotent: when the connection breaks during the commit, nobody knows whether it counted.
        """
        for attempt in Retrying(
            retry=retry_if_exception(_may_succeed_later),
            stop=stop_after_delay(self._retry_seconds),
            wait=wait_exponential_jitter(multiplier=0.05, max=2),
            reraise=True,
        ):
            with attempt, self.transaction() as conn:
                return work(conn)
        raise AssertionError("unreachable: Retrying either returns or raises")


def _limits(statement_seconds: float) -> str:
    """Libpq options: nobody waits for a lock or a statement longer than for an answer."""
    if not statement_seconds:
        return ""
    return f"-c statement_timeout={round(statement_seconds * 1000)} -c lock_timeout={LOCK_TIMEOUT_MS}"


def _may_succeed_later(error: BaseException) -> bool:
    """Class 54 is the statement's own fault (a value too long for an index), although psycopg calls it operational."""
    return isinstance(error, RETRYABLE) and not (getattr(error, "sqlstate", None) or "").startswith("54")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
