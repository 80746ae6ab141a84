"""`trr db`: schema migrations."""

from __future__ import annotations

import typer

from trr_pipelines.cli.console import Json, print_json, say
from trr_pipelines.settings import Settings, load_settings

commands = typer.Typer(no_args_is_help=True, help="The databases: catalogue and face bank.")


@commands.command(epilog="Example: trr db upgrade")
def upgrade(as_json: Json = False) -> None:
    """Upgrade the schemas of catalogue and face bank to the newest revisions, and restore lost tables.

    A deployment that has only one of the two databases upgrades that one.
    """
    from trr_pipelines.catalogue import schema
    from trr_pipelines.pipeline.archive import database_url, screenalytics_url
    from trr_pipelines.screenalytics.factory import upgrade_bank

    settings = load_settings()
    report: dict[str, dict[str, str | None]] = {}
    if _has_catalogue(settings):
        before, after = schema.upgrade(database_url(settings))
        report["catalogue"] = {"before": before, "after": after}
    if settings.has_face_bank:
        before, after = upgrade_bank(screenalytics_url(settings))
        report["face_bank"] = {"before": before, "after": after}
    if as_json:
        # The catalogue's are repeated at the top level, where callers read them before the face bank was added.
        print_json(report.get("catalogue", {}) | report)
        return
    for name, revisions in report.items():
        changed = revisions["before"] != revisions["after"]
        previous = f" (was {revisions['before'] or 'empty'})" if changed else ""
        say(f"{name.replace('_', ' ')}: revision {revisions['after']}{previous}")


def _has_catalogue(settings: Settings) -> bool:
    """False when only the face bank's URL is set: the deployment of Screenalytics."""
    return settings.database_url is not None or settings.screenalytics_db_url is None
