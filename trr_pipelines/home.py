"""Files of ours that no other user of the machine may read, write or lock: `TRR_HOME`, and how its files are made.

What we make is 0700 or 0600 whatever the umask. Modes of what we did not make are never changed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import psutil

from trr_pipelines.errors import SetupError

logger = logging.getLogger(__name__)

FOLDER: Final = 0o700
FILE: Final = 0o600
OTHERS: Final = 0o077
"""Permission bits of group and others."""

LOCK_SECONDS: Final = 150.0  # longer than a server needs to start and to stop
_WARN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01

# What releases before 0700 left in a home, with the modes of the umask.
_EARLIER: Final = frozenset(
    {"postgres", "postgres.unfinished", "postgres.lock", "postgres.users", "dagster", "logs", "media", "samples"}
    | {"secrets.json", "admins.txt", "up.lock", "demo.lock", "template.lock"}
)


def make_home(home: Path) -> None:
    """Make the folder of the embedded state, or make one of an earlier release private.

    A folder that holds files of others keeps its mode, as does a link's target; our files in it are private anyway.
    Raises OSError.
    """
    make_folder(home)
    names = os.listdir(home)  # noqa: PTH208  names, not paths
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in _EARLIER.intersection(names):
            make_private(name, descriptor, os.geteuid())
        if _EARLIER.issuperset(names) and not home.is_symlink() and not os.fstat(descriptor).st_mode & stat.S_ISVTX:
            make_private(home.name, descriptor, os.geteuid(), itself=True)
    finally:
        os.close(descriptor)


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, each 0700. Raises OSError."""
    try:
        path.mkdir(mode=FOLDER)
    except FileNotFoundError:
        make_folder(path.parent)
        path.mkdir(mode=FOLDER, exist_ok=True)
    except FileExistsError:
        if not path.is_dir():
            raise


def make_private(name: str, parent: int, owner: int, *, itself: bool = False) -> None:
    """Take the permissions of others from the file or folder `name` in the directory `parent`, and from all below it.

    Only what the uid `owner` owns, has under one name, and is no link. The folder itself comes last, so that a call
    that was cut off is done again. With `itself` only the folder `parent` changes.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.dup(parent) if itself else os.open(name, flags, dir_fd=parent)
    try:
        status = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(status.st_mode)
        is_ours = status.st_uid == owner and not stat.S_ISLNK(status.st_mode) and (is_folder or status.st_nlink == 1)
        if not is_ours or not status.st_mode & OTHERS:
            return
        path = Path(f"/proc/self/fd/{descriptor}")  # the file itself, even if its name is given to another meanwhile
        if is_folder and not itself:
            for child in os.listdir(path):  # noqa: PTH208  names, not paths
                with suppress(FileNotFoundError):
                    make_private(child, descriptor, owner)
        with suppress(PermissionError):  # a file system without modes
            path.chmod(stat.S_IMODE(status.st_mode) & ~OTHERS)
    finally:
        os.close(descriptor)


def open_file(path: Path, mode: str = "ab", **options: Any) -> IO[Any]:
    """Open a file of ours, made 0600 if it is missing.

    Raises SetupError when it belongs to another user, who could hold its lock, and OSError.
    """
    file = open(path, mode, opener=_open, **options)  # noqa: SIM115  Path.open has no opener
    status = os.fstat(file.fileno())
    if status.st_uid != os.geteuid():
        file.close()
        raise SetupError(f"{path} belongs to {user_name(status.st_uid)}, not to {user_name(os.geteuid())}")
    if status.st_mode & OTHERS and status.st_nlink == 1:
        set_mode(file.fileno(), FILE)
    return file


def set_mode(descriptor: int, mode: int) -> None:
    """Set the mode of an open file or folder of ours, if the file system has modes (exFAT has those of its mount)."""
    with suppress(PermissionError):
        os.fchmod(descriptor, mode)


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, FILE)


@contextmanager
def private_umask() -> Iterator[None]:
    """Make all files of the block private, those of libraries and child processes too. The umask is the process's."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def lock(file: IO[Any], path: Path, *, shared: bool = False, seconds: float = LOCK_SECONDS) -> None:
    """Lock an open file; a wait is logged after five seconds, with the process that holds the lock.

    Raises SetupError when it is still held after `seconds`.
    """
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    began = time.monotonic()
    is_logged = False
    while True:
        try:
            return fcntl.flock(file, kind)
        except BlockingIOError:
            waited = time.monotonic() - began
        if waited > seconds:
            raise SetupError(f"{path} has been locked by {lock_holder(file.fileno())} for {seconds:.0f} s")
        if waited > min(_WARN_SECONDS, seconds / 2) and not is_logged:
            logger.warning("waiting for the lock %s, held by %s", path, lock_holder(file.fileno()))
            is_logged = True
        time.sleep(_POLL_SECONDS)


def lock_holder(descriptor: int) -> str:
    """The processes that hold the flock of a file, as far as the kernel shows them, in words."""
    inode = str(os.fstat(descriptor).st_ino)
    holders = []
    with suppress(OSError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
                holders.append(_process(int(fields[4])))
    return " and ".join(holders) or "another process"


def _process(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"process {pid} ({process.name()} of {user_name(process.uids().real)})"
    except (psutil.Error, ValueError):
        return f"process {pid}"


def user_name(uid: int) -> str:
    """The name of a user; `uid 1234` for one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
