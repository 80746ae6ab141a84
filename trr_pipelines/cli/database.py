"""`trr db`."""

from __future__ import annotations

import typer

from trr_pipelines.cli.shell import Json, print_json
from trr_pipelines.settings import load_settings

commands = typer.Typer(no_args_is_help=True, help="The catalogue's database.")


@commands.command(epilog="Example: trr db upgrade")
def upgrade(as_json: Json = False) -> None:
    """Bring the catalogue's schema to the newest revision."""
    from trr_pipelines.catalogue import schema
    from trr_pipelines.pipeline.archive import database_url

    before, after = schema.upgrade(database_url(load_settings()))
    if as_json:
        print_json({"before": before, "after": after})
    else:
        print(f"revision {after}" + ("" if before == after else f" (was {before or 'empty'})"))
