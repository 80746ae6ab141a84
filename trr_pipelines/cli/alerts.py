"""`trr alerts`: what needs somebody, seen from outside of Dagster's daemon."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Console
from rich.table import Table

from trr_pipelines.cli.console import Json, opened_archive, print_json

commands = typer.Typer()


@commands.command(epilog="Example: trr alerts --json")
def alerts(as_json: Json = False) -> None:
    """Evaluate alerts now, including a dead daemon, and notify the webhook; exit code 1 if any is open."""
    from trr_pipelines.definitions import defs
    from trr_pipelines.defs.alerts import silences
    from trr_pipelines.local.batch_runs import local_instance
    from trr_pipelines.local.dagster_home import dagster_home
    from trr_pipelines.pipeline.alerting.alerts import look, open_alerts
    from trr_pipelines.pipeline.alerting.messages import deliver

    with opened_archive() as archive:
        settings = archive.settings
        with local_instance(dagster_home(settings)) as instance:
            sensors = defs.get_repository_def().sensor_defs
            seen = look(archive, silences=list(silences(instance, sensors, settings.alert_silence_seconds)))
        delivered = deliver(archive)
        stands = archive.database.read(open_alerts)
    opened = {alert["kind"]: alert["opened_at"] for alert in stands["alerts"]}
    if as_json:
        holding = [{**one.report(), "opened_at": opened.get(one.kind)} for one in seen.holding]
        print_json({"alerts": holding, "webhook": {"told": delivered.messages, "problem": delivered.problem or None}})
    elif seen.holding:
        table = Table("alert", "since", "what", box=None, pad_edge=False)
        for one in seen.holding:
            table.add_row(one.kind, _ago(opened.get(one.kind)), one.text)
        Console(highlight=False, markup=False).print(table)
    else:
        print("nothing is open")
    if seen.holding:
        raise typer.Exit(1)


def _ago(moment: datetime | None) -> str:
    """`0:12:30`, hours first."""
    return "" if moment is None else str(datetime.now(UTC) - moment).partition(".")[0]
