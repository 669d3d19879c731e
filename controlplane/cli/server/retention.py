"""`buckler-server retention`: what is kept for how long."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import read_config
from controlplane.runtime.counting import counted

if TYPE_CHECKING:
    from controlplane.retention.service import RuleStanding

retention = typer.Typer(no_args_is_help=True, help="What is kept for how long.")


@retention.command("show")
def show_rules(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every rule: how long, why, how many rows went, and how old the oldest is."""
    with reporting(output):
        from controlplane import retention_desk

        found = asyncio.run(retention_desk.show(read_config(data_dir.absolute())))
        if output is Output.JSON:
            show(output, {"rules": [_object(standing) for standing in found]})
            return
        for standing in found:
            kept = "for ever" if standing.period is None else counted(standing.period.days, "day")
            oldest = "none" if standing.oldest_at is None else f"{standing.oldest_at:%Y-%m-%d}"
            typer.echo(f"{standing.rule.name:<20} {kept:>10}  oldest {oldest:<10}  deleted {standing.deleted}")
            typer.echo(f"{'':<20} {standing.rule.why}")
        typer.echo("\nWhat is not named is kept for ever: licences, seats, money, consents. Periods: [retention].")


@retention.command("run")
def run(
    data_dir: DataDirOption,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go now.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete everything that is no longer kept, now; a running server does so by itself, a little each minute."""
    with reporting(output):
        from controlplane import retention_desk

        gone = asyncio.run(retention_desk.run(read_config(data_dir.absolute()), dry=dry_run))
        name = "would_go" if dry_run else "deleted"
        show(output, {name: dict(gone)} if output is Output.JSON else {**gone, name: sum(gone.values())})


def _object(standing: "RuleStanding") -> dict[str, Any]:
    return {
        "rule": standing.rule.name,
        "days": None if standing.period is None else standing.period.days,
        "least_days": standing.rule.least_days,
        "why": standing.rule.why,
        "deleted": standing.deleted,
        "oldest_at": None if standing.oldest_at is None else standing.oldest_at.isoformat(),
        "passed_at": None if standing.passed_at is None else standing.passed_at.isoformat(),
    }
