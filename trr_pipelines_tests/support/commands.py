"""Runs `trr` as a user does, in a separate process or in this one, and captures its output."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from trr_pipelines.cli import main

SECONDS = 120


@dataclass(frozen=True)
class Result:
    """Output and exit code of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_process(
    arguments: tuple[str | Path, ...], environment: Mapping[str, str], folder: Path, wrapper: tuple[str, ...] = ()
) -> Result:
    """Run `trr` in a separate process, started by the command `wrapper` if given."""
    process = subprocess.run(
        [*wrapper, sys.executable, "-m", "trr_pipelines", *map(str, arguments)],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=SECONDS,
    )
    assert "Traceback" not in process.stderr + process.stdout
    return Result(process.returncode, process.stdout, process.stderr)


def run_here(arguments: tuple[str | Path, ...], environment: Mapping[str, str], folder: Path) -> Result:
    """Run `trr` in this process, which saves the start-up time of 0.6 s.

    For refusals before any work is done, and for commands that are only a query or an update.
    """
    out, err = io.StringIO(), io.StringIO()
    code: object = None
    with (
        pytest.MonkeyPatch.context() as patch,
        _signals_kept(),
        warnings.catch_warnings(),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        for name in os.environ.keys() - environment.keys():
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["trr", *map(str, arguments)])
        # The command must configure logging itself, because its log lines are part of its output.
        patch.setattr(logging.root, "handlers", [])
        patch.setattr(logging.root, "level", logging.root.level)
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code
    assert "Traceback" not in err.getvalue() + out.getvalue()
    assert isinstance(code, int)
    return Result(code, out.getvalue(), err.getvalue())


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore signal handlers, which some commands change."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Trr:
    """Runs `trr` in a folder with a separate environment."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TRR_HOME": str(folder / "home"),
        } | environment

    def here(self, *arguments: str | Path) -> Result:
        return run_here(arguments, self.environment, self.folder)

    def __call__(self, *arguments: str | Path, wrapper: tuple[str, ...] = ()) -> Result:
        return run_process(arguments, self.environment, self.folder, wrapper)


def one_line(result: Result, *parts: str) -> None:
    """Assert that the command failed with a one-line error containing these parts."""
    assert result.code == 1, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("trr: ")
    for part in parts:
        assert part in result.err
