"""`buckler schedule`: how scheduled scans stand, and holding, continuing or giving them up."""

import asyncio
from typing import TYPE_CHECKING

import typer

from agent.cli.asking import settings_of
from agent.cli.invocation import Common, ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json

if TYPE_CHECKING:
    from agent.local_api.steering import ScanAction

schedule_app = typer.Typer(help="Show, pause, resume or cancel scheduled scans.", no_args_is_help=True)


@schedule_app.command()
def status(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Show what is scanned now, what holds it up, and what is due when."""
    from agent.local_api.steering import ScanAction

    _steer(common_options(context, output, data_dir, config), ScanAction.TELL)


@schedule_app.command()
def pause(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Scan nothing by schedule until `resume`. Holds across restarts; a scan that has begun goes on after it."""
    from agent.local_api.steering import ScanAction

    _steer(common_options(context, output, data_dir, config), ScanAction.PAUSE)


@schedule_app.command()
def resume(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Take scheduled scans up again after `pause`."""
    from agent.local_api.steering import ScanAction

    _steer(common_options(context, output, data_dir, config), ScanAction.RESUME)


@schedule_app.command()
def cancel(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Give up the scan that has begun. The next one starts when it is due."""
    from agent.local_api.steering import ScanAction

    _steer(common_options(context, output, data_dir, config), ScanAction.CANCEL)


def _steer(common: Common, action: "ScanAction") -> None:
    from agent.requests import steer_scans

    fields = asyncio.run(steer_scans(settings_of(common), action))
    if common.as_json:
        say_json({field.name: field.value for field in fields})
    else:
        for field in fields:
            say(f"{field.name} : {field.text()}".rstrip())
