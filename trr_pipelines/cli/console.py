"""What the commands share: the console, JSON and sizes as text, the archive, signals."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, Any

import typer
from rich.console import Console

from trr_pipelines.errors import SetupError
from trr_pipelines.settings import Settings, load_settings

console = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def is_debug() -> bool:
    with suppress(SetupError):  # the command that needs the settings will say what is wrong with them
        return load_settings().debug
    return False


def stop_on_signals() -> None:
    """SIGTERM ends us like Ctrl-C, in order; and so does SIGINT where a shell started us with it ignored."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.default_int_handler)


@contextmanager
def opened_archive() -> Iterator[Any]:
    from trr_pipelines.pipeline.archive import open_archive

    with open_archive(load_settings()) as archive:
        yield archive


def opened_bank(settings: Settings) -> Any:
    """The face bank; the embedded one is at its newest schema."""
    from trr_pipelines.pipeline.archive import screenalytics_url
    from trr_pipelines.screenalytics.factory import open_bank

    return open_bank(screenalytics_url(settings), upgrade=settings.screenalytics_db_url is None)


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def human_bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable: GB ends the loop")
