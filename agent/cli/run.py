"""`buckler run`: the service, in the foreground."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.invocation import ConfigOption, DataDirOption, LogFormat, OutputOption, common_options
from agent.cli.printing import note
from agent.domain.policy import Mode


def run(
    context: typer.Context,
    root: Annotated[
        list[Path] | None, typer.Option("--root", metavar="DIR", help="Watch this folder; may be repeated.")
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", metavar="FILE|DIR|ZIP", help="Use these rules beside the installed ones; repeatable."),
    ] = None,
    mode: Annotated[
        Mode | None,
        typer.Option("--mode", help="For this run: let programs open files at once, or hold them until the verdict."),
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option("--log-format", help="How the log is written; default: as configured.")
    ] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Protect this device until stopped. Works without an activation.

    Prints `protected roots=… source=…` to standard error once protection has been proven.
    """
    from agent.app import Ending, run_agent
    from agent.cli.log import announce, configure_log
    from agent.config import load_config
    from agent.locations import Overrides
    from agent.platform.services.service_notice import ServiceNotice

    notice = ServiceNotice.from_environment(os.environ)
    common = common_options(context, output, data_dir, config)
    overrides = Overrides(common.data_dir, common.config, tuple(root or ()), tuple(rules or ()), mode)
    loaded = load_config(overrides)
    form = log_format or LogFormat(loaded.log_format)
    configure_log(service=True, form=form)
    say = note if form is LogFormat.TEXT else announce
    ending = asyncio.run(run_agent(loaded, notice, announce=say))
    if ending is Ending.RESTART:
        # The same process, so that whoever supervises it need not notice.
        command, environment = [sys.executable, *sys.orig_argv[1:]], {**os.environ, **notice.environment}
        os.execve(sys.executable, command, environment)  # noqa: S606 -- our own program
