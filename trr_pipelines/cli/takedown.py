"""`trr takedown`: remove photos everywhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from trr_pipelines.cli.arguments import shell_author
from trr_pipelines.cli.console import Json, human_bytes, opened_archive, print_json

commands = typer.Typer()


@commands.command(epilog="Example: trr takedown 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --dry-run")
def takedown(
    what: Annotated[str, typer.Argument(metavar="PHOTO|PERSON", help="Id of a photo; id or slug of a person.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")] = False,
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    as_json: Json = False,
) -> None:
    """Remove a photo, or all photos of a person, everywhere and permanently; print the URLs to purge from a CDN."""
    from trr_pipelines.pipeline.takedown.takedown import take_down

    with opened_archive() as archive:
        taken = take_down(archive, what, author=shell_author(author), dry_run=dry_run)
    if as_json:
        print_json(asdict(taken))
        return
    print(
        f"{len(taken.photo_ids)} photos {'would be removed' if dry_run else 'removed'}, with {taken.links} links, "
        f"{taken.objects} objects, {human_bytes(taken.bytes)}"
    )
    for url in taken.purge_urls:
        print(f"  purge: {url}")
