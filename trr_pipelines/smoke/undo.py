"""Journal of the changes of a smoke, undone at its end, when interrupted, or after a kill when the next one starts.

Each undo entry is written to a file before the change is made, and removed once undone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trr_pipelines.errors import SetupError

Undo = Callable[[Mapping[str, Any]], None]


class Journal:
    """Pending undo entries, newest first; `undo` maps the `kind` of an entry to its undo function."""

    def __init__(self, path: Path, undo: Mapping[str, Undo]) -> None:
        self._path = path
        self._undo = undo
        try:
            self._entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            self._entries = []
        except ValueError:
            raise SetupError(
                f"{path} is damaged: undo the changes of the earlier smoke by hand, then remove the file"
            ) from None

    def __len__(self) -> int:
        return len(self._entries)

    def note(self, kind: str, **values: Any) -> None:
        """Record how to undo a change that is about to be made."""
        self._entries.append({"kind": kind, **values})
        self._save()

    def undo_all(self) -> list[str]:
        """Undo all pending entries. Those that fail are kept, and returned as one line each."""
        problems = []
        for entry in reversed(list(self._entries)):
            try:
                self._undo[entry["kind"]](entry)
            except Exception as error:  # noqa: BLE001  one failure must not prevent the other undos
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
