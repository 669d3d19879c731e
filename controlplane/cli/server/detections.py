"""`buckler-server detections`: reports of devices that could not be stored."""

import asyncio
from typing import Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import read_config

detections = typer.Typer(no_args_is_help=True, help="Reports of devices that were buffered and could not be stored.")


@detections.command("dead")
def dead(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """What could not be stored and why, the newest first."""
    with reporting(output):
        from controlplane import report_desk

        found = asyncio.run(report_desk.list_dead(read_config(data_dir.absolute())))
        if output is Output.JSON:
            shown = [
                {
                    "report_id": each.report_id,
                    "org_id": each.org_id,
                    "device_id": each.device_id,
                    "failed_at": each.failed_at.isoformat(),
                    "code": each.code,
                    "sentence": each.sentence,
                }
                for each in found
            ]
            show(output, {"reports": shown})
            return
        for each in found:
            whose = each.device_id or "nobody's that is known"
            typer.echo(f"{each.report_id:<36} {each.failed_at.isoformat(timespec='seconds')}  {whose}")
            typer.echo(f"{'':<36} {each.code}: {each.sentence}")
        if not found:
            typer.echo("Every report was stored.")


@detections.command("retry")
def retry(
    data_dir: DataDirOption,
    report: Annotated[str, typer.Argument(help="As `detections dead` shows it.")],
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Store a report after all, once what kept it out is mended."""
    with reporting(output):
        from controlplane import report_desk

        asyncio.run(report_desk.retry_dead(read_config(data_dir.absolute()), report))
        show(output, {"stored": report})
