"""`buckler-server jobs`: durable jobs without a running server."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import ExitStatus, Output, OutputOption, reporting, show
from controlplane.config import read_config
from controlplane.runtime.refusal import Kind, Refusal

jobs = typer.Typer(no_args_is_help=True, help="Work that falls due.")


@jobs.callback()
def _group() -> None:
    """Keeps `run` a command of its own: Typer would fold a group of one."""


@jobs.command("run")
def run(
    data_dir: DataDirOption,
    *,
    until: Annotated[
        str | None, typer.Option(help="ISO 8601, UTC unless it says otherwise; the future only in a demonstration.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Run every job that is due, each at its own instant. Exit status 3: some failed and will be tried again."""
    with reporting(output):
        from controlplane.serving import run_jobs

        report = asyncio.run(run_jobs(read_config(data_dir.absolute()), _instant(until)))
        show(output, {"run": report.run, "failed": report.failed})
        if report.failed:
            raise typer.Exit(int(ExitStatus.INCOMPLETE))


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refusal(
            Kind.INVALID,
            "INSTANT_INVALID",
            f"{text!r} is not a moment",
            "Write it as in 2027-03-31 or 2027-03-31T12:00:00Z",
        ) from error
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
