"""`trr status`: the archive in figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Table

from trr_pipelines.cli.console import Json, human_bytes, opened_archive, print_json

if TYPE_CHECKING:
    from trr_pipelines.catalogue.status import ArchiveStatus

commands = typer.Typer()


@commands.command(epilog="Example: trr status --json")
def status(as_json: Json = False) -> None:
    """Show photos by state, bytes before and after, and failures by reason."""
    from trr_pipelines.catalogue import status as archive_figures

    with opened_archive() as archive:
        figures = archive.database.read(archive_figures.archive_status)
    if as_json:
        print_json(figures)
    else:
        Console(highlight=False).print(status_table(figures))


def status_table(figures: ArchiveStatus) -> Table:
    """The figures as a table for the terminal."""
    grid = figures["grid"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    assets, base, crop = figures["assets"], figures["generations"]["base"], figures["generations"]["crop"]
    rows = {
        "photos": f"{assets['mirrored']} mirrored, {assets['failed']} failed, {assets['pending']} pending",
        "base variants": f"{base['complete']} complete, {base['failed']} failed, {base['pending']} pending",
        "crop variants": f"{crop['complete']} complete, {crop['failed']} failed, {crop['pending']} pending",
        "originals": f"{figures['originals']['count']}, {human_bytes(figures['originals']['bytes'])}",
        "derivatives": f"{figures['variants']['count']}, {human_bytes(figures['variants']['bytes'])}",
        "gallery grid": (
            f"{human_bytes(grid['median_bytes_before'])} → {human_bytes(grid['median_bytes_after'])} per photo "
            f"(median reduction {100 * grid['median_reduction']:.1f} %)"
        ),
        "failed": ", ".join(f"{reason} {count}" for reason, count in figures["failed_by_reason"].items()) or "none",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table
