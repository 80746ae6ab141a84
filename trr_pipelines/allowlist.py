"""E-mail addresses of admins: from a setting, or from a file that is re-read while the server runs."""

from __future__ import annotations

import re
import time
from pathlib import Path
from threading import Lock

from trr_pipelines.errors import SetupError

REREAD_SECONDS = 5.0  # an admin removed from the file is refused well within a minute


def folded(email: str) -> str:
    """An e-mail address in the form used for comparison.

    Only ASCII addresses are case-folded: folding maps some non-ASCII letters to ASCII (the Kelvin sign to k), and a
    look-alike address must not match another user's.
    """
    bare = email.strip()
    return bare.casefold() if bare.isascii() else bare


class Allowlist:
    """The addresses of `TRR_ADMIN_ALLOWLIST`; thread-safe."""

    def __init__(self, setting: str) -> None:
        self._path = Path(setting.removeprefix("file:")) if setting.startswith("file:") else None
        self._emails = frozenset[str]() if self._path else _emails(setting)
        self._read_at = float("-inf")
        self._lock = Lock()
        if self._path is not None:
            try:
                self._emails = _emails(self._path.read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise SetupError(f"TRR_ADMIN_ALLOWLIST: {self._path} cannot be read ({error})") from None

    def __contains__(self, email: object) -> bool:
        return isinstance(email, str) and bool(email.strip()) and folded(email) in self._current()

    @property
    def size(self) -> int:
        """The current number of addresses."""
        return len(self._current())

    def _current(self) -> frozenset[str]:
        if self._path is None:
            return self._emails
        with self._lock:
            if time.monotonic() - self._read_at >= REREAD_SECONDS:
                try:
                    self._emails = _emails(self._path.read_text(encoding="utf-8"))
                except (OSError, UnicodeDecodeError):
                    self._emails = frozenset()  # an unreadable list allows no one
                self._read_at = time.monotonic()
            return self._emails


def _emails(text: str) -> frozenset[str]:
    lines = [line.partition("#")[0] for line in text.splitlines()]
    return frozenset(folded(word) for line in lines for word in re.split(r"[\s,;]+", line) if "@" in word)
