"""`bucklerctl command`: what devices were asked to do, and what became of it."""

from enum import Enum
from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    LimitOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
    wish_name,
)

command = typer.Typer(no_args_is_help=True, help="What devices were asked to do, and what became of it.")

CommandArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the command: bucklerctl command list.")]
CampaignArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the campaign: bucklerctl command campaigns.")
]


class State(Enum):
    """States of a command, as on the command line."""

    PENDING = "pending"
    DELIVERED = "delivered"
    IN_PROGRESS = "in_progress"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Step(Enum):
    """What can be done with a campaign."""

    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"


@command.command("list")
def list_commands(
    config_dir: ConfigDirOption,
    *,
    device: Annotated[str, typer.Option(help="Only of this device id.")] = "",
    state: Annotated[list[State] | None, typer.Option(help="Only in this state; repeatable.")] = None,
    campaign: Annotated[str, typer.Option(help="Only of this campaign id.")] = "",
    limit: LimitOption = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """Commands, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import command_row
        from wire.v1.command_pb2 import CommandState, ListCommandsRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        states = [CommandState.Value(f"COMMAND_STATE_{each.name}") for each in state or []]
        with connected(load_session(config_dir)) as connection:
            stub = CommandServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(
                    stub.ListCommands,
                    ListCommandsRequest(page=page, device_id=device, states=states, campaign_id=campaign),
                ),
                lambda answer: map(command_row, answer.commands),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        _show_list(found)


def _show_list(found: list[dict[str, Any]]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.runtime.clock import SystemClock

    if not found:
        say("There are no such commands.")
        return
    now = SystemClock().now()
    rows = [
        [
            ago(each["requested_at"], now),
            each["device_name"],
            each["kind"],
            each["state"].replace("_", " "),
            each["code"] or ", ".join(f"{name} {value}" for name, value in each["result"].items()),
            each["command_id"],
        ]
        for each in found
    ]
    say_table(["when", "device", "command", "state", "outcome", "id"], rows, whole=["id"])


@command.command("show")
def show_command(
    command_id: CommandArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """Everything known about one command."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import command_row
        from wire.v1.command_pb2 import GetCommandRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = CommandServiceStub(connection.channel)
            row = command_row(connection.call(stub.GetCommand, GetCommandRequest(command_id=command_id)))
        if output is Output.JSON:
            say_json(row)
            return
        _show_one(row)


def _show_one(row: dict[str, Any]) -> None:
    from controlplane.cli.ctl.moments import local_and_ago
    from controlplane.runtime.clock import SystemClock

    now = SystemClock().now()
    moments = ("requested", "delivered", "started", "finished", "cancel_requested", "expires")
    say_fields(
        {
            "id": row["command_id"],
            "command": " ".join([row["kind"], *(f"{name}={value}" for name, value in row["arguments"].items())]),
            "device": f"{row['device_name']} ({row['device_id']})",
            "state": row["state"].replace("_", " "),
            **({"why": f"{row['code']}: {row['message']}"} if row["code"] else {}),
            **{f"result_{name}": value for name, value in row["result"].items()},
            "requester": row["requester"],
            "reason": row["reason"] or "-",
            **({"campaign": row["campaign_id"]} if row["campaign_id"] else {}),
            **{name: local_and_ago(row[f"{name}_at"], now) for name in moments if row[f"{name}_at"]},
        }
    )


@command.command("cancel")
def cancel_command(
    command_id: CommandArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """Cancel a command. One that a device has begun is cancelled by the device, if it still can."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import command_row
        from wire.v1.command_pb2 import CancelCommandRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = CommandServiceStub(connection.channel)
            row = command_row(connection.call(stub.CancelCommand, CancelCommandRequest(command_id=command_id)))
        if output is Output.JSON:
            say_json(row)
        elif row["state"] == "cancelled":
            say(f"Cancelled: {row['kind']} on {row['device_name']}.")
        elif row["cancel_requested_at"] and not row["finished_at"]:
            say(f"{row['device_name']} has begun it and is asked to give it up.")
        else:
            say(f"Nothing to cancel: {row['kind']} on {row['device_name']} {row['state'].replace('_', ' ')}.")


@command.command("campaign")
def begin_campaign(  # noqa: PLR0913 -- options of a command line
    kind: Annotated[str, typer.Argument(help="What every device is to do: scan, restart, allow, …")],
    config_dir: ConfigDirOption,
    *,
    argument: Annotated[list[str] | None, typer.Option("--argument", metavar="NAME=VALUE", help="Repeatable.")] = None,
    device: Annotated[list[str] | None, typer.Option(help="Only this device id; repeatable. Left out: all.")] = None,
    per_minute: Annotated[int, typer.Option(min=1, max=10_000, help="Devices that get it each minute.")] = 60,
    stop_after: Annotated[
        int, typer.Option(min=0, max=1_000_000, help="Failures after which no more get it; 0: never.")
    ] = 10,
    reason: Annotated[str, typer.Option(help="Why, for the audit and the devices' own records.")] = "",
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give many devices the same command, a few each minute."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import campaign_row
        from wire.v1.command_pb2 import RequestCampaignRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        request = RequestCampaignRequest(
            kind=kind,
            arguments=_arguments(argument or []),
            reason=reason,
            idempotency_key=wish_name(idempotency_key),
            device_ids=device or [],
            devices_per_minute=per_minute,
            stop_after_failures=stop_after,
        )
        with connected(load_session(config_dir)) as connection:
            stub = CommandServiceStub(connection.channel)
            row = campaign_row(connection.call(stub.RequestCampaign, request))
        _show_campaign(row, output)


def _arguments(given: list[str]) -> dict[str, str]:
    from controlplane.runtime.refusal import Kind, Refusal

    read = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or not name:
            raise Refusal(Kind.INVALID, "ARGUMENT_INVALID", f"{each!r} is not an argument", "Write it like what=quick")
        read[name] = value
    return read


@command.command("campaigns")
def list_campaigns(config_dir: ConfigDirOption, *, limit: LimitOption = 20, output: OutputOption = Output.TEXT) -> None:
    """Campaigns, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import ago
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import campaign_row
        from controlplane.runtime.clock import SystemClock
        from wire.v1.command_pb2 import ListCampaignsRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = CommandServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListCampaigns, ListCampaignsRequest(page=page)),
                lambda answer: map(campaign_row, answer.campaigns),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        now = SystemClock().now()
        rows = [
            [ago(each["requested_at"], now), each["kind"], each["state"], _counts(each), each["campaign_id"]]
            for each in found
        ]
        say_table(["when", "command", "state", "devices", "id"], rows, whole=["id"], empty="There are no campaigns.")


@command.command("steer")
def steer_campaign(
    campaign_id: CampaignArgument,
    step: Annotated[Step, typer.Argument(help="pause: give out nothing more; resume: go on; stop: for good.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Pause, resume or stop a campaign."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import campaign_row
        from wire.v1.command_pb2 import CampaignStep, SteerCampaignRequest
        from wire.v1.command_pb2_grpc import CommandServiceStub

        request = SteerCampaignRequest(campaign_id=campaign_id, step=CampaignStep.Value(f"CAMPAIGN_STEP_{step.name}"))
        with connected(load_session(config_dir)) as connection:
            row = campaign_row(connection.call(CommandServiceStub(connection.channel).SteerCampaign, request))
        _show_campaign(row, output)


def _show_campaign(row: dict[str, Any], output: Output) -> None:
    if output is Output.JSON:
        say_json(row)
        return
    say(f"{row['kind']} for {sum(row['counts'].values())} device(s), {row['state']}: {_counts(row)}")
    note(f"look again with: bucklerctl command list --campaign {row['campaign_id']}")


def _counts(row: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(row["counts"].items()) if count)
