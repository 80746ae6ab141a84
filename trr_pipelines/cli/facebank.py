"""`trr facebank`: import photos of people into the face bank of Screenalytics, and review them."""

from __future__ import annotations

import getpass
from typing import Annotated, Any
from uuid import UUID

import typer

from trr_pipelines.cli.console import Json, opened_archive, opened_bank, print_json, say
from trr_pipelines.errors import InputError, TrrError
from trr_pipelines.settings import Settings, load_settings

commands = typer.Typer(no_args_is_help=True, help="The face bank of Screenalytics.")

Person = Annotated[str, typer.Argument(help="Id of the person.")]
Photo = Annotated[str, typer.Argument(help="Id of the photo.")]
Author = Annotated[str, typer.Option(help="Author; the user of this shell by default.")]


@commands.command(epilog="Example: trr facebank sync --show the-valley --json")
def sync(
    show: Annotated[str, typer.Option(help="Slug of a show: its whole cast.")] = "",
    person: Annotated[list[str] | None, typer.Option(help="Id of a person; repeatable.")] = None,
    fall_back: Annotated[
        bool, typer.Option("--fall-back/--no-fall-back", help="Import the first photos of a person without seeds.")
    ] = True,
    max_images: Annotated[
        int, typer.Option(help="How many photos of a person without seeds to import.", min=1, max=20)
    ] = 5,
    look_at: Annotated[int, typer.Option(help="How many new photos per person to assess.", min=0)] = 200,
    as_json: Json = False,
) -> None:
    """Import people's photos from the backend: the seeds, or the first photos when there are none.

    Needs only TRR_API_URL, SCREENALYTICS_SERVICE_TOKEN and SCREENALYTICS_DB_URL. A person whose import fails does not
    stop the others; exit code 1 if any failed.
    """
    from trr_pipelines.screenalytics.bank import cast_of
    from trr_pipelines.screenalytics.factory import open_client
    from trr_pipelines.screenalytics.importing import import_facebank_images
    from trr_pipelines.screenalytics.quality import check_new_photos

    if bool(show) == bool(person):
        raise InputError("give either --show SLUG or --person ID")
    settings = load_settings()
    person_ids = [_parse_id(text, "person") for text in person or ()]
    bank = opened_bank(settings)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with open_client(_with_token(settings)) as client:
        for person_id in person_ids or cast_of(bank, show):
            try:
                report = import_facebank_images(
                    bank, client, person_id, fall_back=fall_back, max_images=max_images
                ).report()
                quality = check_new_photos(bank, person_id, limit=look_at) if look_at else None
            except TrrError as error:
                failed.append({"person_id": str(person_id), "error": str(error)})
                continue
            done.append(report | {"looked_at": quality.photos if quality else 0})
    if as_json:
        totals = {name: sum(report[name] for report in done) for name in ("inserted", "updated", "unchanged")}
        print_json({"show": show or None, "people": done, "failed": failed, **totals})
    else:
        for report in done:
            requested = " then ".join("seeds" if call["seed_only"] else "all" for call in report["calls"])
            counts = ", ".join(f"{report[name]} {name}" for name in ("inserted", "updated", "unchanged"))
            say(f"{report['person_id']}: {report['outcome']}, {counts} (requested {requested})")
        for failure in failed:
            typer.echo(f"{failure['person_id']}: failed: {failure['error']}", err=True)
    if failed:
        raise typer.Exit(1)


@commands.command(epilog="Example: trr facebank cast --show the-valley")
def cast(
    show: Annotated[str, typer.Option(help="Slug of a show; all shows by default.")] = "",
    as_json: Json = False,
) -> None:
    """Send the casts of shows to the face bank. Needs the catalogue; every run in Dagster does this as well."""
    from trr_pipelines.pipeline.facebank.imports import cast_of_shows
    from trr_pipelines.screenalytics.bank import put_cast

    bank = opened_bank(load_settings())
    with opened_archive() as archive:
        people = cast_of_shows(archive.database, show or None)
    changed = put_cast(bank, people)
    if as_json:
        print_json({"people": len(people), "changed": changed})
    else:
        say(f"{len(people)} people, {changed} new or changed")


@commands.command(epilog="Example: trr facebank forget")
def forget(as_json: Json = False) -> None:
    """Remove taken-down photos from the face bank now instead of by Dagster. Needs the catalogue."""
    from trr_pipelines.pipeline.facebank.imports import hand_over_removals
    from trr_pipelines.screenalytics.bank import remove_photos

    bank = opened_bank(load_settings())
    with opened_archive() as archive:
        photos, rows = hand_over_removals(archive.database, lambda photo_ids: remove_photos(bank, photo_ids))
    if as_json:
        print_json({"photos_gone": photos, "rows_removed": rows})
    else:
        say(f"{rows} faces removed ({photos} photos were taken down)")


@commands.command(epilog="Example: trr facebank review PERSON PHOTO --approve")
def review(
    person: Person,
    photo: Photo,
    approve: Annotated[bool, typer.Option("--approve", help="Approve: the right person, a good image.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Reject: do not learn from this image.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Reset the review.")] = False,
    not_this_person: Annotated[bool, typer.Option(help="Exclude the photo from all later imports.")] = False,
    author: Author = "",
) -> None:
    """Review a face. Imports never change a review."""
    from trr_pipelines.screenalytics import bank as banks

    if sum((approve, reject, undo, not_this_person)) != 1:
        raise InputError("give one of --approve, --reject, --undo, --not-this-person")
    ids = _parse_id(person, "person"), _parse_id(photo, "photo")
    bank, reviewer = opened_bank(load_settings()), author or f"cli:{getpass.getuser()}"
    if not_this_person:
        banks.exclude(bank, *ids, author=reviewer)
    else:
        banks.review(bank, *ids, approved=approve, rejected=reject, author=reviewer)


def _with_token(settings: Settings) -> Settings:
    """Fill in the token of the embedded default, unless a backend or database is configured."""
    from trr_pipelines.credentials import with_credentials

    return with_credentials(settings) if settings.is_embedded else settings


def _parse_id(text: str, what: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError(f"a {what} id must be a UUID, not {text[:80]!r}") from None
