"""What a smoke changes it puts back: at its end, when it is interrupted, and, after a kill, when the next one begins.

Each way back is written to a file before the change is made, and crossed off when it has been gone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trr_pipelines.errors import SetupError

Undo = Callable[[Mapping[str, Any]], None]


class Journal:
    """Ways back, the last one first. `undo` knows how to go each of them, by its `kind`."""

    def __init__(self, path: Path, undo: Mapping[str, Undo]) -> None:
        self._path = path
        self._undo = undo
        try:
            self._entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._entries = []
        except ValueError:
            raise SetupError(
                f"{path} is damaged: look by hand what an earlier smoke has left, then remove it"
            ) from None

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, kind: str, **values: Any) -> None:
        """Write down the way back from a change that is about to be made."""
        self._entries.append({"kind": kind, **values})
        self._save()

    def go_back(self) -> list[str]:
        """Undo everything that is undone yet; returns what could not be undone, in one line each, and keeps it."""
        problems = []
        for entry in reversed(list(self._entries)):
            try:
                self._undo[entry["kind"]](entry)
            except Exception as error:  # noqa: BLE001  one that fails must not keep the others from being undone
                problems.append(f"{entry['kind']}: {' '.join(str(error).split()) or type(error).__name__}")
            else:
                self._entries.remove(entry)
                self._save()
        return problems

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if not self._entries:
            self._path.unlink(missing_ok=True)
            return
        temporary = self._path.with_suffix(".part")
        temporary.write_text(json.dumps(self._entries, indent=2), encoding="utf-8")
        temporary.replace(self._path)
