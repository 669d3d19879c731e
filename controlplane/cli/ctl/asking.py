"""Asking a device to do something, and waiting for what becomes of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import Output, note, say, say_json, wish_name

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.command_pb2 import CommandRecord

ReasonOption = Annotated[str, typer.Option(help="Why, for the audit and the device's own records.")]
WaitOption = Annotated[
    int, typer.Option("--wait", min=0, max=86_400, metavar="SECONDS", help="Wait so long for the outcome.")
]
#: Between two looks at a command that is waited for.
_LOOK_EVERY_S = 1.0
FINAL = frozenset({"succeeded", "failed", "timed_out", "cancelled", "expired"})
#: Final states in which what was asked for did not happen.
_NEGATIVE = FINAL - {"succeeded"}


@dataclass(frozen=True, slots=True)
class Ask:
    """What a person wants a device to do."""

    device_id: str
    kind: str
    arguments: Mapping[str, str]
    reason: str
    idempotency_key: str
    wait_s: int


def ask_device(connection: "Connection", ask: Ask) -> dict[str, Any]:
    """Ask, wait for the outcome if that is wanted; the command's row."""
    from controlplane.cli.ctl.views import command_row
    from wire.v1.command_pb2 import GetCommandRequest, RequestCommandRequest
    from wire.v1.command_pb2_grpc import CommandServiceStub

    stub = CommandServiceStub(connection.channel)
    request = RequestCommandRequest(
        device_id=ask.device_id,
        kind=ask.kind,
        arguments=dict(ask.arguments),
        reason=ask.reason,
        idempotency_key=wish_name(ask.idempotency_key),
    )
    record = connection.call(stub.RequestCommand, request)
    again = GetCommandRequest(command_id=record.command.command_id)
    return command_row(_outcome(record, lambda: connection.call(stub.GetCommand, again), ask.wait_s))


def _outcome(record: "CommandRecord", look: Callable[[], "CommandRecord"], wait_s: int) -> "CommandRecord":
    from controlplane.cli.ctl.views import command_state_name

    deadline = time.monotonic() + wait_s
    while command_state_name(record.state) not in FINAL and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY_S)
        record = look()
    return record


def show_asked(row: dict[str, Any], output: Output) -> None:
    """Print what was asked for and what came of it; ends with 1 if it was waited for and did not succeed."""
    if output is Output.JSON:
        say_json(row)
    else:
        say(f"{row['kind']} on {row['device_name']}: {_told(row)}")
        if row["state"] not in FINAL:
            note(f"look again with: bucklerctl command show {row['command_id']}")
    if row["state"] in _NEGATIVE:
        raise typer.Exit(1)


def _told(row: dict[str, Any]) -> str:
    state = row["state"].replace("_", " ")
    facts = ", ".join(f"{name} {value}" for name, value in row["result"].items())
    why = f" ({row['code']}: {row['message']})" if row["code"] else ""
    return f"{state}{why}" + (f": {facts}" if facts else "")
