"""`buckler-server doctor`: is this installation fit to serve? Reads, changes nothing."""

import asyncio
import json
from typing import TYPE_CHECKING

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import ExitStatus, Output, OutputOption, reporting
from controlplane.config import read_config

if TYPE_CHECKING:
    from controlplane.checkup import Finding


def doctor(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Check database, schema, keys, certificates, clock, jobs and documents. Exit status 1: something failed."""
    with reporting(output):
        from controlplane.checkup import Verdict, check_up

        findings = asyncio.run(check_up(read_config(data_dir.absolute())))
        healthy = all(finding.verdict is not Verdict.FAILED for finding in findings)
        if output is Output.JSON:
            typer.echo(json.dumps({"healthy": healthy, "checks": [_object(finding) for finding in findings]}))
        else:
            for finding in findings:
                typer.echo(f"{finding.check:<24} {finding.verdict.value:<8} {finding.detail}")
                if finding.next_step:
                    typer.echo(f"{'':<24} next: {finding.next_step}")
        raise typer.Exit(int(ExitStatus.OK if healthy else ExitStatus.NEGATIVE))


def _object(finding: "Finding") -> dict[str, str]:
    return {
        "check": finding.check,
        "verdict": finding.verdict.value,
        "code": finding.code,
        "detail": finding.detail,
        "next_step": finding.next_step,
    }
