"""`trr reprocess`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from trr_pipelines.cli.arguments import parse_photo_id, shell_author
from trr_pipelines.cli.console import Json, console, human_bytes, opened_archive, print_json, stop_on_signals
from trr_pipelines.errors import InputError

commands = typer.Typer()

WATCH_SECONDS = 1.0


@commands.command(epilog="Example: trr reprocess --reason decode_timeout --source deadline --dry-run")
def reprocess(
    photo: Annotated[str, typer.Argument(help="Id of one photo, instead of a filter.")] = "",
    state: Annotated[str | None, typer.Option(help="pending, mirrored or failed.")] = None,
    reason: Annotated[str | None, typer.Option(help="Reason code of a failure.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of a source.")] = None,
    show: Annotated[str | None, typer.Option(help="Id or slug of a show; its seasons count.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the cost; change nothing.")] = False,
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    report: Annotated[int | None, typer.Option(help="Show the result of the request with this number.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="With --report: wait until nothing of it is open.")] = False,
    as_json: Json = False,
) -> None:
    """Reprocess one photo or all that match a filter; the pipeline then runs the work."""
    from trr_pipelines.pipeline.rework import reprocessing

    wanted = reprocessing.ReprocessFilter(state, reason, source, show)
    if photo and (dry_run or any(asdict(wanted).values())):
        raise InputError("a photo's id goes with neither a filter nor --dry-run")
    if watch and report is None:
        raise InputError("--watch goes with --report NUMBER")
    if report is not None:
        if photo or dry_run or any(asdict(wanted).values()):
            raise InputError("--report goes with neither a photo's id, a filter nor --dry-run")
        _print_report(report, watch=watch, as_json=as_json)
        return
    with opened_archive() as archive:
        if photo:
            photo_id = parse_photo_id(photo)
            kinds = reprocessing.reprocess_photo(archive.database, photo_id, author=shell_author(author))
            reopened = {"media_asset_id": str(photo_id), "reopened": list(kinds)}
            print_json(reopened) if as_json else print(f"{photo_id}: {', '.join(kinds) or 'open already'}")
            return
        if dry_run:
            price = reprocessing.plan_reprocessing(archive.database, wanted)
        else:
            price = reprocessing.reprocess(archive.database, wanted, author=shell_author(author))
    if as_json:
        print_json({"dry_run": dry_run, **price.report()})
        return
    cost = price.estimate
    minutes = "unknown" if cost.minutes is None else f"{cost.minutes:g}"
    storage = "unknown" if cost.new_bytes is None else human_bytes(cost.new_bytes)
    photos = f"{cost.photos}{' or more' if price.photos_capped else ''} photos"
    print(
        f"{photos} {'would be done' if dry_run else 'are done'} again: {human_bytes(cost.bytes_to_read)} to read,"
        f" minutes: {minutes}, new storage: {storage}"
    )
    if price.id is not None:
        print(f"how it comes out: trr reprocess --report {price.id} --watch")


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
        asked = ", ".join(f"{name} {value}" for name, value in asdict(report.filter).items() if value)
        print(f"request {report.id} ({asked}) by {report.author}: {report}, {report.seconds:.0f} s")


def _watch(archive: Any, report: Any) -> Any:
    """Until nothing of it is open, or Ctrl-C."""
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
