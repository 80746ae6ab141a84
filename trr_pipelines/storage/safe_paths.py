"""Opening paths below a directory without leaving it.

Every step opens one name relative to its parent and refuses symbolic links, so neither `..` nor a link inside can lead
outside, even if the tree changes meanwhile.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from trr_pipelines.home import FOLDER, make_folder, set_mode

STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""Flags that open one step down."""


@contextmanager
def directory(root: Path, names: Sequence[str]) -> Iterator[int]:
    """A descriptor of the directory `names` below `root`; `root` itself may be a link.

    Raises `FileNotFoundError`, and `NotADirectoryError` for a file or a link in the path.
    """
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            step = os.open(name, STEP, dir_fd=current)
            os.close(current)
            current = step
        yield current
    finally:
        os.close(current)


def make(root: Path, names: Sequence[str]) -> None:
    """Create the missing parts of the directory `names` below `root`. Raises like `directory`.

    A new root is private. Below it, who may read the root may read all: the umask plays no part.
    """
    make_folder(root)
    for depth, name in enumerate(names):
        with directory(root, names[:depth]) as parent, suppress(FileExistsError):
            os.mkdir(name, FOLDER, dir_fd=parent)
            if (mode := readers(root)) != FOLDER:
                step = os.open(name, STEP, dir_fd=parent)
                try:
                    set_mode(step, mode)
                finally:
                    os.close(step)


def readers(root: Path) -> int:
    """The mode of folders below `root`: others may do what they may do with the root, except writing.

    A group that new files inherit is kept.
    """
    return root.stat().st_mode & (0o755 | stat.S_ISGID) | FOLDER


def remove_empty(root: Path, names: Sequence[str]) -> None:
    """Remove the directory `names` below `root` and its parents, up to the first that is not empty or missing."""
    for depth in range(len(names), 0, -1):
        try:
            with directory(root, names[: depth - 1]) as parent:
                os.rmdir(names[depth - 1], dir_fd=parent)
        except OSError:  # mostly ENOTEMPTY; after any other error an empty directory does no harm
            return
