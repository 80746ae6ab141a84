"""PgBouncer in transaction mode in front of a server of its own, as hosted PostgreSQL has it."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines_tests.support.ports import free_port

SERVER_CONNECTIONS = 2
_PLACES = (None, "/usr/sbin:/usr/local/sbin")


def pgbouncer_path() -> str | None:
    """The installed PgBouncer; `programs` installs it for `make test` as root."""
    return next(filter(None, (shutil.which("pgbouncer", path=place) for place in _PLACES)), None)


@contextmanager
def transaction_pooler(program: str, server: EmbeddedPostgres, folder: Path) -> Iterator[int]:
    """A pooler with two server connections for each database; yields its port on loopback.

    It runs as the user of the server and in its folder, which lets no other user in. Every login is the superuser.
    """
    with psycopg.connect(server.url("postgres"), autocommit=True) as conn:
        process_of_server = Path("/proc") / str(conn.info.backend_pid)
        data = (process_of_server / "cwd").readlink()
        owner = pwd.getpwuid(process_of_server.stat().st_uid)
        (port,) = conn.execute("show port").fetchone() or (0,)
        (data / "pg_hba.conf").write_text("local all all trust\n")
        conn.execute("select pg_reload_conf()")
    listen = free_port()
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host=/proc/self/cwd port={port} user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listen}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {SERVER_CONNECTIONS}\nmax_client_conn = 100\n"
        "server_reset_query_always = 0\n"
    )
    if os.geteuid() == 0:
        for path in (folder, settings):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    as_owner = {"user": owner.pw_uid, "group": owner.pw_gid} if os.geteuid() == 0 else {}
    process = subprocess.Popen([program, str(settings)], cwd=data, **as_owner)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                psycopg.connect(f"postgresql://postgres@127.0.0.1:{listen}/postgres", connect_timeout=2).close()
                break
            except psycopg.OperationalError:
                assert process.poll() is None, "pgbouncer has ended"
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield listen
    finally:
        process.terminate()
        process.wait()
