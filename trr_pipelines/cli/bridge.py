"""`trr bridge`: the owner's application as a second home of photos: check, plan, sync, publish, take back."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from trr_pipelines.cli.console import Json, console, human_bytes, opened_archive, print_json, say, stop_on_signals
from trr_pipelines.home import private_umask
from trr_pipelines.settings import load_settings

if TYPE_CHECKING:
    from trr_pipelines.bridge.application import Application
    from trr_pipelines.pipeline.archive import Archive

commands = typer.Typer(
    no_args_is_help=True,
    help="The owner's application (TRR_APPLICATION_DB_URL): take its photos, publish derivatives to its readers.",
)

Limit = Annotated[int | None, typer.Option(help="At most this many photos, of the largest galleries.", min=1)]
Source = Annotated[str, typer.Option(help="Only photos of this source.")]
Show = Annotated[str, typer.Option(help="Only photos of the shows with this name, slug or id, and their seasons.")]


@contextmanager
def _opened() -> Iterator[tuple[Archive, Application]]:
    from trr_pipelines.bridge.application import open_application

    with opened_archive() as archive, open_application(archive.settings) as application:
        yield archive, application


@commands.command(epilog="Example: trr bridge check --json")
def check(as_json: Json = False) -> None:
    """Check the application's database and bucket; each fault with its remedy. Exit code 1 if one is an error."""
    from trr_pipelines.bridge.check import check_bridge

    with _opened() as (archive, application):
        findings = check_bridge(application, archive.store)
    if as_json:
        print_json([finding.report() for finding in findings])
    else:
        for finding in findings:
            say(f"{finding.state:8}{finding.name}: {finding.detail}")
            if finding.remedy:
                say(f"        {finding.remedy}")
    if any(finding.state == "error" for finding in findings):
        raise typer.Exit(1)


@commands.command(epilog="Example: trr bridge plan --show 'The Valley'")
def plan(limit: Limit = None, source: Source = "", show: Show = "", as_json: Json = False) -> None:
    """Count what a sync would take and what it would cost. Changes nothing."""
    from trr_pipelines.bridge.check import require_usable
    from trr_pipelines.bridge.plan import plan_bridge
    from trr_pipelines.bridge.sync import Selection

    with _opened() as (archive, application):
        require_usable(application)
        planned = plan_bridge(archive.database, application, Selection(limit, source or None, show or None))
    if as_json:
        print_json(planned.report())
        return
    say(f"{planned.photos:,} photos, {planned.links:,} links, {planned.galleries:,} galleries")
    say(
        f"originals: {planned.objects:,} objects, {planned.duplicates:,} rows share one;"
        f" {planned.to_mirror:,} photos have a source only (--mirror), {planned.without_any:,} neither"
    )
    say(
        f"crops: {planned.links_with_crop:,} links and {planned.photos_with_crop:,} photos ask for one,"
        f" {planned.frames:,} distinct frames of links"
    )
    say(f"variants of the present generator: {planned.with_variants:,} photos, {planned.variant_rows:,} rows")
    cost = planned.cost
    speed = "measured" if cost.is_measured else "assumed"
    say(
        f"to render: {human_bytes(cost.bytes_to_read)} to read, {human_bytes(cost.new_bytes or 0)} to store, about"
        f" {cost.minutes or 0:g} minutes at {cost.photos_per_second or 0:g} photos/s ({speed})"
    )
    say(f"to publish: {planned.new_rows:,} rows, {planned.writes:,} statements on the application's database")


@commands.command(epilog="Example: trr bridge sync --limit 10")
def sync(
    limit: Limit = None,
    source: Source = "",
    show: Show = "",
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also fetch photos without an original from their source.")
    ] = False,
    live: Annotated[
        bool | None,
        typer.Option("--live/--backfill", help="Render at once, or with `trr backfill`; at once up to 500 photos."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take rows of the application as photos under their own ids; originals stay where they are.

    Without a selection everything is taken, and new rows are followed from then on.
    """
    from trr_pipelines.bridge.check import require_usable
    from trr_pipelines.bridge.plan import plan_bridge
    from trr_pipelines.bridge.sync import Selection
    from trr_pipelines.bridge.sync import sync as sync_application
    from trr_pipelines.catalogue.imports import BATCH_SIZE
    from trr_pipelines.pipeline.takedown.recall import follow_store

    selection = Selection(limit, source or None, show or None)
    with _opened() as (archive, application):
        require_usable(application, archive)
        follow_store(archive)
        if live is None:
            live = plan_bridge(archive.database, application, selection).photos <= BATCH_SIZE
        with console.status("reading the application") as status:
            summary = sync_application(
                archive,
                application,
                selection,
                lane="live" if live else "backfill",
                mirror=mirror,
                progress=lambda what, count: status.update(f"{count:,} {what}"),
            )
    if as_json:
        print_json(summary.report())
        return
    changed = ", ".join(f"{count:,} {name}" for name, count in sorted((+summary.changed).items())) or "nothing"
    say(f"{summary.assets:,} rows and {summary.links:,} links read; new or changed: {changed}")
    say(f"{summary.photos:,} new photos, {summary.shared:,} rows share one; {summary.new_links:,} new links")
    if summary.batches and not live:
        say(f"{len(summary.batches)} batches wait: trr backfill start --order hot")
    elif summary.batches:
        say(f"batches: {', '.join(summary.batches)}; a running `trr up` renders them, or: trr run")


@commands.command(epilog="Example: trr bridge publish")
def publish(as_json: Json = False) -> None:
    """Publish everything that is complete and not published yet. A running `trr up` does this by itself."""
    from trr_pipelines.bridge.check import require_usable
    from trr_pipelines.bridge.publishing import publish_due, set_publishing, write_back

    with _opened() as (archive, application):
        require_usable(application, archive)
        set_publishing(archive.database, True)
        edits = write_back(archive.database, application)
        with console.status("publishing") as status:
            ended = publish_due(
                archive.database, application, progress=lambda count: status.update(f"{count:,} photos")
            )
    if as_json:
        print_json({**ended, "edits": edits})
    else:
        say(f"{_counts(ended)}; {edits:,} edits written back")
    if ended["failed"]:
        say("failed photos are tried again later; why: trr bridge status", file=sys.stderr)
        raise typer.Exit(1)


@commands.command(epilog="Example: trr bridge unpublish")
def unpublish(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: Json = False) -> None:
    """Take everything back to what the application had before, and publish nothing more until `trr bridge publish`."""
    from trr_pipelines.bridge.publishing import unpublish as take_back

    with _opened() as (archive, application):
        if not yes:
            typer.confirm("Take every published derivative back? Readers get originals again.", abort=True)
        with console.status("taking back") as status:
            ended = take_back(archive.database, application, progress=lambda count: status.update(f"{count:,} photos"))
    print_json(dict(ended)) if as_json else say(f"{_counts(ended)}; publishing is off until `trr bridge publish`")


@commands.command(epilog="Example: trr bridge status --json")
def status(as_json: Json = False) -> None:
    """How far the bridge is, from the catalogue alone."""
    from dataclasses import asdict

    from trr_pipelines.bridge.publishing import is_publishing
    from trr_pipelines.catalogue import application as catalogue

    with opened_archive() as archive:
        numbers = archive.database.read(catalogue.numbers)
        problems = archive.database.read(catalogue.problems)
        publishing = is_publishing(archive.database)
    if as_json:
        print_json({**asdict(numbers), "is_publishing": publishing, "problems": problems})
        return
    say(f"{numbers.rows:,} rows of the application, {numbers.photos:,} photos, {numbers.links:,} links")
    say(
        f"published: {numbers.published:,}, due: {numbers.due:,}, failing: {numbers.failing:,},"
        f" overwritten by others and published again: {numbers.overwritten:,}"
    )
    if not publishing:
        say("publishing is off: trr bridge publish")
    for problem, count in problems.items():
        say(f"  {count:,}: {problem}")


@commands.command(epilog="Example: TRR_HOME=.trr-bridge trr bridge demo")
def demo(as_json: Json = False) -> None:
    """Make an application with 200 photos on the embedded server, bridge to it, and show what its galleries weigh."""
    from dataclasses import asdict

    from rich.table import Table

    from trr_pipelines.cli.local import rendering_progress
    from trr_pipelines.local.demo_bridge import demo_bridge
    from trr_pipelines.local.stack import only_one

    stop_on_signals()
    settings = load_settings()
    with private_umask(), only_one(settings.home, "demo"), rendering_progress() as progress:
        result = demo_bridge(settings, lambda text: console.print(f"· {text}"), progress)
    if as_json:
        print_json(
            {
                "findings": [finding.report() for finding in result.findings],
                "plan": result.plan.report(),
                "sync": result.sync.report(),
                "published": dict(result.published),
                "galleries": [{**asdict(gallery), "bytes_after": after} for gallery, after in result.galleries],
                "seconds": result.seconds,
            }
        )
        return
    table = Table("gallery", "photos", "cards before", "cards now", "less")
    for gallery, after in result.galleries:
        less = 100 * (1 - after / max(1, gallery.bytes))
        table.add_row(
            gallery.name, f"{gallery.photos}", human_bytes(gallery.bytes), human_bytes(after), f"{less:.1f} %"
        )
    output = Console(highlight=False)
    for finding in result.findings:
        output.print(f"{finding.state:8}{finding.name}: {finding.detail}", markup=False, soft_wrap=True)
    output.print(table)
    output.print(
        f"{result.sync.photos} photos for {result.sync.assets} rows, {result.sync.shared} rows share an object;"
        f" took {result.seconds} s"
    )
    output.print(
        f"Go on: TRR_HOME={settings.home} TRR_APPLICATION_DB_URL='{result.application_url}' trr up", markup=False
    )


def _counts(ended: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(ended.items())) or "nothing to publish"
