"""The command line: reads arguments, calls one use case, prints. Nothing is decided here.

Modules that take long to import (Dagster 1.3 s, pandas 0.6 s) are imported by the command that needs them.
"""

from __future__ import annotations

import errno
import getpass
import json
import logging
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from trr_pipelines.errors import InputError, SetupError, TrrError
from trr_pipelines.settings import load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Photo derivatives for TRR: import, render, look after, and run it all on one machine.",
)
db = typer.Typer(no_args_is_help=True, help="The catalogue's database.")
app.add_typer(db, name="db")

console = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def main() -> NoReturn:
    """Run a command; whatever goes wrong ends as one line and an exit code (1, or 2 for wrong usage)."""
    _quiet_unless_debugging()
    try:
        app()  # exits by itself, also after wrong usage and Ctrl-C
    except TrrError as error:
        _fail(str(error))
    except Exception as error:  # noqa: BLE001  the last resort: no traceback reaches a user
        _report_unexpected(error)
    raise AssertionError("unreachable: a command ends with SystemExit")


class _OneLine(logging.Formatter):
    """What libraries and use cases log, without the traceback that may come with it."""

    def formatException(self, ei: Any) -> str:  # noqa: ARG002, N802  logging's names
        return ""


def _quiet_unless_debugging() -> None:
    """Users get one line of each warning and error, and nothing that libraries say to developers."""
    handler = logging.StreamHandler()
    handler.setFormatter((logging.Formatter if _is_debug() else _OneLine)("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    if not _is_debug() and not sys.warnoptions:
        warnings.simplefilter("ignore")


def _is_debug() -> bool:
    with suppress(SetupError):  # the command that needs the settings will say what is wrong with them
        return load_settings().debug
    return False


def _stop_on_signals() -> None:
    """SIGTERM ends us like Ctrl-C, in order; and so does SIGINT where a shell started us with it ignored."""
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, signal.default_int_handler)


def _report_unexpected(error: Exception) -> NoReturn:
    """Errors of libraries that users can mend, and everything else, in one line; the traceback on request."""
    if _is_debug():
        raise error
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        _fail(f"disk full: {error.filename or error.strerror}")
    first_line = next(iter(str(error).strip().splitlines()), "")
    _fail(f"{type(error).__name__}: {first_line} (TRR_DEBUG=1 shows where)")


def _fail(message: str) -> NoReturn:
    console.print(f"[bold red]trr:[/] {escape(' '.join(message.split()))}", soft_wrap=True)
    sys.exit(1)


@contextmanager
def _archive() -> Iterator[Any]:
    from trr_pipelines.pipeline.archive import open_archive

    with open_archive(load_settings()) as archive:
        yield archive


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def _human_bytes(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable: GB ends the loop")


@app.command(name="import", epilog="Example: trr import photos/ --source deadline --show 'The Valley' --season 2")
def import_command(
    path: Annotated[Path, typer.Argument(help="A folder, a photo, or a manifest (.csv, .jsonl).")],
    source: Annotated[str, typer.Option(help="Where the photos come from, such as deadline.")],
    show: Annotated[str, typer.Option(help="Title or slug of the show that they belong to.")] = "",
    season: Annotated[int | None, typer.Option(help="Number of the season of that show.", min=0)] = None,
    person: Annotated[str, typer.Option(help="Full name or slug of the person that they show.")] = "",
    kind: Annotated[str, typer.Option(help="photo, video_still, brand, social or news.")] = "photo",
    tag: Annotated[list[str] | None, typer.Option(help="A tag for every photo; may be given again.")] = None,
    as_json: Json = False,
) -> None:
    """Enter photos into the catalogue; the pipeline fetches and renders them. Importing again changes nothing."""
    from trr_pipelines.pipeline.importing import import_rows
    from trr_pipelines.pipeline.manifest import Defaults, read_rows

    rows = read_rows(path, Defaults(source, show, season, person, kind, tuple(tag or ())))
    with _archive() as archive:
        summary = import_rows(archive.database, rows)
    rejected = [{"line": row.line, "location": row.location, "problem": row.problem} for row in summary.rejected]
    if as_json:
        counts = {name: getattr(summary, name) for name in ("rows", "created", "known", "links", "batches")}
        _print_json({"import_id": str(summary.import_id), **counts, "rejected": rejected})
    else:
        print(
            f"{summary.rows} rows: {summary.created} new photos, {summary.known} known, {len(rejected)} rejected; "
            f"{summary.links} new links; batches: {', '.join(summary.batches) or 'none'}"
        )
        for row in rejected:
            print(f"  line {row['line']}: {row['problem']}", file=sys.stderr)
    if rejected:
        raise typer.Exit(1)


@app.command(epilog="Example: trr render photo.jpg --out /tmp/variants --crop manual,50,20,1.5 --json")
def render(
    files: Annotated[list[Path], typer.Argument(help="Photos to render.")],
    out: Annotated[Path, typer.Option(help="Folder to write to; made when it is missing.")],
    crop: Annotated[str, typer.Option(help="manual,X,Y,ZOOM with X and Y in percent; proposed when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Render every derivative of some files. Needs no database and no server."""
    from trr_pipelines.compute.pool import RenderPool
    from trr_pipelines.pipeline.render_files import render_files

    wanted = _parse_crop(crop) if crop else None
    reports = []
    with RenderPool(load_settings().render_processes or None) as pool:
        for report in render_files(files, out, wanted, pool):
            reports.append(report)
            if not as_json:
                outcome = f"{len(report.variants)} variants" if report.state == "complete" else f"{report.reason}"
                print(f"{report.file}: {report.state}, {outcome}{f': {report.detail}' if report.detail else ''}")
    if as_json:
        _print_json([report.report() for report in reports])
    if any(report.state == "failed" for report in reports):
        raise typer.Exit(1)


def _parse_crop(text: str) -> Any:
    """`manual,X,Y,ZOOM` as a crop."""
    from trr_pipelines.imaging.geometry import Crop

    try:
        mode, *numbers = text.split(",")
        x, y, zoom = (float(number) for number in numbers)
    except ValueError:
        raise InputError(f"--crop is manual,X,Y,ZOOM such as manual,50,20,1.5, not {text!r}") from None
    if mode not in ("manual", "auto"):
        raise InputError(f"--crop has mode manual or auto, not {mode!r}")
    return Crop(mode, x, y, zoom)  # type: ignore[arg-type]


@app.command(epilog="Example: trr run --batch 20260212-deadline-00001")
def run(
    batch: Annotated[list[str] | None, typer.Option(help="Key of a batch; may be given again.")] = None,
    result: Annotated[Path | None, typer.Option(help="Write the outcome of a single batch here, as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Run batches as Dagster runs in this process, no daemon needed: those given, or all that have open work."""
    from trr_pipelines.defs.running import end_killed_runs, local_instance, run_batch
    from trr_pipelines.local.dagster_home import dagster_home
    from trr_pipelines.pipeline.scheduling import batches_with_work, require_batches

    _stop_on_signals()
    with _archive() as archive:
        require_batches(archive.database, batch or ())
        batches = batch or batches_with_work(archive.database)
        home = dagster_home(archive.settings)
        with archive.database_kept_alive(), local_instance(home) as instance:
            end_killed_runs(instance)
            runs = [run_batch(instance, key, log_level="DEBUG" if _is_debug() else "CRITICAL") for key in batches]
    if result is not None and runs:
        temporary = result.with_suffix(".part")
        temporary.write_text(json.dumps(runs[0].report()), encoding="utf-8")
        temporary.rename(result)
    if as_json:
        _print_json([one.report() for one in runs])
    else:
        for one in runs:
            outcome = "complete" if one.succeeded else f"failed ({one.problem})"
            print(f"{one.batch}: {outcome}, {one.photos} photos rendered, run {one.run_id}")
    if not all(one.succeeded for one in runs):
        raise typer.Exit(1)


@app.command(epilog="Example: trr status --json")
def status(as_json: Json = False) -> None:
    """The archive in figures: photos by state, bytes before and after, failures by reason."""
    from trr_pipelines.catalogue import reports

    with _archive() as archive, archive.database.transaction() as conn:
        figures = reports.status(conn)
    if as_json:
        _print_json(figures)
    else:
        Console(highlight=False).print(_status_table(figures))


def _status_table(figures: dict[str, Any]) -> Table:
    grid = figures["grid"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    assets, base, crop = figures["assets"], figures["generations"]["base"], figures["generations"]["crop"]
    rows = {
        "photos": f"{assets['mirrored']} mirrored, {assets['failed']} failed, {assets['pending']} pending",
        "base variants": f"{base['complete']} complete, {base['failed']} failed, {base['pending']} pending",
        "crop variants": f"{crop['complete']} complete, {crop['failed']} failed, {crop['pending']} pending",
        "originals": f"{figures['originals']['count']}, {_human_bytes(figures['originals']['bytes'])}",
        "derivatives": f"{figures['variants']['count']}, {_human_bytes(figures['variants']['bytes'])}",
        "gallery grid": (
            f"{_human_bytes(grid['median_bytes_before'])} → {_human_bytes(grid['median_bytes_after'])} per photo "
            f"(median reduction {100 * grid['median_reduction']:.1f} %)"
        ),
        "failed": ", ".join(f"{reason} {count}" for reason, count in figures["failed_by_reason"].items()) or "none",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


@app.command(epilog="Example: trr crop 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --set manual,50,20,1.5")
def crop(
    photo: Annotated[str, typer.Argument(help="Id of the photo.")],
    set_to: Annotated[str, typer.Option("--set", help="manual,X,Y,ZOOM with X and Y in percent.")] = "",
    activate: Annotated[str, typer.Option(help="Signature of an earlier crop to go back to.")] = "",
    auto: Annotated[bool, typer.Option("--auto", help="Go back to the proposal.")] = False,
    author: Annotated[str, typer.Option(help="Who edits; the user of this shell when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Change the crop of a photo, or show its history. The new crop is served once the pipeline has rendered it."""
    from trr_pipelines.pipeline import crops

    if sum(map(bool, (set_to, activate, auto))) > 1:
        raise InputError("--set, --activate and --auto exclude each other")
    photo_id, who = _photo_id(photo), author or f"cli:{getpass.getuser()}"
    with _archive() as archive:
        database = archive.database
        if set_to:
            edit = crops.set_crop(database, photo_id, _parse_crop(set_to), author=who)
        elif activate:
            edit = crops.activate_crop(database, photo_id, activate, author=who)
        elif auto:
            edit = crops.return_to_auto(database, photo_id, author=who)
        else:
            _print_history(crops.crop_history(database, photo_id), as_json)
            return
    if as_json:
        _print_json(asdict(edit))
    else:
        state = "served" if edit.served else "waits to be rendered"
        print(f"{edit.signature or 'to be proposed'}: {'changed' if edit.changed else 'unchanged'}, {state}")


@app.command(epilog="Example: trr replace 1b4e28ba-2fa1-11d2-883f-0016d3cca427 better.jpg")
def replace(
    photo: Annotated[str, typer.Argument(help="Id of the photo.")],
    file: Annotated[Path, typer.Argument(help="The better file.")],
    author: Annotated[str, typer.Option(help="Who replaces; the user of this shell when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Put a better file in place of a photo's original; the earlier one is kept, derivatives are made anew."""
    from trr_pipelines.pipeline.fetching import read_local
    from trr_pipelines.pipeline.replacing import replace_original

    photo_id, who = _photo_id(photo), author or f"cli:{getpass.getuser()}"
    with _archive() as archive:
        replaced = replace_original(archive, photo_id, read_local(file), author=who)
    if as_json:
        _print_json(asdict(replaced))
    else:
        outcome = "replaced, waits to be rendered" if replaced.changed else "has these bytes already"
        print(f"{replaced.photo_id}: {outcome}")


def _photo_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"the id of a photo is a UUID, not {text[:80]!r}") from None


def _print_history(entries: list[Any], as_json: bool) -> None:
    if as_json:
        _print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        crop, mark = entry.crop, "*" if entry.is_active else " "
        when = entry.created_at.isoformat(sep=" ", timespec="seconds")
        print(
            f"{mark} {when}  {crop.mode:6} x {crop.x:g} y {crop.y:g} zoom {crop.zoom:g}  "
            f"{entry.author} ({entry.reason or 'no reason'})  {crop.signature}"
        )


@app.command(epilog="Example: trr reconcile --json")
def reconcile(as_json: Json = False) -> None:
    """Compare every object in the store with every row; exit code 1 when something does not match."""
    from trr_pipelines.pipeline.reconcile import reconcile as compare

    with _archive() as archive:
        found = compare(archive)
    if as_json:
        _print_json(found.report())
    else:
        print(
            f"{found.orphan_objects} orphan objects, {found.rows_without_objects} rows without objects "
            f"({found.objects_checked} objects, {found.rows_checked} rows)"
        )
        for key in found.orphan_examples:
            print(f"  no row: {key}")
        for key in found.missing_examples:
            print(f"  no object: {key}")
    if not found.is_clean:
        raise typer.Exit(1)


@app.command(epilog="Example: trr gc --dry-run")
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be deleted, and delete nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Empty the list instead; nothing on it is deleted.")] = False,
    grace_days: Annotated[float, typer.Option(help="How long nothing may have been served from an object.")] = 30.0,
    no_grace: Annotated[bool, typer.Option("--no-grace", help="Delete at once; only while nothing runs.")] = False,
    as_json: Json = False,
) -> None:
    """List objects that nothing serves any more, and delete those that were listed long enough ago."""
    from trr_pipelines.pipeline import retention

    grace, undo_days = (0.0, 0.0) if no_grace else (grace_days, retention.UNDO_DAYS)
    with _archive() as archive:
        if undo:
            emptied = retention.empty_list(archive)
            _print_json({"unlisted": emptied}) if as_json else print(f"{emptied} objects taken off the list")
            return
        listed = retention.list_removable(archive, grace_days=grace)
        removal = None if dry_run else retention.remove_listed(archive, grace_days=grace, undo_days=undo_days)
    totals = listed if removal is None else removal.listed
    if as_json:
        report = retention.Removal(0, 0, (), listed) if removal is None else removal
        _print_json(report.report())
        return
    for why, total in totals.items():
        print(f"listed as {why}: {total.objects} objects, {_human_bytes(total.bytes)}")
    if removal is not None:
        print(f"deleted: {removal.removed} objects, {_human_bytes(removal.removed_bytes)}")
        for key in removal.refused:
            print(f"  refused, in use: {key}")


@db.command(epilog="Example: trr db upgrade")
def upgrade(as_json: Json = False) -> None:
    """Bring the catalogue's schema to the newest revision."""
    from trr_pipelines.catalogue import schema
    from trr_pipelines.pipeline.archive import database_url

    before, after = schema.upgrade(database_url(load_settings()))
    if as_json:
        _print_json({"before": before, "after": after})
    else:
        print(f"revision {after}" + ("" if before == after else f" (was {before or 'empty'})"))


@app.command(epilog="Example: trr up")
def up() -> None:
    """Run everything on this machine: database, API, Dagster UI and daemon. Ctrl-C stops it all."""
    from trr_pipelines.local.stack import running_stack

    _stop_on_signals()

    def report(text: str) -> None:
        console.print(f"  {text}")

    try:
        with running_stack(load_settings(), report) as stack:
            console.print(f"Dagster UI  {stack.dagster}\nAPI         {stack.api}\nCtrl-C stops everything.")
            stack.keep_running(report)
    except KeyboardInterrupt:
        console.print("stopped")


@app.command(epilog="Example: trr demo --photos ~/Pictures")
def demo(
    photos: Annotated[Path | None, typer.Option(help="A folder of photos; the sample set when left out.")] = None,
    as_json: Json = False,
) -> None:
    """Take photos through the whole pipeline, with everything embedded, and show what was saved."""
    from trr_pipelines.local.demo import demo as run_demo
    from trr_pipelines.local.stack import only_one

    _stop_on_signals()
    with only_one(load_settings().home, "demo"), _archive() as archive, archive.database_kept_alive():
        with _progress() as progress:
            result = run_demo(archive, photos, lambda text: console.print(f"· {text}"), progress)
        if as_json:
            _print_json(
                {"objects_written": result.objects_written, "rows_written": result.rows_written}
                | {"seconds": result.seconds, "runs": result.runs, "status": result.status}
            )
            return
        table = _status_table(result.status)
        table.add_row("links", f"{result.links} of {sum(result.status['assets'].values())} photos")
        if result.photos_per_second:
            table.add_row("speed", f"{result.photos_per_second} photos/s fetched, rendered, stored and recorded")
        table.add_row("this time", f"{result.objects_written} objects and {result.rows_written} variant rows written")
        table.add_row("took", f"{result.seconds} s")
        output = Console(highlight=False)
        output.print(table)
        if not result.objects_written and not result.rows_written:
            output.print("Everything stood already: 0 objects and 0 variant rows written.")
        for row in result.imported.rejected:
            output.print(f"line {row.line}: {row.problem}", markup=False)
        output.print(f"Files: {archive.settings.home / 'media'}   Dagster UI and API: make up")
    if result.imported.rejected:
        raise typer.Exit(1)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("rendering"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("photos", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
