"""`trr takedown`: remove photos everywhere."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from trr_pipelines.cli.arguments import shell_author
from trr_pipelines.cli.console import Json, human_bytes, opened_archive, opened_bank, print_json, say
from trr_pipelines.errors import MediaError, TrrError
from trr_pipelines.foreign_text import shown

if TYPE_CHECKING:
    from trr_pipelines.pipeline.archive import Archive

commands = typer.Typer()


@commands.command(epilog="Example: trr takedown 1b4e28ba-2fa1-11d2-883f-0016d3cca427 --dry-run")
def takedown(
    what: Annotated[str, typer.Argument(metavar="PHOTO|PERSON", help="Id of a photo; id or slug of a person.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be removed; remove nothing.")] = False,
    delete_external_originals: Annotated[
        bool,
        typer.Option(
            "--delete-external-originals",
            help="Delete also what another program wrote: originals that are used in place, and its variants.",
        ),
    ] = False,
    author: Annotated[str, typer.Option(help="Author; the user of this shell by default.")] = "",
    as_json: Json = False,
) -> None:
    """Remove a photo, or all photos of a person, everywhere and permanently; print the URLs to purge from a CDN.

    A takedown that was cut off is finished by running it again, by the next takedown, or by the daemon. Exit code 1 if
    anything is left.
    """
    from trr_pipelines.pipeline.takedown.takedown import take_down

    with opened_archive() as archive:
        try:
            taken = take_down(
                archive,
                what,
                author=shell_author(author),
                dry_run=dry_run,
                delete_external=delete_external_originals,
            )
        except MediaError:  # the store failed; copies elsewhere need not wait for it
            _remove_copies(archive)
            raise
        problems = [] if dry_run else _remove_copies(archive)
    if as_json:
        print_json(asdict(taken))
    else:
        say(
            f"{_photos(len(taken.photo_ids))} {'would be removed' if dry_run else 'removed'}, "
            f"with {taken.links} links, {taken.objects} objects, {human_bytes(taken.bytes)}"
        )
        if taken.finished_ids:
            say(f"finished earlier takedowns of {_photos(len(taken.finished_ids))} that had been cut off")
        for url in taken.purge_urls:
            say(f"  purge: {shown(url)}")
        for url in taken.kept_external_urls:
            say(f"  stays: {shown(url)}")
        if taken.kept_external_urls:
            say("what stays was written by another program; to delete it too: --delete-external-originals")
    for problem in problems:
        typer.echo(f"not removed yet: {problem}", err=True)
    if problems:
        raise typer.Exit(1)


def _remove_copies(archive: Archive) -> list[str]:
    """Remove taken-down photos from the face bank and Dagster's events, where these can be reached from here.

    Returns what failed, in one line each; the daemon does the rest.
    """
    from trr_pipelines.pipeline.archive import dagster_events_url
    from trr_pipelines.pipeline.facebank.imports import hand_over_removals, has_removals
    from trr_pipelines.pipeline.takedown.dagster_events import remove_traces
    from trr_pipelines.screenalytics.bank import remove_photos

    problems = []
    try:
        if archive.settings.has_face_bank and has_removals(archive.database):
            bank = opened_bank(archive.settings)
            hand_over_removals(archive.database, lambda photo_ids: remove_photos(bank, photo_ids))
    except TrrError as error:
        problems.append(f"faces in the face bank ({error})")
    try:
        if (url := dagster_events_url(archive.settings)) is not None:
            remove_traces(archive, url)
    except TrrError as error:
        problems.append(f"pictures in Dagster's events ({error})")
    return problems


def _photos(count: int) -> str:
    return f"{count} photo{'' if count == 1 else 's'}"
