"""`buckler quarantine`: what was taken, and bringing it back or destroying it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agent.cli.asking import ask_owner_actions
from agent.cli.invocation import Common, ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import note_error, say, say_json, say_table
from agent.domain.errors import BucklerError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent.local_api.actions import OwnerActions, QuarantinedFile

quarantine_app = typer.Typer(help="List, show, restore or delete quarantined files.", no_args_is_help=True)
_Id = Annotated[str, typer.Argument(metavar="ID", help="As `buckler quarantine list` shows it.")]
_Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="As `buckler quarantine list` shows them.")]
_Rule = Annotated[
    str | None, typer.Option("--rule", metavar="NAME", help="Every file in the vault that this rule found.")
]


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
            (file.id, f"{file.quarantined_at:%Y-%m-%d %H:%M:%S}", _state(file), _threats(file), file.original_path)
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
        from agent.domain.quarantine import quarantine_unknown

        raise quarantine_unknown(entry_id)
    if common.as_json:
        say_json(_as_json(file))
        return
    shown = _as_json(file) | {"mode": oct(file.mode), "findings": _threats(file), "history": ""}
    for name, value in shown.items():
        say(f"{name:<15} : {'' if value is None else value}".rstrip())
    for credit in dict.fromkeys(finding.credit for finding in file.findings if finding.credit):
        say(f"rules by        : {credit}")
    for note in file.history:
        say(f"  {note.at:%Y-%m-%d %H:%M:%S} {note.event.value} by {note.actor} {note.detail}".rstrip())


@quarantine_app.command()
def restore(
    context: typer.Context,
    entry_ids: _Ids = None,
    *,
    rule: _Rule = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="PATH", help="Put it here instead of where it was; a folder for several."),
    ] = None,
    no_allow: Annotated[
        bool, typer.Option("--no-allow", help="Add no exclusion: the file may be taken again at once.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Bring files back to their places, with owner, mode and times, and leave their content alone from now on."""
    common = common_options(context, output, data_dir, config)
    destination = str(to.absolute()) if to else None

    async def bring_back(actions: "OwnerActions", entry_id: str) -> dict[str, Any]:
        receipt = await actions.restore(entry_id, destination, allow=not no_allow)
        return {"id": entry_id, "path": receipt.path, "exclusion_id": receipt.exclusion_id or None}

    def tell(done: dict[str, Any]) -> None:
        say(f"Restored to {done['path']}.")
        if done["exclusion_id"]:
            say(f"Its content is excluded from now on ({done['exclusion_id']}).")
            say(f"To undo that: buckler exclusion remove {done['exclusion_id']}")

    _to_each(common, entry_ids, rule, bring_back, tell)


@quarantine_app.command()
def delete(
    context: typer.Context,
    entry_ids: _Ids = None,
    *,
    rule: _Rule = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Destroy quarantined files for good; what is known about them stays listed."""
    common = common_options(context, output, data_dir, config)

    async def destroy(actions: "OwnerActions", entry_id: str) -> dict[str, Any]:
        await actions.delete(entry_id)
        return {"id": entry_id, "state": "deleted"}

    _to_each(common, entry_ids, rule, destroy, lambda done: say(f"{done['id']} is destroyed."))


def _to_each(
    common: Common,
    entry_ids: list[str] | None,
    rule: str | None,
    act: "Callable[[OwnerActions, str], Awaitable[dict[str, Any]]]",
    tell: "Callable[[dict[str, Any]], None]",
) -> None:
    """Do one thing to one file, or to several: then each is tried, and the first refusal decides the exit status."""
    if bool(entry_ids) == (rule is not None):
        raise typer.BadParameter("name one or more ids, or a rule with --rule")
    outcomes = ask_owner_actions(common, lambda actions: _each(actions, entry_ids, rule, act))
    refusals = [outcome for outcome in outcomes if isinstance(outcome, BucklerError)]
    alone = rule is None and len(outcomes) == 1
    if alone and refusals:
        raise refusals[0]
    done = [outcome for outcome in outcomes if not isinstance(outcome, BucklerError)]
    if common.as_json:
        say_json(done[0] if alone else done)
    else:
        for outcome in done:
            tell(outcome)
        if not outcomes:
            say("The vault holds nothing that this rule found.")
    for refusal in refusals:
        note_error(refusal, as_json=common.as_json)
    if refusals:
        raise typer.Exit(int(refusals[0].exit_status))


async def _each(
    actions: "OwnerActions",
    entry_ids: list[str] | None,
    rule: str | None,
    act: "Callable[[OwnerActions, str], Awaitable[dict[str, Any]]]",
) -> list[dict[str, Any] | BucklerError]:
    if rule is not None:
        files = await actions.quarantined()
        entry_ids = [file.id for file in files if file.state == "done" and _was_found_by(file, rule)]
    outcomes: list[dict[str, Any] | BucklerError] = []
    for entry_id in dict.fromkeys(entry_ids or ()):
        try:
            outcomes.append(await act(actions, entry_id))
        except BucklerError as error:
            outcomes.append(error)
    return outcomes


def _was_found_by(file: "QuarantinedFile", rule: str) -> bool:
    return any(rule in {finding.rule, f"{finding.namespace}.{finding.rule}"} for finding in file.findings)


def _state(file: "QuarantinedFile") -> str:
    due = file.deletion_due_at
    return file.state if due is None else f"{file.state}, deleted on {due:%Y-%m-%d}"


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
        "deletion_due_at": file.deletion_due_at.isoformat() if file.deletion_due_at else None,
        "history": [
            {"at": note.at.isoformat(), "event": note.event.value, "actor": note.actor, "detail": note.detail}
            for note in file.history
        ],
        "findings": [
            {
                "rule": finding.rule,
                "namespace": finding.namespace,
                "severity": finding.severity.value,
                "member": "!".join(finding.member_path),
                "threat_name": finding.threat_name,
                "credit": finding.credit,
            }
            for finding in file.findings
        ],
    }


def _threats(file: "QuarantinedFile") -> str:
    return ", ".join(dict.fromkeys(finding.threat_name or finding.rule for finding in file.findings))
