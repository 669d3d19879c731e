"""`buckler deactivate`: give this device's seat back."""

import asyncio
from typing import Annotated

import typer

from agent.cli.asking import settings_of
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json


def deactivate(
    context: typer.Context,
    *,
    reason: Annotated[str, typer.Option("--reason", help="For the audit of the control plane.")] = "",
    local_only: Annotated[
        bool,
        typer.Option("--local-only", help="Forget the activation here even if the control plane is gone for good."),
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Give the seat of this device back. Detection and quarantine go on."""
    from agent.requests import deactivate_device

    common = common_options(context, output, data_dir, config)
    settings = settings_of(common)
    device_id = asyncio.run(deactivate_device(settings, reason, local_only=local_only))
    if common.as_json:
        say_json({"device_id": device_id, "seat_given_back": not local_only})
    elif local_only:
        say(f"This device forgot that it was {device_id}; its seat stays taken until an admin releases it.")
    else:
        say(f"The seat of {device_id} is free again; detection and quarantine go on here.")
