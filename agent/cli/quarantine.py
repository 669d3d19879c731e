"""`buckler quarantine`: what was taken, and bringing it back or destroying it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.asking import ask_owner_actions
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import say, say_json, say_table
from agent.domain.errors import BucklerError, ExitStatus

if TYPE_CHECKING:
    from agent.local_api.actions import QuarantinedFile

quarantine_app = typer.Typer(help="List, show, restore or delete quarantined files.", no_args_is_help=True)
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `buckler quarantine list` shows it.")]


@quarantine_app.command("list")
def list_files(
    context: typer.Context,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """List what was taken, oldest first."""
    common = common_options(context, output, data_dir, config)
    files = ask_owner_actions(common, lambda actions: actions.quarantined())
    if common.as_json:
        say_json([_as_json(file) for file in files])
    elif not files:
        say("Nothing is in quarantine.")
    else:
        rows = [
            (file.id, f"{file.quarantined_at:%Y-%m-%d %H:%M:%S}", file.state, _threats(file), file.original_path)
            for file in files
        ]
        say_table(("ID", "TAKEN (UTC)", "STATE", "THREAT", "PATH"), rows)


@quarantine_app.command()
def show(
    context: typer.Context,
    entry_id: _Id,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Show everything known about one quarantined file."""
    common = common_options(context, output, data_dir, config)
    files = ask_owner_actions(common, lambda actions: actions.quarantined())
    file = next((file for file in files if file.id == entry_id), None)
    if file is None:
        raise BucklerError(
            "QUARANTINE_UNKNOWN",
            f"there is no quarantined file {entry_id}",
            next_step="list them with `buckler quarantine list`",
            exit_status=ExitStatus.NEGATIVE,
        )
    if common.as_json:
        say_json(_as_json(file))
        return
    for name, value in _as_json(file).items():
        say(
            f"{name:<14} : {oct(value) if name == 'mode' else _threats(file) if name == 'findings' else value}".rstrip()
        )


@quarantine_app.command()
def restore(
    context: typer.Context,
    entry_id: _Id,
    *,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="PATH", help="Put it here instead of where it was.")
    ] = None,
    no_allow: Annotated[
        bool, typer.Option("--no-allow", help="Add no exclusion: the file may be taken again at once.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring a file back to its place, with owner, mode and times, and leave its content alone from now on."""
    common = common_options(context, output, data_dir, config)
    destination = str(to.absolute()) if to else None
    receipt = ask_owner_actions(common, lambda actions: actions.restore(entry_id, destination, allow=not no_allow))
    if common.as_json:
        say_json({"id": entry_id, "path": receipt.path, "exclusion_id": receipt.exclusion_id or None})
        return
    say(f"Restored to {receipt.path}.")
    if receipt.exclusion_id:
        say(f"Its content is excluded from now on ({receipt.exclusion_id}).")
        say(f"To undo that: buckler exclusion remove {receipt.exclusion_id}")


@quarantine_app.command()
def delete(
    context: typer.Context,
    entry_id: _Id,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Destroy a quarantined file for good; what is known about it stays listed."""
    common = common_options(context, output, data_dir, config)
    ask_owner_actions(common, lambda actions: actions.delete(entry_id))
    if common.as_json:
        say_json({"id": entry_id, "state": "deleted"})
    else:
        say(f"{entry_id} is destroyed.")


def _as_json(file: "QuarantinedFile") -> dict[str, Any]:
    return {
        "id": file.id,
        "original_path": file.original_path,
        "state": file.state,
        "detail": file.detail,
        "quarantined_at": file.quarantined_at.isoformat(),
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "mode": file.mode,
        "owner_uid": file.owner_uid,
        "owner_gid": file.owner_gid,
        "modified_ns": file.modified_ns,
        "findings": [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity.value,
                "member": "!".join(finding.member_path),
                "threat_name": finding.threat_name,
            }
            for finding in file.findings
        ],
    }


def _threats(file: "QuarantinedFile") -> str:
    return ", ".join(dict.fromkeys(finding.threat_name or finding.rule for finding in file.findings))
