"""`trr reconcile` and `trr gc`: compare objects with rows, and delete objects that are no longer served."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from trr_pipelines.cli.console import Json, human_bytes, opened_archive, print_json, say
from trr_pipelines.foreign_text import shown

commands = typer.Typer()


@commands.command(epilog="Example: trr reconcile --hashes --json")
def reconcile(
    hashes: Annotated[
        bool, typer.Option("--hashes", help="Read every object and compare its hash as well; takes as long as a copy.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Compare every object in the store with every row: that both exist, and the size; exit code 1 if they differ."""
    from trr_pipelines.pipeline.upkeep.reconcile import reconcile as compare

    with opened_archive() as archive:
        result = compare(archive, hashes=hashes)
    if as_json:
        print_json(result.report())
    else:
        say(
            f"{result.orphan_objects} orphan objects, {result.rows_without_objects} rows without objects, "
            f"{result.damaged_objects} damaged objects "
            f"({result.objects_checked} objects, {result.objects_read} of them read, {result.rows_checked} rows)"
        )
        if result.listed_objects:
            say(f"  {result.listed_objects} more objects are listed for deletion, which is no difference")
        if result.foreign_objects:
            say(f"  {result.foreign_objects} more objects may be another program's, and are left alone")
        if result.external_checked:
            say(
                f"  of {result.external_checked} external originals, {result.external_missing} are missing and "
                f"{result.external_changed} have changed"
            )
        for key in result.external_missing_examples:
            say(f"  no external original: {shown(key)}")
        for damage in result.external_changed_examples:
            say(f"  external original: {shown(damage.key)}: {damage.found} instead of {damage.expected}")
        for key in result.orphan_examples:
            say(f"  no row: {key}")
        for key in result.missing_examples:
            say(f"  no object: {key}")
        for damage in result.damaged_examples:
            say(f"  damaged: {damage.key}: {damage.found} instead of {damage.expected}")
    if not result.is_clean:
        raise typer.Exit(1)


@commands.command(epilog="Example: trr gc --dry-run")
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be deleted; delete nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Clear the list instead of deleting.")] = False,
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="After restoring an older catalogue: allow deletions again (docs/restore.md)."),
    ] = False,
    grace_days: Annotated[float, typer.Option(help="Days since an object was last served.")] = 30.0,
    no_grace: Annotated[bool, typer.Option("--no-grace", help="Delete at once; only while no run is active.")] = False,
    as_json: Json = False,
) -> None:
    """List objects that are no longer served, and delete those listed long enough ago."""
    from trr_pipelines.pipeline.upkeep import retention

    grace, undo_days = (0.0, 0.0) if no_grace else (grace_days, retention.UNDO_DAYS)
    with opened_archive() as archive:
        if adopt:
            epoch = retention.adopt_store(archive)
            print_json({"epoch": epoch}) if as_json else say(f"the store belongs to this catalogue, at epoch {epoch}")
            return
        if undo:
            cleared = retention.empty_list(archive)
            print_json({"unlisted": cleared}) if as_json else say(f"{cleared} objects removed from the list")
            return
        listed = retention.list_removable(archive, grace_days=grace)
        left_alone = listed.pop(retention.FOREIGN, None)
        removal = None if dry_run else retention.remove_listed(archive, grace_days=grace, undo_days=undo_days)
    totals = listed if removal is None else removal.listed
    foreign = {"objects": 0, "bytes": 0} if left_alone is None else asdict(left_alone)
    if as_json:
        report = retention.Removal(0, 0, (), listed) if removal is None else removal
        print_json(report.report() | {"foreign": foreign})
        return
    if foreign["objects"]:
        say(f"left alone, may be another program's: {foreign['objects']} objects, {human_bytes(foreign['bytes'])}")
    for reason, total in totals.items():
        say(f"listed as {reason}: {total.objects} objects, {human_bytes(total.bytes)}")
    if removal is not None:
        say(f"deleted: {removal.removed} objects, {human_bytes(removal.removed_bytes)}")
        for key in removal.refused:
            say(f"  refused, in use: {key}")
