"""The embedded PostgreSQL with real processes: shared, adopted, restarted, and stopped by its last user."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from trr_pipelines.catalogue.embedded import DATABASES, EmbeddedPostgres
from trr_pipelines.errors import SetupError

USER = """
import sys
from pathlib import Path
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print("started", flush=True)
sys.stdin.read()
"""


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0]))


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def answers(server: EmbeddedPostgres) -> bool:
    try:
        with psycopg.connect(server.url("trr"), connect_timeout=2) as conn:
            return conn.execute("select 1").fetchone() == (1,)
    except (psycopg.OperationalError, SetupError):
        return False


@pytest.fixture
def home(server_home: Path) -> Path:
    """One data directory for all tests of this file: creating it is slow."""
    return server_home


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(home)
    embedded.start()
    yield embedded
    embedded.release()


@pytest.fixture
def another_user(server: EmbeddedPostgres, home: Path) -> Iterator[subprocess.Popen[str]]:
    """A second process that uses the server, until its stdin is closed."""
    with subprocess.Popen(
        [sys.executable, "-c", USER, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        yield process
        if process.poll() is None:
            process.kill()


def test_it_starts_with_its_databases_and_starting_again_changes_nothing(server: EmbeddedPostgres, home: Path) -> None:
    before = postmaster(home)
    server.start()
    assert postmaster(home) == before
    for database in DATABASES:
        with psycopg.connect(server.url(database)) as conn:
            assert conn.info.dbname == database


def test_it_listens_on_no_network(server: EmbeddedPostgres, home: Path) -> None:
    assert [connection for connection in postmaster(home).net_connections(kind="inet") if connection.status] == []


def test_the_last_user_stops_it(home: Path) -> None:
    first, second = EmbeddedPostgres(home), EmbeddedPostgres(home)
    first.start()
    second.start()
    process = postmaster(home)
    first.release()
    assert answers(second)
    second.release()
    second.release()
    assert has_ended(process)
    assert not second.is_running()


def test_a_user_in_another_process_keeps_it_running(
    server: EmbeddedPostgres, another_user: subprocess.Popen[str], home: Path
) -> None:
    process = postmaster(home)
    server.release()
    assert not has_ended(process)
    another_user.communicate("")
    assert another_user.returncode == 0
    assert has_ended(process)


def test_a_server_left_by_a_killed_user_is_adopted_and_stopped_by_the_next_user(
    server: EmbeddedPostgres, another_user: subprocess.Popen[str], home: Path
) -> None:
    process = postmaster(home)
    server.release()
    another_user.kill()
    another_user.wait()
    assert not has_ended(process)
    heir = EmbeddedPostgres(home)
    heir.start()
    assert postmaster(home) == process
    assert answers(heir)
    heir.release()
    assert has_ended(process)


def test_a_killed_server_starts_again(server: EmbeddedPostgres, home: Path) -> None:
    killed = postmaster(home)
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: has_ended(killed), "the server is gone")
    assert not server.is_running()
    server.start()
    assert postmaster(home) != killed
    assert answers(server)


def test_a_killed_server_is_restarted_while_it_is_kept_alive(server: EmbeddedPostgres, home: Path) -> None:
    with psycopg.connect(server.url("trr"), autocommit=True) as conn:
        conn.execute("create table if not exists acknowledged (number integer)")
        conn.execute("insert into acknowledged values (1)")
    with server.kept_alive():
        for _ in range(2):
            killed = postmaster(home)
            killed.send_signal(signal.SIGKILL)
            wait_for(lambda killed=killed: has_ended(killed) and answers(server), "the server is back")  # type: ignore[misc]
        with psycopg.connect(server.url("trr")) as conn:
            assert conn.execute("select count(*) from acknowledged").fetchone() == (1,)


def test_it_survives_sessions_that_are_still_open_when_it_is_stopped(home: Path) -> None:
    embedded = EmbeddedPostgres(home)
    embedded.start()
    process = postmaster(home)
    session = psycopg.connect(embedded.url("trr"))
    session.execute("select 1")
    embedded.release()
    assert has_ended(process)
    session.close()


def test_release_never_raises_even_without_the_home(server: EmbeddedPostgres, home: Path) -> None:
    moved = home.rename(home.with_name("moved"))
    server.release()
    moved.rename(home)
    server.start()
    assert answers(server)


def test_an_incomplete_data_directory_is_created_again(server_home: Path) -> None:
    home = server_home.with_name("another")
    with subprocess.Popen([sys.executable, "-c", USER, str(home)], start_new_session=True) as process:
        wait_for(lambda: any(home.glob("postgres*/PG_VERSION")), "the data directory is half made")
        os.killpg(process.pid, signal.SIGKILL)
    embedded = EmbeddedPostgres(home)
    embedded.start()
    assert answers(embedded)
    embedded.release()


@pytest.mark.parametrize(
    "name", ["my photos", "it's ours", 'a "b" c', "$HOME `id`", "a,b; c", "back\\slash", "Fotos für José", "x" * 120]
)
def test_a_home_may_have_any_name(server_home: Path, name: str) -> None:
    home = server_home.with_name(name) / "home"
    home.parent.mkdir()
    first = EmbeddedPostgres(home)
    first.start()
    assert answers(first)
    killed = postmaster(home)
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: has_ended(killed), "the server is gone")
    first.start()
    assert answers(first)
    first.release()
    assert not first.is_running()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_home_without_write_permission_is_refused_by_name(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(SetupError, match=f"cannot use {tmp_path / 'home'} for the embedded database"):
        EmbeddedPostgres(tmp_path / "home").start()


def test_a_home_that_is_a_file_is_refused_by_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_bytes(b"")
    with pytest.raises(SetupError, match=f"cannot use {home} for the embedded database: File exists"):
        EmbeddedPostgres(home).start()
