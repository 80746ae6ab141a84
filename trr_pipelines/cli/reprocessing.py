"""`trr reprocess`: re-queue failed or completed work, and report its results."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn

from trr_pipelines.cli.arguments import parse_photo_id, shell_author
from trr_pipelines.cli.console import Json, console, human_bytes, opened_archive, print_json, say, stop_on_signals
from trr_pipelines.errors import InputError

if TYPE_CHECKING:
    from trr_pipelines.pipeline.archive import Archive
    from trr_pipelines.pipeline.rework.reprocessing import ReprocessReport

commands = typer.Typer()

WATCH_SECONDS = 1.0


@commands.command(epilog="Example: trr reprocess --reason decode_timeout --source deadline --dry-run")
def reprocess(
    photo: Annotated[str, typer.Argument(help="Id of a single photo, instead of a filter.")] = "",
    state: Annotated[str | None, typer.Option(help="pending, mirrored or failed.")] = None,
    reason: Annotated[str | None, typer.Option(help="Reason code of a failure.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of a source.")] = None,
    show: Annotated[str | None, typer.Option(help="Id or slug of a show, including its seasons.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cost; change nothing.")] = False,
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    report: Annotated[int | None, typer.Option(help="Show the result of the request with this number.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="With --report: wait until nothing of it is open.")] = False,
    as_json: Json = False,
) -> None:
    """Reprocess one photo or all that match a filter; the pipeline then runs the work."""
    from trr_pipelines.pipeline.rework import reprocessing

    chosen = reprocessing.ReprocessFilter(state, reason, source, show)
    if photo and (dry_run or any(asdict(chosen).values())):
        raise InputError("a photo id cannot be combined with a filter or --dry-run")
    if watch and report is None:
        raise InputError("--watch needs --report NUMBER")
    if report is not None:
        if photo or dry_run or any(asdict(chosen).values()):
            raise InputError("--report cannot be combined with a photo id, a filter or --dry-run")
        _print_report(report, watch=watch, as_json=as_json)
        return
    with opened_archive() as archive:
        if photo:
            photo_id = parse_photo_id(photo)
            kinds = reprocessing.reprocess_photo(archive.database, photo_id, author=shell_author(author))
            reopened = {"media_asset_id": str(photo_id), "reopened": list(kinds)}
            print_json(reopened) if as_json else say(f"{photo_id}: {', '.join(kinds) or 'already queued'}")
            return
        if dry_run:
            plan = reprocessing.plan_reprocessing(archive.database, chosen)
        else:
            plan = reprocessing.reprocess(archive.database, chosen, author=shell_author(author))
    if as_json:
        print_json({"dry_run": dry_run, **plan.report()})
        return
    cost = plan.estimate
    minutes = "unknown" if cost.minutes is None else f"{cost.minutes:g}"
    storage = "unknown" if cost.new_bytes is None else human_bytes(cost.new_bytes)
    photos = f"{cost.photos}{' or more' if plan.photos_capped else ''} photos"
    say(
        f"{photos} {'would be reprocessed' if dry_run else 'queued for reprocessing'}:"
        f" {human_bytes(cost.bytes_to_read)} to read, minutes: {minutes}, new storage: {storage}"
    )
    if plan.id is not None:
        say(f"follow the results with `trr reprocess --report {plan.id} --watch`")


def _print_report(number: int, *, watch: bool, as_json: bool) -> None:
    from trr_pipelines.pipeline.rework.reprocessing import report_of

    with opened_archive() as archive:
        report = report_of(archive.database, number)
        if watch:
            stop_on_signals()
            report = _watch(archive, report)
    if as_json:
        print_json(report.report())
    else:
        filters = ", ".join(f"{name} {value}" for name, value in asdict(report.filter).items() if value)
        say(f"request {report.id} ({filters}) by {report.author}: {report}, {report.seconds:.0f} s")


def _watch(archive: Archive, report: ReprocessReport) -> ReprocessReport:
    """Show a progress bar until no work of the request is open or Ctrl-C; returns the last report."""
    from trr_pipelines.pipeline.rework.reprocessing import report_of

    columns = (TextColumn("request {task.fields[number]}"), BarColumn(), TextColumn("{task.fields[text]}"))
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=report.photos, number=report.id, text="")
        try:
            while True:
                bar.update(task, completed=report.photos - report.open, text=str(report))
                if report.is_done:
                    return report
                time.sleep(WATCH_SECONDS)
                report = report_of(archive.database, report.id)
        except KeyboardInterrupt:
            return report
