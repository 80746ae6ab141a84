"""Walking below one directory without ever leaving it.

Every step opens one name relative to the directory before it and refuses symbolic links, so neither `..` nor a link
planted inside can lead elsewhere, also when the tree changes meanwhile. What the files mean is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

STEP: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How one step down is opened."""


@contextmanager
def directory(root: Path, names: Sequence[str]) -> Iterator[int]:
    """A descriptor of the directory `names` below `root`; `root` itself may be a link, since its owner chose it.

    Raises `FileNotFoundError`, and `NotADirectoryError` where a file or a link stands in the way.
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
    """Make what is missing of the directory `names` below `root`. Raises like `directory`."""
    root.mkdir(parents=True, exist_ok=True)
    for depth, name in enumerate(names):
        with directory(root, names[:depth]) as parent, suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)


def remove_empty(root: Path, names: Sequence[str]) -> None:
    """Remove the directory `names` below `root`, then those above it, up to the first that is not empty or is gone."""
    for depth in range(len(names), 0, -1):
        try:
            with directory(root, names[: depth - 1]) as parent:
                os.rmdir(names[depth - 1], dir_fd=parent)
        except OSError:  # ENOTEMPTY ends it in most cases; whatever else does, an empty directory harms nobody
            return
