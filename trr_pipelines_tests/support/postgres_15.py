"""A PostgreSQL 15 server with roles and passwords, and a pgbouncer before it in transaction mode: what a host offers.

Debian's packages; `programs` installs them for `make test` as root.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from trr_pipelines_tests.support.poolers import pgbouncer_path
from trr_pipelines_tests.support.ports import free_port

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
PASSWORD = "only-for-tests"
POOLER = pgbouncer_path()

PACKAGES = "postgresql-15 pgbouncer"


def missing_packages() -> list[str]:
    """Those of the packages that are not installed."""
    return [*([] if PROGRAMS.exists() else ["postgresql-15"]), *([] if POOLER else ["pgbouncer"])]


needs_postgres_15 = pytest.mark.skipif(
    not PROGRAMS.exists(), reason="PostgreSQL 15 is missing; as root: apt-get install postgresql-15"
)
needs_pgbouncer = pytest.mark.skipif(
    not PROGRAMS.exists() or POOLER is None,
    reason="PostgreSQL 15 or pgbouncer is missing; as root: apt-get install postgresql-15 pgbouncer",
)


@contextmanager
def postgres_15() -> Iterator[int]:
    """A server on loopback with the superuser `admin`; yields its port."""
    port = free_port()
    with _private_folder() as folder:
        secret = folder / "password"
        secret.write_text(PASSWORD)
        _hand_over(secret)
        data = folder / "data"
        _run("initdb", "-D", data, "-U", "admin", f"--pwfile={secret}", "-A", "scram-sha-256", "-E", "UTF8", "-N")
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=40"
        _run("pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
        try:
            yield port
        finally:
            _run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@contextmanager
def pgbouncer(server_port: int) -> Iterator[int]:
    """A pooler before a server, in transaction mode; yields its port. Roles use the server's passwords."""
    assert POOLER is not None
    port = free_port()
    with _private_folder() as folder:
        users = folder / "users.txt"
        roles = ("admin", "owner", "seeing", "blind")
        users.write_text("".join(f'"{role}" "{PASSWORD}"\n' for role in roles))
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host=127.0.0.1 port={server_port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = plain\nauth_file = {users}\npool_mode = transaction\ndefault_pool_size = 4\n"
        )
        for file in (users, settings):
            _hand_over(file)
        process = subprocess.Popen([POOLER, "-q", str(settings)], user=_user(), cwd="/")
        try:
            _wait_for(port)
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def url(port: int, role: str, database: str) -> str:
    """The URL of a database as one of the roles."""
    return f"postgresql://{role}:{PASSWORD}@127.0.0.1:{port}/{database}"


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            psycopg.connect(url(port, "admin", "postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("pgbouncer does not answer")


def _user() -> str | None:
    """PostgreSQL does not run as root."""
    return "postgres" if os.geteuid() == 0 else None


def _hand_over(path: Path) -> None:
    if user := _user():
        shutil.chown(path, user)


def _run(program: str, *arguments: object) -> None:
    command = [str(PROGRAMS / program), *map(str, arguments)]
    subprocess.run(command, check=True, capture_output=True, user=_user(), cwd="/", timeout=60)


@contextmanager
def _private_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="trr-tests-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        _hand_over(folder)
        yield folder
