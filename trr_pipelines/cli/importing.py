"""`trr import`: register photos in the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trr_pipelines.cli.console import Json, opened_archive, print_json, say

commands = typer.Typer()


@commands.command(name="import", epilog="Example: trr import photos/ --source deadline --show 'The Valley' --season 2")
def import_command(
    path: Annotated[Path, typer.Argument(help="A folder, a photo, or a manifest (.csv, .tsv, .jsonl).")],
    source: Annotated[str, typer.Option(help="Source of the photos, such as deadline.")],
    show: Annotated[str, typer.Option(help="Title or slug of the show to link them to.")] = "",
    season: Annotated[int | None, typer.Option(help="Season number within that show.", min=0)] = None,
    person: Annotated[str, typer.Option(help="Full name or slug of the person to link them to.")] = "",
    kind: Annotated[str, typer.Option(help="photo, video_still, brand, social or news.")] = "photo",
    tag: Annotated[list[str] | None, typer.Option(help="Tag of every photo; repeatable.")] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="For large archives: render with `trr backfill` instead of now.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register photos in the catalogue; the pipeline fetches and renders them.

    Importing again creates nothing, and fetches photos again that had failed.
    """
    from trr_pipelines.pipeline.imports.importing import import_rows
    from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows
    from trr_pipelines.pipeline.takedown.recall import follow_store

    rows = read_rows(path, Defaults(source, show, season, person, kind, tuple(tag or ())))
    with opened_archive() as archive:
        follow_store(archive)  # what a restored catalogue does not know must not be imported again
        summary = import_rows(archive.database, rows, lane="backfill" if backfill else "live")
    rejected = [{"line": row.line, "location": row.location, "problem": row.problem} for row in summary.rejected]
    if as_json:
        counts = {
            name: getattr(summary, name) for name in ("rows", "created", "known", "fetched_again", "links", "batches")
        }
        print_json(
            {"import_id": str(summary.import_id), **counts, "rejected": rejected, "skipped": dict(summary.skipped)}
        )
    else:
        again = f" ({summary.fetched_again} failed, fetched again)" if summary.fetched_again else ""
        say(
            f"{summary.rows} rows: {summary.created} new photos, {summary.known} known{again}, "
            f"{len(rejected)} rejected; {summary.links} new links; batches: {', '.join(summary.batches) or 'none'}"
        )
        if summary.skipped:
            say("skipped: " + ", ".join(f"{count} {kind}" for kind, count in sorted(summary.skipped.items())))
        for row in rejected:
            say(f"  line {row['line']}: {row['problem']}", file=sys.stderr)
    if rejected:
        raise typer.Exit(1)
