"""`buckler mode`: let openers of files go on, or hold them until the verdict."""

from typing import Annotated

import typer

from agent.cli.asking import ask_owner_actions
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json
from agent.domain.policy import Mode


def mode(
    context: typer.Context,
    wanted: Annotated[
        Mode, typer.Argument(metavar="notify|block", help="notify: they open it at once; block: they wait.")
    ],
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Let files be opened at once, or only after their scan. Blocking needs a plan that includes it."""
    common = common_options(context, output, data_dir, config)
    chosen = ask_owner_actions(common, lambda actions: actions.set_mode(wanted))
    if common.as_json:
        say_json({"mode": chosen.value})
    else:
        say(f"mode : {chosen.value}")
