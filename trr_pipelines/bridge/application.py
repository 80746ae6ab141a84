"""Connections to the application's database: at most two, which work behind a transaction pooler.

No start-up options, no prepared statements, no session state: limits are set in each transaction. Its pool is small and
shared with the application, whose readers must not wait for us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosql
import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential_jitter

from trr_pipelines.catalogue.database import RETRYABLE, Connection
from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings

T = TypeVar("T")

CONNECTIONS = 2
RETRY_SECONDS = 40.0
# A reader or writer there that holds a row keeps us waiting for this long; then the photo is tried again later.
LOCK_SECONDS = 2.0
STATEMENT_SECONDS = 120.0


def load_queries(file_name: str) -> Any:
    """The named queries of one file under `queries/`, as methods that take a connection; rows come back as dicts."""
    return aiosql.from_path(Path(__file__).parent / "queries" / file_name, "psycopg")


class Application:
    """The application's database. Safe to share between threads."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            url,
            min_size=0,
            max_size=CONNECTIONS,
            max_idle=30,  # their pool is small: a bridge without work holds none of it
            timeout=10,
            open=False,
            kwargs={"row_factory": dict_row, "prepare_threshold": None, "connect_timeout": 5},
        )

    def open(self) -> Application:
        """Check that it can be reached, and open the pool. Raises a one-line SetupError when it cannot."""
        try:
            with psycopg.connect(self.url, connect_timeout=5):
                pass
        except psycopg.OperationalError as error:
            raise SetupError(f"cannot reach the application's database: {first_line(error)}") from None
        self._pool.open()
        return self

    def close(self) -> None:
        """Close every connection; idempotent."""
        self._pool.close()

    def run(self, work: Callable[[Connection], T], *, retry_seconds: float = RETRY_SECONDS) -> T:
        """Do `work` in one transaction; retry all of it after an outage, a deadlock or a lock that is not free."""
        for attempt in Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, RETRYABLE)),
            stop=stop_after_delay(retry_seconds),
            wait=wait_exponential_jitter(multiplier=0.05, max=2),
            reraise=True,
        ):
            with attempt, self.transaction() as conn:
                return work(conn)
        raise AssertionError("unreachable: Retrying either returns or raises")

    def read(self, work: Callable[[Connection], T]) -> T:
        """As `run`, in a read-only transaction."""

        def read_only(conn: Connection) -> T:
            conn.execute("set transaction read only")
            return work(conn)

        return self.run(read_only)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One transaction, not retried: committed at the end of the block, rolled back when the block raises."""
        with self._pool.connection() as conn:
            conn.execute(
                "select set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                (f"{LOCK_SECONDS * 1000:.0f}", f"{STATEMENT_SECONDS * 1000:.0f}"),
            )
            yield conn


@contextmanager
def open_application(settings: Settings) -> Iterator[Application]:
    """The application's database for the block. Raises SetupError when none is set, or when it cannot be reached."""
    if settings.application_db_url is None:
        raise SetupError("TRR_APPLICATION_DB_URL is not set: there is no application to bridge to")
    application = Application(settings.application_db_url.get_secret_value())
    try:
        yield application.open()
    finally:
        application.close()


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
