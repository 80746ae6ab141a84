"""`trr crop` and `trr replace`: edits of one photo."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trr_pipelines.cli.arguments import parse_crop, parse_link_id, parse_photo_id, shell_author
from trr_pipelines.cli.console import Json, opened_archive, print_json, say
from trr_pipelines.errors import InputError

if TYPE_CHECKING:
    from trr_pipelines.catalogue.crops import HistoryEntry

commands = typer.Typer()


@commands.command(epilog="Example: trr crop 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --set manual,50,20,1.5")
def crop(
    photo: Annotated[str, typer.Argument(help="Id of the photo.")],
    set_to: Annotated[
        str, typer.Option("--set", help="New crop: manual,X,Y,ZOOM with its middle in percent and a zoom of 1 to 4.")
    ] = "",
    activate: Annotated[str, typer.Option(help="Signature of an earlier crop to restore.")] = "",
    auto: Annotated[bool, typer.Option("--auto", help="Return to the proposed crop.")] = False,
    link: Annotated[str, typer.Option(help="Id of a link, whose own crop to --set or, with --auto, to remove.")] = "",
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    as_json: Json = False,
) -> None:
    """Change the crop of a photo, or show its history. The new crop is served once the pipeline has rendered it."""
    from trr_pipelines.pipeline.edits import crops

    if sum(map(bool, (set_to, activate, auto))) > 1:
        raise InputError("give only one of --set, --activate, --auto")
    if link and not (set_to or auto):
        raise InputError("--link needs --set or --auto")
    photo_id, editor = parse_photo_id(photo), shell_author(author)
    link_id = parse_link_id(link) if link else None
    with opened_archive() as archive:
        database = archive.database
        if set_to:
            edit = crops.set_crop(database, photo_id, parse_crop(set_to), author=editor, link_id=link_id)
        elif activate:
            edit = crops.activate_crop(database, photo_id, activate, author=editor)
        elif auto:
            edit = crops.return_to_auto(database, photo_id, author=editor, link_id=link_id)
        else:
            _print_history(crops.crop_history(database, photo_id), as_json)
            return
    if as_json:
        print_json(asdict(edit))
    else:
        changed = "changed" if edit.changed else "unchanged"
        if edit.crop is None and edit.served:
            say(f"no crop: {changed}")
        else:
            state = "served" if edit.served else "waiting to be rendered"
            say(f"{edit.signature or 'no proposal yet'}: {changed}, {state}")


@commands.command(epilog="Example: trr replace 1b4e28ba-2fa1-11d2-883f-0016d3cca427 better.jpg")
def replace(
    photo: Annotated[str, typer.Argument(help="Id of the photo.")],
    file: Annotated[Path, typer.Argument(help="The new original.")],
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    as_json: Json = False,
) -> None:
    """Replace a photo's original with a better file; the earlier one is kept, derivatives are rendered again."""
    from trr_pipelines.pipeline.edits.replacement import replace_original
    from trr_pipelines.pipeline.imports.fetching import read_local

    photo_id, editor = parse_photo_id(photo), shell_author(author)
    with opened_archive() as archive:
        replaced = replace_original(archive, photo_id, read_local(file), author=editor)
    if as_json:
        print_json(asdict(replaced))
    else:
        outcome = (
            "replaced, waiting to be rendered"
            if replaced.changed
            else "unchanged, the original already has these bytes"
        )
        say(f"{replaced.photo_id}: {outcome}")


def _print_history(entries: list[HistoryEntry], as_json: bool) -> None:
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        crop, marker = entry.crop, "*" if entry.is_active else " "
        created = entry.created_at.isoformat(sep=" ", timespec="seconds")
        say(
            f"{marker} {created}  {crop.mode:6} x {crop.x:g} y {crop.y:g} zoom {crop.zoom:g}  "
            f"{entry.author} ({entry.reason or 'no reason'})  {crop.signature}"
        )
