"""The embedded PostgreSQL: started on first use, shared by every process of one home, stopped by the last of them.

It is the default on one machine; production sets a URL. This module creates empty databases only.

Every process that uses the server holds a shared lock on `postgres.users`. The kernel drops it however the process
ends, so a killed process never keeps the server running. A process that gets the lock exclusively on its way out is the
last one, and stops the server. A server that outlived its killed users is adopted.

No other user of the machine reaches it: its only socket is in the data directory, which is 0700, and it accepts only
the operating system's user that started it (`peer`).
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import re
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from trr_pipelines.catalogue.postgres_process import find_postmaster, postmaster_lines
from trr_pipelines.catalogue.postgres_programs import HERE, installed_programs
from trr_pipelines.errors import SetupError
from trr_pipelines.home import OTHERS, lock, make_home, make_private, open_file, user_name

logger = logging.getLogger(__name__)

DATABASES = ("trr", "screenalytics", "dagster")
START_SECONDS = 60  # recovery after a crash takes seconds, more on a slow disk
SESSIONS_END_SECONDS = 10
STOP_SECONDS = 60
WATCH_SECONDS = 0.5
SOCKET_NAME_BYTES = 107
LOG_LINES = 3
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PLAIN_PATH = re.compile(r"[\w/.@%+=~-]*", re.ASCII)

# Who may connect: no one over a network, over the socket only one user of the operating system.
_HBA: Final = "# Written by trr at each start.\nlocal all postgres peer map=trr\n"
_IDENT: Final = '# Written by trr at each start.\ntrr "{}" postgres\n'


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
        self._folder: int | None = None
        self._mutex = threading.Lock()

    def start(self) -> None:
        """Start the server if needed, create its databases, and register this process as a user.

        Raises SetupError, with the reason, when the home cannot be written or the server does not start.
        """
        with self._mutex:
            try:
                make_home(self._home)
                with self._starting():
                    if self._users is None:
                        self._register()
                    if self.is_running() and not self._has_private_socket():
                        self._stop()
                    if self.is_running():
                        self._restrict()
                    else:
                        self._launch()
            except OSError as error:
                raise SetupError(f"cannot use {self._home} for the embedded database: {error.strerror}") from error

    def is_running(self) -> bool:
        """Whether a server of this data directory is alive and ready."""
        return self._postmaster() is not None and postmaster_lines(self._data)[7:8] == ["ready"]

    def _postmaster(self) -> psutil.Process | None:
        return find_postmaster(self._data)

    def url(self, database: str) -> str:
        """libpq URL of one database, over the Unix socket. It may be valid in this process and its forks only."""
        lines = postmaster_lines(self._data)
        if len(lines) < 5:
            raise SetupError(f"the embedded PostgreSQL in {self._data} is not running")
        host = quote(self._socket_folder(lines[3]), safe="/")
        return f"postgresql://postgres@/{database}?host={host}&port={lines[3]}"

    def _socket_folder(self, port: str) -> str:
        """The data directory; as an open descriptor if the path is too long for a socket, or libpq would split it."""
        path = str(self._data)
        if len(os.fsencode(f"{path}/.s.PGSQL.{port}")) <= SOCKET_NAME_BYTES and _PLAIN_PATH.fullmatch(path):
            return path
        if self._folder is None or not Path(f"/proc/self/fd/{self._folder}").samefile(self._data):
            # Never closed: URLs have its number.
            self._folder = os.open(self._data, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._folder}"

    def release(self) -> None:
        """Stop using the server; the last user stops it. Never raises: it runs at exit."""
        with self._mutex:
            users, self._users = self._users, None
            if users is None:
                return
            atexit.unregister(self.release)
            with users:
                try:
                    self._stop_unless_used(users)
                except FileNotFoundError:  # the home was removed meanwhile: the server ends by itself
                    pass
                except (SetupError, OSError) as error:
                    logger.warning("the embedded PostgreSQL in %s is left running: %s", self._data, error)

    def _stop_unless_used(self, users: IO[bytes]) -> None:
        with self._starting():
            fcntl.flock(users, fcntl.LOCK_UN)
            with suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
        path = self._home / "postgres.lock"
        with open_file(path) as file:
            lock(file, path)
            yield

    def _register(self) -> None:
        path = self._home / "postgres.users"
        users = open_file(path)
        try:
            lock(users, path, shared=True)
        except SetupError:
            users.close()
            raise
        self._users = users
        atexit.register(self.release)

    def _launch(self) -> None:
        try:
            if not self._data.exists():
                self._initialise()
            self._require_usable()
            self._run()
            self._create_databases()
        except psycopg.OperationalError as error:
            raise self._start_error(" ".join(str(error).split())) from error

    def _initialise(self) -> None:
        """Create the data directory under a temporary name: an incomplete one would never start."""
        programs = installed_programs()
        unfinished = self._home / "postgres.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if programs.uid != os.geteuid():
            os.chown(unfinished, programs.uid, programs.gid)
        options = ("--auth-local=peer", "--auth-host=reject", "--encoding=utf8", "--no-instructions")
        programs.run("initdb", [*options, "-U", "postgres", "-D", HERE], unfinished, keep_output=True)
        unfinished.rename(self._data)

    def _require_usable(self) -> None:
        """Raise SetupError when the data directory cannot be that of a server of this user and version."""
        programs, owner = installed_programs(), self._data.stat().st_uid
        if owner != programs.uid:
            raise self._start_error(
                f"the data directory belongs to {user_name(owner)}, and the server would run as"
                f" {user_name(programs.uid)}; run trr as the user that made it, or give the directory to that user"
            )
        try:
            version = (self._data / "PG_VERSION").read_text(encoding="ascii", errors="replace").strip()
        except FileNotFoundError:
            found = "has no PG_VERSION" if any(self._data.iterdir()) else "is empty"
            raise self._start_error(
                f"the data directory {found}; restore it, or remove it to begin with an empty catalogue"
            ) from None
        if version != programs.version:
            raise self._start_error(
                f"the data directory is of PostgreSQL {version}, the programs are of {programs.version}"
            )

    def _run(self) -> None:
        """Start the server and wait until it is ready; sessions of a killed server may block it for some seconds.

        The server and its sessions hold a lock on the data directory, which they inherit. So no second server starts
        while one is alive, even one that this process cannot see: that of another container with the same home.
        """
        self._restrict()
        folder = os.open(self._data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            began = time.monotonic()
            while not self.is_running():
                is_starting = self._postmaster() is not None
                is_late = time.monotonic() - began > (START_SECONDS if is_starting else SESSIONS_END_SECONDS)
                if not is_starting:
                    try:
                        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    except BlockingIOError:
                        if is_late:
                            raise self._start_error(
                                "its data directory is used by sessions of a server that was killed, or by a server"
                                " that is not visible here, such as that of another container"
                            ) from None
                    else:
                        self._start_server(folder)
                if is_late:
                    raise self._start_error(self._log_end())
                time.sleep(0.05)
        finally:
            os.close(folder)

    def _start_server(self, folder: int) -> None:
        # Left by a killed server, or copied. PostgreSQL takes a zombie, and any process with that id, for a server.
        for leftover in (self._data / "postmaster.pid", *self._data.glob(".s.PGSQL.*.lock")):
            leftover.unlink(missing_ok=True)
        options = ("-w", "-t", "10", "-o", "-h '' -k .", "-l", "log", "-D", HERE)
        installed_programs().run("pg_ctl", [*options, "start"], self._data, inherited=folder)

    def _has_private_socket(self) -> bool:
        """Whether the server's socket is in its data directory. Earlier releases had others in /tmp, open to all."""
        folder = "".join(postmaster_lines(self._data)[4:5])
        try:
            return folder == "." or Path(folder).samefile(self._data)
        except OSError:
            return False

    def _restrict(self) -> None:
        """Let only this user in, also to a data directory of an earlier release, which let in all."""
        owner = self._data.stat()
        if owner.st_mode & OTHERS:  # the server would not start
            home = os.open(self._home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                make_private(self._data.name, home, owner.st_uid)
            finally:
                os.close(home)
        name = user_name(os.geteuid()).replace('"', '""')
        files = (("pg_hba.conf", _HBA), ("pg_ident.conf", _IDENT.format(name)))
        is_changed = [_write(self._data / file, text, owner) for file, text in files]
        postmaster = self._postmaster()
        if postmaster is not None and any(is_changed):
            postmaster.send_signal(signal.SIGHUP)

    def _create_databases(self) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=START_SECONDS) as conn:
            existing = {row[0] for row in conn.execute("select datname from pg_database")}
            for name in DATABASES:
                if name not in existing:
                    conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))

    def _stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, since no user is left to finish them.

        By signal: pg_ctl trusts `postmaster.pid`.
        """
        postmaster = self._postmaster()
        if postmaster is not None:
            with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                postmaster.send_signal(signal.SIGINT)
                postmaster.wait(STOP_SECONDS)

    def _start_error(self, reason: str) -> SetupError:
        return SetupError(f"the embedded PostgreSQL in {self._data} does not start: {reason}")

    def _log_end(self) -> str:
        path = self._data / "log"
        try:
            with os.fdopen(os.open(path, _READ), "rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
                lines = file.read().decode(errors="replace").splitlines()
        except OSError as error:
            return f"its log {path} cannot be read ({error.strerror})"
        return f"{' '.join(' '.join(lines[-LOG_LINES:]).split())} ({path})"


def _write(path: Path, text: str, owner: os.stat_result) -> bool:
    """Replace a file of the server's user if it differs; whether it did. The server may have put a link there."""
    with suppress(OSError), os.fdopen(os.open(path, _READ), encoding="utf-8") as file:
        if file.read() == text:
            return False
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".trr-")  # new, 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if owner.st_uid != os.geteuid():
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
