"""`trr reprocess`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from trr_pipelines.cli.arguments import parse_photo_id, shell_author
from trr_pipelines.cli.shell import Json, human_bytes, opened_archive, print_json
from trr_pipelines.errors import InputError

commands = typer.Typer()


@commands.command(epilog="Example: trr reprocess --reason decode_timeout --source deadline --dry-run")
def reprocess(
    photo: Annotated[str, typer.Argument(help="Id of one photo, instead of a filter.")] = "",
    state: Annotated[str | None, typer.Option(help="pending, mirrored or failed.")] = None,
    reason: Annotated[str | None, typer.Option(help="Reason code of a failure.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of a source.")] = None,
    show: Annotated[str | None, typer.Option(help="Id or slug of a show; its seasons count.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell the price, change nothing.")] = False,
    author: Annotated[str, typer.Option(help="Who asks; the user of this shell when left out.")] = "",
    as_json: Json = False,
) -> None:
    """Do work again that has ended, of one photo or of all that match; the pipeline takes it from there."""
    from trr_pipelines.pipeline import reprocessing

    wanted = reprocessing.Filter(state, reason, source, show)
    if photo and (dry_run or any(asdict(wanted).values())):
        raise InputError("a photo's id goes with neither a filter nor --dry-run")
    with opened_archive() as archive:
        if photo:
            photo_id = parse_photo_id(photo)
            kinds = reprocessing.reprocess_photo(archive.database, photo_id, author=shell_author(author))
            report = {"media_asset_id": str(photo_id), "reopened": list(kinds)}
            print_json(report) if as_json else print(f"{photo_id}: {', '.join(kinds) or 'open already'}")
            return
        if dry_run:
            price = reprocessing.price_of(archive.database, wanted)
        else:
            price = reprocessing.reprocess(archive.database, wanted, author=shell_author(author))
    if as_json:
        print_json({"dry_run": dry_run, **asdict(price)})
        return
    minutes = "unknown" if price.minutes is None else f"{price.minutes:g}"
    storage = "unknown" if price.new_storage_bytes is None else human_bytes(price.new_storage_bytes)
    print(
        f"{price.photos} photos {'would be done' if dry_run else 'are done'} again: {human_bytes(price.bytes_to_read)}"
        f" to read, minutes: {minutes}, new storage: {storage}"
    )
