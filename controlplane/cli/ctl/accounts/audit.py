"""`bucklerctl audit`: who did what, and when."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Output,
    OutputOption,
    reporting,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from wire.v1.account_pb2 import AuditEntry

audit = typer.Typer(no_args_is_help=True, help="Every change in your organisation.")

DEFAULT_LIMIT = 100


@audit.callback()
def _group() -> None:
    """Keeps `list` a command of its own: Typer would fold a group of one."""


@audit.command("list")
def list_audit(
    config_dir: ConfigDirOption,
    *,
    subject: Annotated[str, typer.Option(help="Only what was done to this id.")] = "",
    actor: Annotated[str, typer.Option(help="Only by: user:…, device:…, operator, anonymous or system.")] = "",
    action: Annotated[str, typer.Option(help="Only actions that begin with this, e.g. key.")] = "",
    limit: LimitOption = DEFAULT_LIMIT,
    output: OutputOption = Output.TEXT,
) -> None:
    """Changes, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ListAuditRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = AccountServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(
                    stub.ListAudit,
                    ListAuditRequest(page=page, subject=subject, actor=actor, action_prefix=action),
                ),
                lambda answer: map(_row, answer.entries),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                local(each["at"]),
                each["actor_email"] or each["actor"],
                each["action"],
                each["subject"],
                ", ".join(f"{name}={value}" for name, value in each["details"].items()),
            ]
            for each in found
        ]
        say_table(["when", "who", "what", "to", "details"], rows, whole=["when"], empty="There are no such entries.")


def _row(entry: "AuditEntry") -> dict[str, Any]:
    from controlplane.cli.ctl.views import moment

    return {
        "audit_id": entry.audit_id,
        "at": moment(entry.at_us),
        "actor": entry.actor,
        "actor_email": entry.actor_email or None,
        "action": entry.action,
        "subject": entry.subject,
        "details": dict(sorted(entry.details.items())),
        "request_id": entry.request_id or None,
    }
