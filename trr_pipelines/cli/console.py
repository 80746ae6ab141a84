"""Shared by the commands: console, JSON and size output, the archive, signals."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer
from rich.console import Console

from trr_pipelines.errors import SetupError
from trr_pipelines.foreign_text import shown
from trr_pipelines.home import private_umask
from trr_pipelines.local.stopping import stopping_signals
from trr_pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from trr_pipelines.pipeline.archive import Archive
    from trr_pipelines.screenalytics.bank import FaceBank

console = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def is_debug() -> bool:
    """Whether TRR_DEBUG is set."""
    with suppress(SetupError):  # reported by the command that needs the settings
        return load_settings().debug
    return False


def stop_on_signals() -> None:
    """Handle SIGTERM and SIGHUP like Ctrl-C, and Ctrl-C too when the shell started us with it ignored.

    The first raises KeyboardInterrupt; later ones change nothing, so that the orderly stop goes on.
    """

    def stop(_number: int, _frame: object) -> None:
        for number in signals:
            signal.signal(number, lambda _number, _frame: None)
        raise KeyboardInterrupt

    signals = stopping_signals()
    for number in signals:
        signal.signal(number, stop)


@contextmanager
def opened_archive() -> Iterator[Archive]:
    """The archive of the settings; files made in the block are private. Raises SetupError."""
    from trr_pipelines.pipeline.archive import open_archive

    with private_umask(), open_archive(load_settings()) as archive:
        yield archive


def opened_bank(settings: Settings) -> FaceBank:
    """The face bank of the settings; the embedded one is upgraded to its newest schema."""
    from trr_pipelines.pipeline.archive import screenalytics_url
    from trr_pipelines.screenalytics.factory import open_bank

    return open_bank(screenalytics_url(settings), upgrade=settings.screenalytics_db_url is None)


def say(text: str, *, file: TextIO | None = None) -> None:
    """Print one line, to stdout by default; control and direction characters of foreign text are escaped."""
    print(shown(text), file=file)


def print_json(value: Any) -> None:
    """Print any value as indented JSON; other types as text."""
    print(json.dumps(value, indent=2, default=str))


def human_bytes(count: float) -> str:
    """`count` in B, KB, MB or GB (powers of 1000)."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable: the loop returns at GB")
