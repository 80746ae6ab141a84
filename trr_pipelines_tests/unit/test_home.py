"""Files that only their user may read, write or lock; SECURITY, row "other users of the machine"."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trr_pipelines import home as own
from trr_pipelines.credentials import with_credentials
from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings
from trr_pipelines_tests.support.other_users import STRANGER, needs_root, open_to_others

HOLDER = "import fcntl, sys; f = open(sys.argv[1], 'ab'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


@pytest.mark.usefixtures("umask")
def test_folders_and_files_of_ours_are_private_whatever_the_umask(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b" / "home"
    own.make_home(home)
    own.make_home(home)
    own.open_file(home / "some.log").close()
    with own.private_umask():
        (home / "by a library").mkdir()
        (home / "by a library" / "file").write_bytes(b"")
    with_credentials(Settings(home=home))
    assert {path.name for path in home.iterdir()} == {"some.log", "by a library", "secrets.json", "admins.txt"}
    assert open_to_others(tmp_path / "a") == []


def test_the_umask_is_restored(tmp_path: Path, umask: int) -> None:
    with own.private_umask():
        pass
    (tmp_path / "file").touch()
    assert mode(tmp_path / "file") == f"{0o666 & ~umask:o}"


def test_an_open_file_of_an_earlier_release_is_closed_to_others(tmp_path: Path) -> None:
    path = tmp_path / "up.lock"
    path.touch()
    path.chmod(0o644)
    own.open_file(path, "a+").close()
    assert mode(path) == "600"


def test_a_file_behind_a_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "target").chmod(0o644)
    (tmp_path / "up.lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic links"):
        own.open_file(tmp_path / "up.lock")
    assert mode(tmp_path / "target") == "644"


@needs_root
def test_a_lock_file_of_another_user_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "postgres.lock"
    path.touch()
    os.chown(path, STRANGER, STRANGER)
    with pytest.raises(SetupError, match=f"^{re.escape(str(path))} belongs to uid {STRANGER}, not to root$"):
        own.open_file(path)


def test_a_wait_for_a_lock_names_file_and_holder_and_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "postgres.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        text = rf"process {holder.pid} \(\S+ of {own.user_name(os.geteuid())}\)"
        began = time.monotonic()
        with (
            own.open_file(path) as file,
            caplog.at_level(logging.WARNING),
            pytest.raises(SetupError, match=rf"^{re.escape(str(path))} has been locked by {text} for 1 s$"),
        ):
            own.lock(file, path, seconds=0.8)
        assert 0.8 <= time.monotonic() - began < 5
        (record,) = caplog.records
        assert re.fullmatch(rf"waiting for the lock {re.escape(str(path))}, held by {text}", record.getMessage())
        holder.communicate("\n")
    with own.open_file(path) as file:
        own.lock(file, path, seconds=0.8)


def test_shared_locks_do_not_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "postgres.users"
    with own.open_file(path) as first, own.open_file(path) as second:
        own.lock(first, path, shared=True)
        own.lock(second, path, shared=True, seconds=0)
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
