"""`trr backfill` and `trr recipe`: render the whole archive in the background, and estimate its cost."""

from __future__ import annotations

import getpass
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from trr_pipelines.cli.console import Json, console, human_bytes, opened_archive, print_json, say, stop_on_signals

if TYPE_CHECKING:
    from trr_pipelines.pipeline.archive import Archive
    from trr_pipelines.pipeline.rework.backfills import BackfillProgress, StateChange
    from trr_pipelines.pipeline.rework.estimates import Estimate

commands = typer.Typer(
    no_args_is_help=True,
    help="Render missing derivatives in the background lane; can be paused.",
)
recipe_commands = typer.Typer(no_args_is_help=True, help="Recipes of derivatives.")

WATCH_SECONDS = 1.0

Order = Annotated[
    str,
    typer.Option(help="recency: newest batches first; hot: most viewed galleries first; source: grouped by source."),
]
Source = Annotated[str, typer.Option(help="Only photos of this source.")]
Which = Annotated[int | None, typer.Argument(help="Number of the backfill; the active one by default.")]


@commands.command(epilog="Example: trr backfill plan --order hot --source deadline")
def plan(order: Order = "recency", source: Source = "", as_json: Json = False) -> None:
    """Show what a backfill would render and what it would cost. Changes nothing."""
    from trr_pipelines.pipeline.rework.backfills import plan_backfill

    with opened_archive() as archive:
        planned = plan_backfill(archive.database, ordering=order, source=source or None)
    if as_json:
        print_json(planned.report())
        return
    say(_estimate_line(planned.estimate, f"{len(planned.batches)} batches, "))
    for batch in planned.batches[:10]:
        taken = f", in backfill {batch.taken_by}" if batch.taken_by else ""
        say(f"  {batch.key}: {batch.photos} photos{taken}")
    if len(planned.batches) > 10:
        say(f"  and {len(planned.batches) - 10} more")


@commands.command(epilog="Example: trr backfill start --order recency --galleries 10")
def start(
    order: Order = "recency",
    source: Source = "",
    galleries: Annotated[int, typer.Option(help="How many of the hottest galleries to render first.")] = 10,
    as_json: Json = False,
) -> None:
    """Start a backfill of every photo with open work. The sensor of a running `trr up` requests its runs."""
    from trr_pipelines.pipeline.rework.backfills import start_backfill

    with opened_archive() as archive:
        started = start_backfill(
            archive.database,
            ordering=order,
            source=source or None,
            galleries=galleries,
            author=f"cli:{getpass.getuser()}",
        )
    if as_json:
        print_json(started.report())
    elif started.backfill_id is None:
        say("nothing to do: every photo is complete with the current recipes or failed permanently")
    else:
        say(
            _estimate_line(
                started.plan.estimate, f"backfill {started.backfill_id}: {len(started.plan.batches)} batches, "
            )
        )


@commands.command(epilog="Example: trr backfill status --watch")
def status(
    backfill: Annotated[int | None, typer.Argument(help="Number of the backfill; the newest by default.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show a progress bar until it ends or is paused.")] = False,
    as_json: Json = False,
) -> None:
    """Show the progress of a backfill and its estimated end."""
    from trr_pipelines.pipeline.rework.backfills import backfill_progress

    with opened_archive() as archive:
        hours = archive.settings.backfill_hours
        progress = backfill_progress(archive.database, backfill, hours=hours)
        if watch:
            stop_on_signals()
            progress = _watch(archive, progress)
    if as_json:
        print_json(progress.report())
    else:
        Console(highlight=False).print(_progress_table(progress))


def _watch(archive: Archive, progress: BackfillProgress) -> BackfillProgress:
    """Show a progress bar until the backfill stops running or Ctrl-C; returns the last progress."""
    from trr_pipelines.pipeline.rework.backfills import backfill_progress

    backfill = progress.backfill
    columns = (TextColumn("backfill {task.fields[number]}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=backfill.photos, number=backfill.id, text="")
        try:
            while True:
                bar.update(task, completed=progress.done_photos, text=_watch_line(progress))
                if progress.backfill.state != "running":
                    return progress
                time.sleep(WATCH_SECONDS)
                progress = backfill_progress(archive.database, backfill.id, hours=archive.settings.backfill_hours)
        except KeyboardInterrupt:
            return progress


def _watch_line(progress: BackfillProgress) -> str:
    done = f"{progress.done_photos}/{progress.backfill.photos} photos, {progress.photos_per_second} photos/s"
    if progress.seconds_left is None or not progress.backfill.is_fed:
        return f"{done}, {_state(progress)}"
    return f"{done}, {_duration(progress.seconds_left)} left"


@commands.command(epilog="Example: trr backfill pause")
def pause(backfill: Which = None, as_json: Json = False) -> None:
    """Request no further runs, even after a restart; the current run finishes its batch."""
    from trr_pipelines.pipeline.rework.backfills import pause_backfill

    with opened_archive() as archive:
        _print_change(pause_backfill(archive.database, backfill), as_json)


@commands.command(epilog="Example: trr backfill resume")
def resume(backfill: Which = None, as_json: Json = False) -> None:
    """Resume a paused backfill; completed batches are skipped."""
    from trr_pipelines.pipeline.rework.backfills import resume_backfill

    with opened_archive() as archive:
        _print_change(resume_backfill(archive.database, backfill), as_json)


@commands.command(epilog="Example: trr backfill cancel 3")
def cancel(backfill: Which = None, as_json: Json = False) -> None:
    """Cancel a backfill and its current run. Completed work is kept."""
    from trr_pipelines.pipeline.rework.backfills import cancel_backfill

    with opened_archive() as archive:
        _print_change(cancel_backfill(archive.database, backfill), as_json)


def _print_change(change: StateChange, as_json: bool) -> None:
    if as_json:
        print_json(change.report())
    else:
        say(f"backfill {change.backfill}: {change.state}{'' if change.changed else ' already'}")


@recipe_commands.command(epilog="Example: trr recipe diff --json")
def diff(as_json: Json = False) -> None:
    """Show what the current recipes would re-render. Existing sets are served until then."""
    from trr_pipelines.pipeline.rework.estimates import recipe_diff

    with opened_archive() as archive:
        difference = recipe_diff(archive.database)
    if as_json:
        print_json(difference.report())
        return
    for sets in difference.sets:
        state = "current" if difference.is_current(sets) else "outdated"
        recipe = sets.recipe or "unknown"
        say(f"{sets.kind} sets of recipe {recipe}: {sets.photos} photos, {human_bytes(sets.set_bytes)}, {state}")
    say(_estimate_line(difference.estimate, "to re-render: "))


def _estimate_line(cost: Estimate, prefix: str) -> str:
    rate = f"{cost.photos_per_second} photos/s {'measured' if cost.is_measured else 'assumed, nothing measured yet'}"
    new_bytes = "unknown" if cost.new_bytes is None else f"about {human_bytes(cost.new_bytes)}"
    duration = "unknown" if cost.seconds is None else f"about {_duration(cost.seconds)}"
    return (
        f"{prefix}{cost.photos} photos, {human_bytes(cost.bytes_to_read)} to read, "
        f"new objects: {new_bytes}, duration: {duration} ({rate})"
    )


def _progress_table(progress: BackfillProgress) -> Table:
    backfill = progress.backfill
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "backfill": f"{backfill.id}, {_state(progress)}",
        "order": f"{backfill.ordering}{f', source {backfill.source}' if backfill.source else ''}",
        "photos": f"{progress.done_photos} of {backfill.photos} done, {progress.left_photos} left",
        "batches": ", ".join(f"{count} {state}" for state, count in sorted(progress.batches.items())),
        "speed": f"{progress.photos_per_second} photos/s",
    }
    if progress.parked_photos:
        rows["parked"] = (
            f"{progress.parked_photos} photos in repeatedly failed batches; "
            "retry with `trr unpark`, or `trr run --batch KEY`"
        )
    if progress.seconds_left is not None:
        rows["left"] = f"{_duration(progress.seconds_left)}{_until(progress.ends_at)}"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _state(progress: BackfillProgress) -> str:
    backfill = progress.backfill
    if progress.waits_for_hours:
        return f"{backfill.state}, waiting for TRR_BACKFILL_HOURS"
    if backfill.state == "running" and not backfill.is_fed:
        return f"{backfill.state}, but no daemon is feeding this backfill; start `trr up` with sensor backfill_feed on"
    return backfill.state


def _until(moment: datetime | None) -> str:
    return "" if moment is None else f", done at {moment.astimezone():%Y-%m-%d %H:%M}"


def _duration(seconds: float) -> str:
    """`seconds` as text: in seconds up to two minutes, in minutes up to two hours, then in hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
