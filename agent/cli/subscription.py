"""`buckler subscription`: what this device is entitled to, why, until when, and the way back."""

import typer

from agent.cli.asking import ask_status
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json


def subscription(
    context: typer.Context,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show plan, seat and access of this device."""
    from agent.control.policy.way_back import way_back_from

    common = common_options(context, output, data_dir, config)
    fields = ask_status(common)
    names = ("licensed", "plan", "seat_id", "access", "access_reason", "access_until", "paid_until", "control_plane")
    way = way_back_from(fields["access"].text(), fields["access_reason"].text())
    if common.as_json:
        say_json({**{name: fields[name].value for name in names}, "way_back": way or None})
        return
    for name in names:
        say(f"{name:<13} : {fields[name].text()}".rstrip())
    if way:
        say(f"{'way_back':<13} : {way}")
