"""`trr import`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from trr_pipelines.cli.console import Json, opened_archive, print_json

commands = typer.Typer()


@commands.command(name="import", epilog="Example: trr import photos/ --source deadline --show 'The Valley' --season 2")
def import_command(
    path: Annotated[Path, typer.Argument(help="A folder, a photo, or a manifest (.csv, .jsonl).")],
    source: Annotated[str, typer.Option(help="Where the photos come from, such as deadline.")],
    show: Annotated[str, typer.Option(help="Title or slug of the show that they belong to.")] = "",
    season: Annotated[int | None, typer.Option(help="Number of the season of that show.", min=0)] = None,
    person: Annotated[str, typer.Option(help="Full name or slug of the person that they show.")] = "",
    kind: Annotated[str, typer.Option(help="photo, video_still, brand, social or news.")] = "photo",
    tag: Annotated[list[str] | None, typer.Option(help="A tag for every photo; may be given again.")] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="For an existing archive: leave the photos to `trr backfill`.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Register photos in the catalogue; the pipeline fetches and renders them. Importing again changes nothing."""
    from trr_pipelines.pipeline.imports.importing import import_rows
    from trr_pipelines.pipeline.imports.manifest import Defaults, read_rows

    rows = read_rows(path, Defaults(source, show, season, person, kind, tuple(tag or ())))
    with opened_archive() as archive:
        summary = import_rows(archive.database, rows, lane="backfill" if backfill else "live")
    rejected = [{"line": row.line, "location": row.location, "problem": row.problem} for row in summary.rejected]
    if as_json:
        counts = {name: getattr(summary, name) for name in ("rows", "created", "known", "links", "batches")}
        print_json({"import_id": str(summary.import_id), **counts, "rejected": rejected})
    else:
        print(
            f"{summary.rows} rows: {summary.created} new photos, {summary.known} known, {len(rejected)} rejected; "
            f"{summary.links} new links; batches: {', '.join(summary.batches) or 'none'}"
        )
        for row in rejected:
            print(f"  line {row['line']}: {row['problem']}", file=sys.stderr)
    if rejected:
        raise typer.Exit(1)
