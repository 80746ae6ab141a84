"""`trr alerts` and `trr unpark`: open alerts, evaluated outside Dagster's daemon, and requesting parked runs again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from trr_pipelines.cli.console import Json, opened_archive, print_json, say

commands = typer.Typer()


@commands.command(epilog="Example: trr alerts --json")
def alerts(as_json: Json = False) -> None:
    """Evaluate alerts now, including a dead daemon, and notify the webhook; exit code 1 if any is open."""
    from trr_pipelines.definitions import defs
    from trr_pipelines.defs.alerts import failing_ticks, silences, waiting_runs
    from trr_pipelines.local.batch_runs import local_instance
    from trr_pipelines.local.dagster_home import dagster_home
    from trr_pipelines.pipeline.alerting.alerts import evaluate, open_alerts
    from trr_pipelines.pipeline.alerting.messages import deliver

    with opened_archive() as archive:
        settings = archive.settings
        with local_instance(dagster_home(settings)) as instance:
            repository = defs.get_repository_def()
            silent = silences(instance, repository.sensor_defs, settings.alert_silence_seconds)
            failing = failing_ticks(instance, repository, settings)
            waiting = waiting_runs(instance)
            changes = evaluate(archive, silences=list(silent), failing=list(failing), waiting=waiting)
        delivered = deliver(archive)
        stored = archive.database.read(open_alerts)
    opened_at = {alert["kind"]: alert["opened_at"] for alert in stored["alerts"]}
    if as_json:
        open_now = [{**alert.report(), "opened_at": opened_at.get(alert.kind)} for alert in changes.holding]
        print_json({"alerts": open_now, "webhook": {"told": delivered.messages, "problem": delivered.problem or None}})
    elif changes.holding:
        table = Table("alert", "open for", "problem", box=None, pad_edge=False)
        for alert in changes.holding:
            table.add_row(alert.kind, _age(opened_at.get(alert.kind)), alert.text)
        Console(highlight=False, markup=False).print(table)
    else:
        say("no open alerts")
    if changes.holding:
        raise typer.Exit(1)


@commands.command(epilog="Example: trr unpark batch:20260212-deadline-00001")
def unpark(
    scope: Annotated[list[str] | None, typer.Argument(metavar="[SCOPE]...", help="As `trr alerts` names it.")] = None,
    as_json: Json = False,
) -> None:
    """Request runs again of work that was parked after five failed runs in a row: of the given scopes, or of all."""
    from trr_pipelines.pipeline import scheduling

    with opened_archive() as archive:
        lifted = scheduling.unpark(archive.database, scope or ())
    print_json({"unparked": lifted}) if as_json else say(f"unparked: {', '.join(lifted) or 'nothing was parked'}")


def _age(moment: datetime | None) -> str:
    """Time since `moment` as `H:MM:SS`; empty for None."""
    return "" if moment is None else str(datetime.now(UTC) - moment).partition(".")[0]
