"""`buckler service`: the agent in the background, kept running by the system's own supervisor."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json
from agent.cli.service_wiring import open_desk, remains_of
from agent.domain.errors import ExitStatus

if TYPE_CHECKING:
    from agent.domain.services import ServiceStatus

service_app = typer.Typer(help="Install, start, stop or remove the background service.", no_args_is_help=True)


@service_app.command()
def install(
    context: typer.Context,
    *,
    no_start: Annotated[bool, typer.Option("--no-start", help="Only have it start with the machine, not now.")] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Start the agent now and with the machine. Returns once protection is proven."""
    common = common_options(context, output, data_dir, config)
    desk = open_desk(common)
    done = desk.install()
    proof = "" if no_start else desk.start()
    definition = desk.status().definition
    if common.as_json:
        say_json({"done": done.value, "definition": definition, "proof": proof or None})
        return
    say(f"The service starts with the machine ({definition}).")
    say(proof or "It has not been started: buckler service start")


@service_app.command()
def uninstall(
    context: typer.Context,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also destroy the data folder: identity, history, an empty vault.")
    ] = False,
    discard_quarantine: Annotated[
        bool, typer.Option("--discard-quarantine", help="With --purge: even if the vault still holds files.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Stop the agent and start it no more. Its data folder stays, unless --purge is given."""
    common = common_options(context, output, data_dir, config)
    if discard_quarantine and not purge:
        raise typer.BadParameter("--discard-quarantine says what --purge may destroy, and needs it")
    remains = remains_of(common)
    was_there = open_desk(common).uninstall(remains, purge=purge, discard_quarantine=discard_quarantine)
    if common.as_json:
        say_json({"uninstalled": was_there, "purged": purge, "data_dir": remains.folder()})
        return
    if was_there:
        say("The service is stopped and does not start any more. Nothing protects this device now.")
    if purge:
        say(f"What it kept in {remains.folder()} is destroyed.")
        return
    say(f"What it keeps stays in {remains.folder()}: settings, history and quarantined files.")
    held = remains.held()
    if held.files:
        say(f"Files in the vault: {held.files}. Have them back with `buckler quarantine list` and `restore`.")


@service_app.command()
def start(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Start the agent. Returns once protection is proven."""
    common = common_options(context, output, data_dir, config)
    proof = open_desk(common).start()
    if common.as_json:
        say_json({"proof": proof})
    else:
        say(proof)


@service_app.command()
def stop(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Stop the agent. It starts again with the machine, or when it is told to."""
    common = common_options(context, output, data_dir, config)
    ran = open_desk(common).stop()
    if common.as_json:
        say_json({"stopped": ran})
    elif ran:
        say("The agent is stopped. Nothing protects this device until `buckler service start` or a restart.")
    else:
        say("The agent was not running.")


@service_app.command()
def status(
    context: typer.Context, output: OutputOption = None, data_dir: DataDirOption = None, config: ConfigOption = None
) -> None:
    """Show how the service is. The exit status is 0 only when it runs."""
    common = common_options(context, output, data_dir, config)
    found = open_desk(common).status()
    shown = service_record(found)
    if common.as_json:
        say_json(shown)
    else:
        for name, value in shown.items():
            say(f"{name} : {_text(value)}".rstrip())
    if not found.running:
        raise typer.Exit(int(ExitStatus.NEGATIVE))


def service_record(status: "ServiceStatus") -> dict[str, Any]:
    """What the supervisor says, for programs."""
    return {
        "installed": status.installed,
        "enabled": status.enabled,
        "running": status.running,
        "state": status.state.value,
        "since": status.since.isoformat() if status.since else None,
        "restarts": status.restarts,
        "last_exit": status.last_exit or None,
        "says": status.says or None,
        "process": status.pid,
        "supervisor": status.supervisor,
        "definition": status.definition or None,
    }


def _text(value: str | int | bool | None) -> str:  # noqa: FBT001 -- a value of the status
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
