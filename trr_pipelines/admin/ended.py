"""Ids that must not be used again: of sessions that were signed out, and of sign-in links that were used.

An id is an empty file, so all processes of the app and its next start know it. Processes on several machines must share
TRR_HOME, where the folder is.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from trr_pipelines.errors import SetupError
from trr_pipelines.home import FILE, make_folder

SLACK_SECONDS: Final = 60


class EndedIds:
    """The ids below a folder, each until it expires anyway. Safe to share between threads and processes."""

    def __init__(self, home: Path) -> None:
        """Make the folder below `home`, for its owner only. Raises SetupError if files cannot be made in it."""
        self._folder = home / "admin-ended"
        try:
            make_folder(self._folder)
            self.add(f"start of {uuid4()}", 0)
        except OSError as error:
            raise SetupError(
                f"{self._folder}: cannot keep which sessions have ended ({error.strerror}); see TRR_HOME"
            ) from None

    def add(self, id_: str, expires: int) -> bool:
        """End an id until `expires` (seconds since 1970); on disk when this returns. Raises OSError if that fails.

        False if it has ended already: of two calls at once, one returns True.
        """
        self._forget_expired()
        path = self._folder / _name(id_)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE)
        except FileExistsError:
            return False
        try:
            os.utime(path, (expires, expires))  # the file's time is its expiry
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True

    def __contains__(self, id_: str) -> bool:
        """Whether an id has ended."""
        return os.path.lexists(self._folder / _name(id_))

    def _forget_expired(self) -> None:
        """Delete files whose time is long past; that of a new one is set a moment after it is made."""
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):
                if path.lstat().st_mtime < time.time() - SLACK_SECONDS:
                    path.unlink()


def _name(id_: str) -> str:
    return hashlib.sha256(id_.encode()).hexdigest()
