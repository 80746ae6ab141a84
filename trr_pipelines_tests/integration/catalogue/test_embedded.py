"""The embedded PostgreSQL with real processes: shared, adopted, restarted, and stopped by its last user.

SECURITY, row "other users of the machine": no foreign process is signalled, no foreign database used.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from trr_pipelines.catalogue import embedded
from trr_pipelines.catalogue.embedded import DATABASES, EmbeddedPostgres
from trr_pipelines.catalogue.postgres_programs import HERE, installed_programs
from trr_pipelines.errors import SetupError
from trr_pipelines_tests.support.other_users import STRANGER, needs_root

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


# Servers and processes that are not ours -----------------------------------------------------------------------------


def copy_of(home: Path, name: str) -> Path:
    """A copy of a home with modes, owners and `postmaster.pid`, as a backup or a clone of the machine has it."""
    target = home.with_name(name)
    # Files that the server removes meanwhile are missing in the copy.
    subprocess.run(["cp", "-a", home, target], check=False, capture_output=True)
    return target


def rows(server: EmbeddedPostgres) -> int:
    with psycopg.connect(server.url("trr")) as conn:
        row = conn.execute("select count(*) from notes").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.parametrize("crashed", [False, True])
def test_a_copy_of_a_home_has_a_server_and_rows_of_its_own(
    server: EmbeddedPostgres, home: Path, tmp_path: Path, crashed: bool
) -> None:
    with psycopg.connect(server.url("trr"), autocommit=True) as conn:
        conn.execute("drop table if exists notes")
        conn.execute("create table notes as select generate_series(1, 3) as number")
        conn.execute("checkpoint")
    process = postmaster(home)
    if crashed:
        process.send_signal(signal.SIGKILL)
        wait_for(lambda: has_ended(process), "the server is gone")
    copied = copy_of(home, f"copy-{crashed}")
    if crashed:
        server.start()
        process = postmaster(home)
    copy = EmbeddedPostgres(copied)
    assert not copy.is_running()
    copy.start()
    assert postmaster(copied) != process
    with psycopg.connect(copy.url("trr"), autocommit=True) as conn:
        conn.execute("delete from notes")
    assert (rows(copy), rows(server)) == (0, 3)
    copy.release()
    assert not has_ended(process)
    assert rows(server) == 3


@contextmanager
def foreign_process(home: Path, folder: Path, kind: str) -> Iterator[psutil.Process]:
    """A process that may get the id of a dead server of `home`."""
    if kind == "another server":
        other = EmbeddedPostgres(home.with_name("other"))
        other.start()
        try:
            yield postmaster(home.with_name("other"))
        finally:
            other.release()
        return
    # A shell that waits for input, under the name and in the place of a server.
    program = folder / ("sh" if kind == "a program" else "postgres")
    shutil.copy2("/bin/sh", program)
    with subprocess.Popen(
        [program, "-c", "read line", *(("-D", ".") if kind == "in our folder with our arguments" else ())],
        stdin=subprocess.PIPE,
        cwd=home / "postgres" if kind.startswith("in our folder") else folder,
    ) as process:
        wait_for(lambda: psutil.Process(process.pid).name() == program.name, "the program runs")
        yield psutil.Process(process.pid)
        process.kill()


@pytest.mark.parametrize(
    "kind", ["a program", "a program named postgres", "in our folder with our arguments", "another server"]
)
def test_a_process_with_the_id_of_a_dead_server_is_neither_used_nor_signalled(
    server_home: Path, tmp_path: Path, kind: str
) -> None:
    home = server_home.with_name("reused")
    server = EmbeddedPostgres(home)
    server.start()
    path = home / "postgres" / "postmaster.pid"
    _, data, started, *rest = path.read_text(encoding="utf-8").split("\n")
    server.release()
    with foreign_process(home, tmp_path, kind) as foreign:
        stale = "\n".join([str(foreign.pid), data, str(int(started) - 100), *rest])
        path.write_text(stale, encoding="utf-8")
        assert not server.is_running()
        server.start()
        own, written = postmaster(home), path.read_text(encoding="utf-8")
        assert own != foreign
        assert answers(server)
        # Nor at exit, when the file names it again.
        path.write_text(stale, encoding="utf-8")
        server.release()
        assert not has_ended(foreign)
        path.write_text(written, encoding="utf-8")
        server.start()
        assert postmaster(home) == own
        server.release()
        assert has_ended(own)
        assert not has_ended(foreign)


def test_a_server_is_ours_also_after_the_clock_was_set(server: EmbeddedPostgres, home: Path) -> None:
    path = home / "postgres" / "postmaster.pid"
    written = path.read_text(encoding="utf-8")
    lines = written.split("\n")
    path.write_text("\n".join([*lines[:2], str(int(lines[2]) - 600), *lines[3:]]), encoding="utf-8")
    try:
        assert server.is_running()
    finally:
        path.write_text(written, encoding="utf-8")


def test_a_server_whose_socket_others_can_reach_is_replaced(server_home: Path) -> None:
    """An earlier release left it running, with its socket in a folder under /tmp that was open to all."""
    home = server_home.with_name("open-socket")
    server = EmbeddedPostgres(home)
    server.start()
    server.release()
    programs = installed_programs()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        programs.run("pg_ctl", ["-w", "-o", f"-h '' -k {folder}", "-l", "log", "-D", HERE, "start"], home / "postgres")
        old = postmaster(home)
        assert (Path(folder) / ".s.PGSQL.5432").exists()
        server.start()
        assert has_ended(old)
        assert answers(server)
        assert not (Path(folder) / ".s.PGSQL.5432").exists()
        server.release()


IN_ANOTHER_CONTAINER = """
import sys
from pathlib import Path
from trr_pipelines.catalogue import embedded
embedded.SESSIONS_END_SECONDS = 1
embedded.EmbeddedPostgres(Path(sys.argv[1])).start()
"""


@needs_root
def test_a_second_server_never_starts_on_a_directory_where_the_first_cannot_be_seen(
    server: EmbeddedPostgres, home: Path
) -> None:
    """As from two containers with one home: other process ids, other shared memory."""
    separate = ["unshare", "--pid", "--ipc", "--fork", "--mount-proc"]
    if subprocess.run([*separate, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no namespaces")
    process = postmaster(home)
    second = subprocess.run(
        [*separate, sys.executable, "-c", IN_ANOTHER_CONTAINER, str(home)], capture_output=True, text=True, check=False
    )
    assert "or by a server that is not visible here, such as that of another container" in second.stderr
    assert postmaster(home) == process
    assert answers(server)


# Failed starts name their reason -------------------------------------------------------------------------------------


@pytest.fixture
def stopped(server_home: Path) -> Iterator[Path]:
    """The data directory of a stopped server, which the test may damage."""
    home = server_home.with_name("stopped")
    if not home.exists():
        server = EmbeddedPostgres(home)
        server.start()
        server.release()
    damaged = copy_of(home, "damaged")
    yield damaged / "postgres"
    shutil.rmtree(damaged)


def refusal(data: Path) -> str:
    server = EmbeddedPostgres(data.parent)
    with pytest.raises(SetupError) as error:
        server.start()
    server.release()
    prefix = f"the embedded PostgreSQL in {data} does not start: "
    assert str(error.value).startswith(prefix)
    return str(error.value).removeprefix(prefix)


def test_an_empty_data_directory_is_refused(stopped: Path) -> None:
    for path in stopped.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    expected = "the data directory is empty; restore it, or remove it to begin with an empty catalogue"
    assert refusal(stopped) == expected
    (stopped / "other.txt").write_bytes(b"")
    assert refusal(stopped) == expected.replace("is empty;", "has no PG_VERSION;")


def test_a_data_directory_of_another_version_is_refused(stopped: Path) -> None:
    (stopped / "PG_VERSION").write_text("16\n", encoding="ascii")
    assert refusal(stopped) == "the data directory is of PostgreSQL 16, the programs are of 18"


@needs_root
def test_a_data_directory_of_another_user_is_refused(stopped: Path) -> None:
    os.chown(stopped, STRANGER, STRANGER)
    expected = f"the data directory belongs to uid {STRANGER}, and the server would run as pgserver; "
    assert refusal(stopped).startswith(expected)


def test_a_server_that_ends_while_starting_gives_the_end_of_its_log(
    stopped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "SESSIONS_END_SECONDS", 1)
    (stopped / "postgresql.auto.conf").write_text("shared_buffers = 'plenty'\n", encoding="utf-8")
    reason = refusal(stopped)
    assert 'invalid value for parameter "shared_buffers": "plenty"' in reason
    assert reason.endswith(f"({stopped / 'log'})")
