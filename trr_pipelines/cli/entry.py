"""The `trr` application: its command groups, logging and error output."""

from __future__ import annotations

import errno
import logging
import sys
import warnings
from typing import Any, NoReturn

import typer
from rich.markup import escape

from trr_pipelines.cli import (
    alerts,
    backfill,
    bridge,
    database,
    facebank,
    importing,
    local,
    photos,
    rendering,
    reports,
    reprocessing,
    rollout,
    takedown,
    upkeep,
)
from trr_pipelines.cli.console import console, is_debug
from trr_pipelines.errors import TrrError
from trr_pipelines.foreign_text import shown

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Photo derivatives for TRR: import, render, maintain, and run everything on one machine.",
)
# In the order of `trr --help`.
for group in (importing, rendering, reports, alerts, photos, reprocessing, takedown, upkeep, local, rollout):
    app.add_typer(group.commands)
app.add_typer(backfill.commands, name="backfill")
app.add_typer(backfill.recipe_commands, name="recipe")
app.add_typer(bridge.commands, name="bridge")
app.add_typer(facebank.commands, name="facebank")
app.add_typer(rollout.rollout_commands, name="rollout")
app.add_typer(database.commands, name="db")


def main() -> NoReturn:
    """Run a command. Every error is printed as one line; exit code 1, or 2 for wrong usage."""
    _quiet_unless_debugging()
    try:
        app()  # raises SystemExit, also after wrong usage and Ctrl-C
    except TrrError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001  last resort: users see no traceback
        _report_unexpected(error)
    raise AssertionError("unreachable: a command ends with SystemExit")


class _OneLine(logging.Formatter):
    """Log format of one line each, without tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: ARG002, N802  logging's names
        return ""


def _quiet_unless_debugging() -> None:
    """Log warnings and errors as one line each, and hide Python warnings, unless TRR_DEBUG is set."""
    handler = logging.StreamHandler()
    handler.setFormatter((logging.Formatter if is_debug() else _OneLine)("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if not is_debug() and not sys.warnoptions:
        warnings.simplefilter("ignore")


def _report_unexpected(error: Exception) -> NoReturn:
    """Print an unexpected error as one line, or with its traceback when TRR_DEBUG is set."""
    if is_debug():
        raise error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _fail(f"disk full: {error.filename or error.strerror}")
    first_line = next(iter(str(error).strip().splitlines()), "")
    _fail(f"{type(error).__name__}: {first_line} (set TRR_DEBUG=1 for the traceback)")


def _fail(message: str) -> NoReturn:
    console.print(f"[bold red]trr:[/] {escape(shown(' '.join(message.split())))}", soft_wrap=True)
    sys.exit(1)
