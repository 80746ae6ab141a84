"""`trr backfill` and `trr recipe`: work on everything that the archive holds, and what it would cost."""

from __future__ import annotations

import getpass
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from trr_pipelines.cli.console import Json, console, human_bytes, opened_archive, print_json, stop_on_signals

commands = typer.Typer(
    no_args_is_help=True, help="Render what the archive lacks, behind live imports and edits; can be paused."
)
recipe_commands = typer.Typer(no_args_is_help=True, help="Recipes of derivatives.")

WATCH_SECONDS = 1.0

Order = Annotated[
    str,
    typer.Option(help="recency: newest batches first; hot: those in the most viewed galleries; source: by source."),
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
    print(_price_line(planned.estimate, f"{len(planned.batches)} batches, "))
    for batch in planned.batches[:10]:
        taken = f", in backfill {batch.taken_by}" if batch.taken_by else ""
        print(f"  {batch.key}: {batch.photos} photos{taken}")
    if len(planned.batches) > 10:
        print(f"  and {len(planned.batches) - 10} more")


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
        print("nothing to do: every photo is complete at the present recipes, or has failed for good")
    else:
        print(
            _price_line(started.plan.estimate, f"backfill {started.backfill_id}: {len(started.plan.batches)} batches, ")
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


def _watch(archive: Any, progress: Any) -> Any:
    """Until it no longer runs, or Ctrl-C."""
    from trr_pipelines.pipeline.rework.backfills import backfill_progress

    one = progress.backfill
    columns = (TextColumn("backfill {task.fields[number]}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=one.photos, number=one.id, text="")
        try:
            while True:
                bar.update(task, completed=progress.done_photos, text=_watch_line(progress))
                if progress.backfill.state != "running":
                    return progress
                time.sleep(WATCH_SECONDS)
                progress = backfill_progress(archive.database, one.id, hours=archive.settings.backfill_hours)
        except KeyboardInterrupt:
            return progress


def _watch_line(progress: Any) -> str:
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


def _print_change(changed: Any, as_json: bool) -> None:
    if as_json:
        print_json(changed.report())
    else:
        print(f"backfill {changed.backfill}: {changed.state}{'' if changed.changed else ' already'}")


@recipe_commands.command(epilog="Example: trr recipe diff --json")
def diff(as_json: Json = False) -> None:
    """Show what the current recipes would re-render. Existing sets are served until then."""
    from trr_pipelines.pipeline.rework.estimates import recipe_diff

    with opened_archive() as archive:
        found = recipe_diff(archive.database)
    if as_json:
        print_json(found.report())
        return
    for one in found.sets:
        mark = "current" if found.is_current(one) else "outdated"
        recipe = one.recipe or "unknown"
        print(f"{one.kind} sets of recipe {recipe}: {one.photos} photos, {human_bytes(one.set_bytes)}, {mark}")
    print(_price_line(found.estimate, "to re-render: "))


def _price_line(price: Any, before: str) -> str:
    rate = f"{price.photos_per_second} photos/s {'measured' if price.is_measured else 'assumed, nothing measured yet'}"
    return (
        f"{before}{price.photos} photos, {human_bytes(price.bytes_to_read)} to read, "
        f"about {human_bytes(price.new_bytes)} of new objects, about {_duration(price.seconds)} ({rate})"
    )


def _progress_table(progress: Any) -> Table:
    one = progress.backfill
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    rows = {
        "backfill": f"{one.id}, {_state(progress)}",
        "order": f"{one.ordering}{f', source {one.source}' if one.source else ''}",
        "photos": f"{progress.done_photos} of {one.photos} done, {progress.left_photos} left",
        "batches": ", ".join(f"{count} {state}" for state, count in sorted(progress.batches.items())),
        "speed": f"{progress.photos_per_second} photos/s",
    }
    if progress.parked_photos:
        rows["parked"] = f"{progress.parked_photos} photos in batches whose runs failed too often; trr run --batch KEY"
    if progress.seconds_left is not None:
        rows["left"] = f"{_duration(progress.seconds_left)}, done at {_clock(progress.ends_at)}"
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _state(progress: Any) -> str:
    one = progress.backfill
    if progress.waits_for_hours:
        return f"{one.state}, waits for its hours"
    if one.state == "running" and not one.is_fed:
        return f"{one.state}, but no daemon is feeding this backfill; start `trr up` with the sensor backfill_feed on"
    return str(one.state)


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _duration(seconds: float) -> str:
    """Seconds up to two minutes, minutes up to two hours, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
