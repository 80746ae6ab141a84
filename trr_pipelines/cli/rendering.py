"""`trr render` and `trr run`: render derivatives without and with a database."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trr_pipelines.cli.arguments import parse_crop
from trr_pipelines.cli.console import Json, is_debug, opened_archive, print_json, say, stop_on_signals
from trr_pipelines.settings import load_settings

if TYPE_CHECKING:
    from trr_pipelines.catalogue.batches import Outcome
    from trr_pipelines.local.batch_runs import BatchRun

commands = typer.Typer()


@commands.command(epilog="Example: trr render photo.jpg --out /tmp/variants --crop manual,50,20,1.5 --json")
def render(
    files: Annotated[list[Path], typer.Argument(help="Photos to render.")],
    out: Annotated[Path, typer.Option(help="Output folder; created if missing.")],
    crop: Annotated[
        str,
        typer.Option(help="manual,X,Y,ZOOM with its middle in percent and a zoom of 1 to 4; proposed by default."),
    ] = "",
    as_json: Json = False,
) -> None:
    """Render every derivative of the given files. Needs no database and no server."""
    from trr_pipelines.compute.pool import RenderPool
    from trr_pipelines.pipeline.rendering.files import render_files

    fixed_crop = parse_crop(crop) if crop else None
    reports = []
    with RenderPool(load_settings().render_processes or None) as pool:
        for report in render_files(files, out, fixed_crop, pool):
            reports.append(report)
            if not as_json:
                outcome = f"{len(report.variants)} variants" if report.state == "complete" else f"{report.reason}"
                say(f"{report.file}: {report.state}, {outcome}{f': {report.detail}' if report.detail else ''}")
    if as_json:
        print_json([report.report() for report in reports])
    if any(report.state == "failed" for report in reports):
        raise typer.Exit(1)


@commands.command(epilog="Example: trr run --batch 20260212-deadline-00001")
def run(
    batch: Annotated[list[str] | None, typer.Option(help="Key of a batch; repeatable.")] = None,
    result: Annotated[Path | None, typer.Option(help="File to write the result of a single batch to, as JSON.")] = None,
    as_json: Json = False,
) -> None:
    """Run batches as Dagster runs in this process, without a daemon: the given ones, or all with open work.

    Exit code 1 if a run failed, or if every photo of a batch did.
    """
    from trr_pipelines.catalogue import batches as figures
    from trr_pipelines.defs.run_workers import end_killed_runs
    from trr_pipelines.local.batch_runs import local_instance, run_batch
    from trr_pipelines.local.dagster_home import dagster_home
    from trr_pipelines.pipeline.scheduling import batches_with_work, require_batches

    stop_on_signals()
    with opened_archive() as archive:
        require_batches(archive.database, batch or ())
        batches = batch or batches_with_work(archive.database)
        home = dagster_home(archive.settings)
        with archive.database_kept_alive(), local_instance(home) as instance:
            end_killed_runs(instance)
            runs = [run_batch(instance, key, log_level="DEBUG" if is_debug() else "CRITICAL") for key in batches]
            outcomes = [archive.database.read(partial(figures.outcome, batch=key)) for key in batches]
    reports = [
        run.report() | {"failed_by_reason": outcome.failed_by_reason}
        for run, outcome in zip(runs, outcomes, strict=True)
    ]
    if result is not None and reports:
        temporary = result.with_suffix(".part")
        temporary.write_text(json.dumps(reports[0]), encoding="utf-8")
        temporary.rename(result)
    if as_json:
        print_json(reports)
    else:
        for run, outcome in zip(runs, outcomes, strict=True):
            say(_summary(run, outcome))
    if not all(run.succeeded for run in runs) or any(outcome.everything_failed for outcome in outcomes):
        raise typer.Exit(1)


def _summary(run: BatchRun, outcome: Outcome) -> str:
    """The result of a run in one line; failed photos are those of the batch, of this run and earlier ones."""
    if not run.succeeded:
        result = f"failed ({run.problem})"
    else:
        result = "every photo failed" if outcome.everything_failed else "complete"
    failed = ", ".join(f"{reason} {count}" for reason, count in outcome.failed_by_reason.items())
    photos = f"{run.photos} photos rendered" + (
        f", {sum(outcome.failed_by_reason.values())} failed ({failed})" if failed else ""
    )
    return f"{run.batch}: {result}, {photos}, run {run.run_id}"


@commands.command(epilog="Example: trr hold 20260212-deadline-00001")
def hold(
    batch: Annotated[str, typer.Argument(help="Key of a batch.")],
    release: Annotated[bool, typer.Option("--release", help="Request its runs again, also if it was parked.")] = False,
) -> None:
    """Request no more runs of a live batch. Terminate a run in progress in Dagster's UI."""
    from trr_pipelines.pipeline.scheduling import hold_batch, release_batch

    with opened_archive() as archive:
        if release:
            release_batch(archive.database, batch)
            say(f"{batch}: runs are requested again")
        else:
            hold_batch(archive.database, batch)
            say(f"{batch}: no more runs are requested, until `trr hold {batch} --release` or `trr run --batch {batch}`")
