"""Reading one photo from a local path: size-limited, and never blocked by a FIFO or device.

Belongs here: mapping of file system errors to reason codes. Walking folders does not.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from trr_pipelines.errors import PermanentError, Reason, RetryableError
from trr_pipelines.imaging.decode import MAX_BYTES
from trr_pipelines.pipeline.imports.fetching.body import too_many_bytes

_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
"""Without O_NONBLOCK, opening a FIFO that has no writer blocks forever."""

_REASONS: Final = {
    errno.ENOENT: Reason.FETCH_NOT_FOUND,
    errno.ENOTDIR: Reason.FETCH_NOT_FOUND,
    errno.EACCES: Reason.FETCH_FORBIDDEN,
    errno.EPERM: Reason.FETCH_FORBIDDEN,
}


def read_local(path: Path, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a regular file; symbolic links are followed.

    Raises:
        PermanentError: `fetch_failed` for a directory, a FIFO or a device; `too_many_bytes`, before anything is
            read; `empty_file`.
        RetryableError: `fetch_not_found`, `fetch_forbidden`, `fetch_failed`.
    """
    with _file_errors(path), _opened(path) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PermanentError(Reason.FETCH_FAILED, f"{path} is {_kind(status.st_mode)}, not a file")
        if status.st_size > max_bytes:
            raise too_many_bytes(str(path), status.st_size, max_bytes)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)  # it may have grown since fstat
    if len(data) > max_bytes:
        raise too_many_bytes(str(path), f"more than {max_bytes}", max_bytes)
    if not data:
        raise PermanentError(Reason.EMPTY_FILE, f"{path} has 0 bytes")
    return data


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, _OPEN)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, Reason.FETCH_FAILED)
        raise RetryableError(reason, f"{path}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL byte in the path
        raise PermanentError(Reason.FETCH_NOT_FOUND, f"{str(path)!r}: {error}") from error


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device"
