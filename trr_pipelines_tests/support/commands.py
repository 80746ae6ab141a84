"""`trr` as a user runs it: a process of its own, and what it said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 120


@dataclass(frozen=True)
class Result:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Trr:
    """Runs `trr` in a folder with an environment of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TRR_HOME": str(folder / "home"),
        } | environment

    def __call__(self, *arguments: str | Path, wrapper: tuple[str, ...] = ()) -> Result:
        ended = subprocess.run(
            [*wrapper, sys.executable, "-m", "trr_pipelines", *map(str, arguments)],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=SECONDS,
        )
        assert "Traceback" not in ended.stderr + ended.stdout
        return Result(ended.returncode, ended.stdout, ended.stderr)


def one_line(result: Result, *parts: str) -> None:
    """The command failed, and said why in one line that holds these parts."""
    assert result.code == 1, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("trr: ")
    for part in parts:
        assert part in result.err
