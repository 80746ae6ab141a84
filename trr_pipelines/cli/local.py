"""`trr up`, `trr sign-in` and `trr demo`: the embedded default on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trr_pipelines.cli.console import Json, console, opened_archive, print_json, say, stop_on_signals
from trr_pipelines.cli.reports import status_table
from trr_pipelines.errors import SetupError
from trr_pipelines.settings import load_settings

commands = typer.Typer()


@commands.command(epilog="Example: trr up")
def up() -> None:
    """Run everything on this machine: database, API, admin app, Dagster UI and daemon. Ctrl-C stops it all."""
    from trr_pipelines.admin.development import sign_in_link
    from trr_pipelines.local.stack import running_stack
    from trr_pipelines.local.stopping import Stopped, requested_by_signals

    stop = requested_by_signals()
    settings = load_settings()
    with suppress(Stopped), running_stack(settings, lambda text: _say(f"  {text}"), stop) as stack:
        link = sign_in_link(settings)
        _say(f"Admin app   {link or stack.admin}")
        _say(f"Dagster UI  {stack.dagster}\nAPI         {stack.api}\nCtrl-C stops everything.")
        stack.supervisor.watch(stop)
    _say("stopped")


def _say(text: str) -> None:
    """Print to stderr; to nothing from then on when its terminal was closed, so that the stop goes on."""
    try:
        console.print(text, soft_wrap=True)
    except OSError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        for output in (sys.stdout, sys.stderr):
            os.dup2(nothing, output.fileno())


@commands.command(name="sign-in", epilog="Example: trr sign-in")
def sign_in() -> None:
    """Print a sign-in link for the development admin of the embedded default; valid once, for 15 minutes."""
    from trr_pipelines.admin.development import sign_in_link

    link = sign_in_link(load_settings())
    if link is None:
        raise SetupError(
            "no development sign-in: only the embedded default has one, and a database, backend or sign-in is set"
        )
    say(link)


@commands.command(epilog="Example: trr demo --photos ~/Pictures")
def demo(
    photos: Annotated[Path | None, typer.Option(help="Folder of photos; the sample set by default.")] = None,
    as_json: Json = False,
) -> None:
    """Run photos through the whole pipeline on the embedded default, and show the bytes saved."""
    from trr_pipelines.local.demo import demo as run_demo
    from trr_pipelines.local.stack import only_one

    stop_on_signals()
    with only_one(load_settings().home, "demo"), opened_archive() as archive, archive.database_kept_alive():
        with rendering_progress() as progress:
            result = run_demo(archive, photos, lambda text: console.print(f"· {text}"), progress)
        if as_json:
            print_json(
                {"objects_written": result.objects_written, "rows_written": result.rows_written}
                | {"seconds": result.seconds, "runs": result.runs, "status": result.status}
            )
            return
        table = status_table(result.status)
        table.add_row("links", f"{result.links} of {sum(result.status['assets'].values())} photos")
        if result.photos_per_second:
            table.add_row("speed", f"{result.photos_per_second} photos/s fetched, rendered, stored and recorded")
        table.add_row("this run", f"{result.objects_written} objects and {result.rows_written} variant rows written")
        table.add_row("took", f"{result.seconds} s")
        output = Console(highlight=False)
        output.print(table)
        if not result.objects_written and not result.rows_written:
            output.print("Nothing to do: 0 objects and 0 variant rows written.")
        for row in result.imported.rejected:
            output.print(f"line {row.line}: {row.problem}", markup=False)
        output.print(f"Files: {archive.settings.home / 'media'}   Dagster UI and API: make up")
    if result.imported.rejected:
        raise typer.Exit(1)


@contextmanager
def rendering_progress() -> Iterator[Callable[[int, int], None]]:
    """A progress bar of finished photos."""
    columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("photos", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
