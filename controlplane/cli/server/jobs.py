"""`buckler-server jobs`: durable jobs without a running server."""

import asyncio
from typing import Annotated, Any

import typer

from controlplane.cli.instants import read_instant
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import ExitStatus, Output, OutputOption, reporting, show
from controlplane.config import read_config
from controlplane.runtime.counting import counted
from controlplane.runtime.jobs.board import JobEntry, JobQuery, JobState, read_job_key
from controlplane.runtime.refusal import Kind, Refusal

jobs = typer.Typer(no_args_is_help=True, help="Work that falls due.")


@jobs.command("list")
def list_jobs(
    data_dir: DataDirOption,
    *,
    state: Annotated[list[JobState] | None, typer.Option(help="Only in this state; may be repeated.")] = None,
    kind: Annotated[str, typer.Option(help="Only of this kind, for example notices.deliver.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """What there is to do: parked jobs first, then by the instant at which they are due."""
    with reporting(output):
        from controlplane import job_desk

        query = JobQuery(frozenset(state or ()), kind, limit)
        found = asyncio.run(job_desk.list_jobs(read_config(data_dir.absolute()), query))
        if output is Output.JSON:
            show(output, {"jobs": [_object(entry) for entry in found]})
            return
        for entry in found:
            typer.echo(f"{entry.state.value:<8} {entry.due_at.isoformat(timespec='seconds')}  {entry.key}")
            if entry.attempts:
                typer.echo(f"{'':<8} failed {counted(entry.attempts, 'time')}, at last {entry.error}: {entry.sentence}")
        if not found:
            typer.echo("There is no such job.")


@jobs.command("retry")
def retry(
    data_dir: DataDirOption,
    job: Annotated[str, typer.Argument(metavar="[JOB]", help="As `jobs list` shows it.")] = "",
    *,
    kind: Annotated[str, typer.Option(help="Every parked job of this kind.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Every parked job.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Try jobs again that failed too often; a running server begins within a second."""
    with reporting(output):
        from controlplane import job_desk

        if sum((bool(job), bool(kind), every)) != 1:
            raise Refusal(
                Kind.INVALID,
                "JOBS_NOT_NAMED",
                "it takes exactly one of JOB, --kind and --all",
                "See what is parked: buckler-server jobs list --state parked",
            )
        key = read_job_key(job) if job else None
        woken = asyncio.run(job_desk.retry_jobs(read_config(data_dir.absolute()), key, kind))
        show(output, {"retried": [str(each) for each in woken]} if output is Output.JSON else {"retried": len(woken)})


@jobs.command("run")
def run(
    data_dir: DataDirOption,
    *,
    until: Annotated[
        str | None, typer.Option(help="ISO 8601, UTC unless it says otherwise; the future only with --org.")
    ] = None,
    org: Annotated[str, typer.Option(help="A sandbox: take it to --until, through its jobs only.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Run every job that is due, each at its own instant. Exit status 3: some failed and will be tried again."""
    with reporting(output):
        from controlplane.serving import move_sandbox, run_jobs

        config, instant = read_config(data_dir.absolute()), None if until is None else read_instant(until)
        if org:
            if instant is None:
                raise Refusal(
                    Kind.INVALID, "OPTION_MISSING", "a sandbox is taken to a moment", "Give --until with --org"
                )
            report = asyncio.run(move_sandbox(config, org, instant))
        else:
            report = asyncio.run(run_jobs(config, instant))
        show(output, {"run": report.run, "failed": report.failed})
        if report.failed:
            raise typer.Exit(int(ExitStatus.INCOMPLETE))


def _object(entry: JobEntry) -> dict[str, Any]:
    return {
        "job": str(entry.key),
        "org_id": entry.key.org_id,
        "kind": entry.key.kind,
        "subject": entry.key.subject,
        "state": entry.state.value,
        "due_at": entry.due_at.isoformat(),
        "attempts": entry.attempts,
        "error": entry.error,
        "sentence": entry.sentence,
        "until": None if entry.until is None else entry.until.isoformat(),
        "parked_at": None if entry.parked_at is None else entry.parked_at.isoformat(),
    }
