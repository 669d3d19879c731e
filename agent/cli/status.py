"""`buckler status`: is this device protected, and what is it entitled to?"""

from typing import Annotated

import typer

from agent.cli.asking import ask_status
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json
from agent.domain.errors import BucklerError, ExitStatus


def status(
    context: typer.Context,
    field: Annotated[str | None, typer.Option("--field", metavar="NAME", help="Print this value only.")] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show whether this device is protected. The exit status is 0 only when it is."""
    common = common_options(context, output, data_dir, config)
    fields = ask_status(common)
    if field is not None and field not in fields:
        raise BucklerError(
            "FIELD_UNKNOWN", f"the status has no field {field!r}", next_step=f"choose one of {', '.join(fields)}"
        )
    shown = fields if field is None else {field: fields[field]}
    if common.as_json:
        say_json({line.name: line.value for line in shown.values()})
    elif field is not None:
        say(fields[field].text())
    else:
        for line in fields.values():
            say(f"{line.name} : {line.text()}".rstrip())
    if fields["healthy"].value is not True:
        raise typer.Exit(int(ExitStatus.NEGATIVE))
