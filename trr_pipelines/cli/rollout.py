"""`trr doctor`, `trr smoke` and `trr rollout`: whether an environment is ready to go live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trr_pipelines.cli.console import Json, opened_bank, print_json, stop_on_signals
from trr_pipelines.errors import InputError
from trr_pipelines.settings import Settings, load_settings

if TYPE_CHECKING:
    from trr_pipelines.smoke.evidence import StepResult

commands = typer.Typer()
rollout_commands = typer.Typer(no_args_is_help=True, help="What is left before a rollout is closed.")

Out = Annotated[Path, typer.Option(help="Folder of the evidence: a JSON and a Markdown file per environment.")]
EVIDENCE = Path("docs/evidence")
_COLOURS = {"passed": "green", "ok": "green", "failed": "red", "skipped": "yellow", "open": "yellow"}


@commands.command(
    epilog="Example: trr smoke --backend http://127.0.0.1:8000 --admin http://127.0.0.1:8080 --screenalytics"
)
def smoke(
    backend: Annotated[str, typer.Option(help="URL of the backend.")],
    admin: Annotated[str, typer.Option(help="URL of the admin app; without it, its steps are skipped.")] = "",
    screenalytics: Annotated[
        bool, typer.Option("--screenalytics", help="Also test imports into the face bank of SCREENALYTICS_DB_URL.")
    ] = False,
    minimal: Annotated[bool, typer.Option("--minimal", help="Run read-only steps only; for production.")] = False,
    environment: Annotated[str, typer.Option(help="Name of the environment, such as staging.")] = "local",
    person: Annotated[str, typer.Option(help="Id or slug of the person to test with; found by default.")] = "",
    out: Out = EVIDENCE,
    as_json: Json = False,
) -> None:
    """Run end-to-end tests against an environment, undo their changes, and save the evidence."""
    from trr_pipelines.smoke.runner import Plan, run_smoke

    stop_on_signals()
    settings = _with_own_credentials(load_settings())
    for name, url in (("--backend", backend), ("--admin", admin)):
        if url and not url.startswith(("http://", "https://")):
            raise InputError(f"{name} must be an http or https URL, not {url[:80]!r}")
    bank = opened_bank(settings) if screenalytics else None
    plan = Plan(environment, backend.rstrip("/"), admin.rstrip("/"), bank, person, minimal, out)
    console = Console(stderr=as_json, highlight=False)

    def print_result(result: StepResult) -> None:
        colour = _COLOURS[result.state]
        console.print(
            f"[{colour}]{result.state:8}[/] {result.part:14} {result.name} {escape(result.detail)}", soft_wrap=True
        )

    outcome = run_smoke(settings, plan, print_result)
    if as_json:
        parts = {
            part: {"passed": evidence.passed, "mode": evidence.mode, "at": evidence.at}
            for part, evidence in outcome.evidence.items()
        }
        files = [str(file) for file in outcome.files]
        print_json({"passed": outcome.passed, "parts": parts, "left": outcome.left, "files": files})
    else:
        console.print(f"{'passed' if outcome.passed else 'failed'}; evidence in {outcome.files[1]}")
    for problem in outcome.left:
        typer.echo(f"not undone: {problem}", err=True)
    if not outcome.passed:
        raise typer.Exit(1)


@commands.command(epilog="Example: trr doctor screenalytics")
def doctor(
    deployment: Annotated[
        list[str] | None, typer.Argument(help="backend, admin or screenalytics; all three by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a deployment: every secret and URL that it needs, tested where possible."""
    from trr_pipelines.doctor import DEPLOYMENTS, examine

    names = tuple(deployment or DEPLOYMENTS)
    for name in names:
        if name not in DEPLOYMENTS:
            raise InputError(f"a deployment must be one of {', '.join(DEPLOYMENTS)}, not {name[:60]!r}")
    findings = {name: examine(name, _with_own_credentials(load_settings())) for name in names}
    is_ok = all(finding.ok for group in findings.values() for finding in group)
    if as_json:
        report = {name: [finding.report() for finding in group] for name, group in findings.items()}
        print_json({"ok": is_ok, "deployments": report})
    else:
        table = Table("deployment", "setting", "result", box=None, pad_edge=False)
        for name, group in findings.items():
            for finding in group:
                used = f" ({escape(finding.used)})" if finding.used else ""
                result = f"[green]ok[/]{used}" if finding.ok else f"[red]{escape(finding.problem)}[/]"
                table.add_row(name, finding.name, result)
        Console(highlight=False).print(table)
    if not is_ok:
        raise typer.Exit(1)


@rollout_commands.command(epilog="Example: trr rollout status --json")
def status(out: Out = EVIDENCE, as_json: Json = False) -> None:
    """Show the state of the rollout by its smoke evidence; exit code 1 while something is open."""
    from trr_pipelines.rollout import rollout_status

    rollout = rollout_status(out)
    if as_json:
        print_json(rollout.report())
    else:
        table = Table(show_header=False, box=None, pad_edge=False)
        for stage in rollout.stages:
            table.add_row(
                stage.environment, stage.part, f"[{_COLOURS[stage.state]}]{stage.state}[/]", stage.at, escape(stage.why)
            )
        console = Console(highlight=False)
        console.print(table)
        for problem in rollout.out_of_order:
            console.print(f"out of order: {problem}")
        console.print(f"next: {escape(rollout.next)}" if rollout.next else "nothing is open")
    if not rollout.is_closed:
        raise typer.Exit(1)


def _with_own_credentials(settings: Settings) -> Settings:
    """Fill in the secrets of the embedded default; other deployments must set their own."""
    from trr_pipelines.credentials import with_credentials

    return with_credentials(settings) if settings.is_embedded else settings
