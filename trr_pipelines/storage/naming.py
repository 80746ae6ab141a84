"""Giving a temporary file its final name, atomically: only if the name is free, or in place of another file.

A hard link fails if the name exists. File systems without hard links (exFAT, FAT, most SMB shares) have a rename that
fails instead: `renameat2` with RENAME_NOREPLACE, which Python does not offer.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

_NO_HARD_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK})
_NO_SUCH_RENAME: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_RENAME_NOREPLACE: Final = 1  # linux/fs.h


class UnsuitableFileSystemError(PermissionError):
    """The file system can neither link nor rename without overwriting, so objects cannot be stored atomically."""


def take_free_name(temporary: str, source: int, name: str, target: int) -> bool:
    """Name the file `temporary` of the directory `source` `name` in the directory `target`; False if that name exists.

    The directories are descriptors on one file system. Raises UnsuitableFileSystemError and other errors of `os.link`.
    """
    try:
        os.link(temporary, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        return _rename(temporary, source, name, target)
    return True


def take_name(temporary: str, source: int, name: str, target: int) -> bool:
    """As `take_free_name`, but in place of a file that has the name; True."""
    os.rename(temporary, name, src_dir_fd=source, dst_dir_fd=target)
    return True


def _rename(temporary: str, source: int, name: str, target: int) -> bool:
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        number = errno.ENOSYS
    elif renameat2(source, os.fsencode(temporary), target, os.fsencode(name), _RENAME_NOREPLACE) == 0:
        return True
    else:
        number = ctypes.get_errno()
    if number == errno.EEXIST:
        return False
    if number in _NO_SUCH_RENAME:
        raise UnsuitableFileSystemError(
            errno.EPERM, "the file system has neither hard links nor a rename that keeps an existing file"
        )
    raise OSError(number, os.strerror(number))
