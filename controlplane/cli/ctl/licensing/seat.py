"""`bucklerctl seat`: who holds which seat, and who is to hold it."""

from typing import Annotated

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_json,
    say_table,
    wish_name,
)
from controlplane.runtime.counting import counted

seat = typer.Typer(no_args_is_help=True, help="The seats of a subscription.")

SubscriptionOption = Annotated[
    str, typer.Option("--subscription", help="Subscription id; left out: the only one there is.")
]
SeatArgument = Annotated[str, typer.Argument(metavar="SEAT", help="Id of the seat, or of the device on it.")]
ReasonOption = Annotated[str, typer.Option(help="For history and audit.")]


@seat.command("list")
def list_seats(
    config_dir: ConfigDirOption, *, subscription: SubscriptionOption = "", output: OutputOption = Output.TEXT
) -> None:
    """Every seat and its holder."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import ago, local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment, seat_row
        from controlplane.runtime.clock import SystemClock
        from wire.v1.licensing_pb2 import ListSeatsRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = LicensingServiceStub(connection.channel)
            answer = connection.call(stub.ListSeats, ListSeatsRequest(subscription_id=subscription))
        found = [seat_row(each) for each in answer.seats]
        if answer.surplus:
            note(
                f"{answer.surplus} more device(s) hold a seat than the plan covers. Release which you like until "
                f"{local(moment(answer.choose_until_at_us))}; then unpinned ones go, the longest unseen first."
            )
        if output is Output.JSON:
            say_json(found)
            return
        now = SystemClock().now()
        rows = [
            [
                str(each["slot"]),
                each["seat_id"],
                (each["device_name"] or "free") + (" (pinned)" if each["pinned"] else ""),
                each["device_id"] or "",
                local(each["held_since"]) if each["device_id"] else "",
                ago(each["last_seen_at"], now) if each["device_id"] else "",
            ]
            for each in found
        ]
        say_table(["slot", "seat", "device", "device id", "held since", "last seen"], rows, whole=["seat", "device id"])
        taken = sum(1 for each in found if each["device_id"])
        say(f"Taken: {taken} of {counted(len(found), 'seat')}.")


@seat.command("release")
def release_seat(
    seat_or_device_id: SeatArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Free a seat. Its device keeps the floor of protection and learns why at its next check-in."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.licensing_pb2 import ReleaseSeatRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            request = ReleaseSeatRequest(
                seat_or_device_id=seat_or_device_id, reason=reason, idempotency_key=wish_name(idempotency_key)
            )
            answer = connection.call(LicensingServiceStub(connection.channel).ReleaseSeat, request)
        if output is Output.JSON:
            say_json({"seat_id": answer.seat.seat_id, "released_device_id": answer.released_device_id})
            return
        say(
            f"Seat {answer.seat.seat_id} is free. "
            f"{answer.released_device_id} held it; it keeps the floor of protection."
        )


@seat.command("transfer")
def transfer_seat(
    seat_or_device_id: SeatArgument,
    to_device_id: Annotated[str, typer.Argument(metavar="DEVICE", help="Id of the device that gets it.")],
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Hand a seat to another device of yours, in one step. The device that had it keeps the floor of protection."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.licensing_pb2 import TransferSeatRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            request = TransferSeatRequest(
                seat_or_device_id=seat_or_device_id,
                to_device_id=to_device_id,
                reason=reason,
                idempotency_key=wish_name(idempotency_key),
            )
            answer = connection.call(LicensingServiceStub(connection.channel).TransferSeat, request)
        row = {
            "seat_id": answer.seat.seat_id,
            "from_device_id": answer.from_device_id,
            "to_device_id": to_device_id,
        }
        if output is Output.JSON:
            say_json(row)
            return
        say(f"Seat {row['seat_id']} went from {row['from_device_id']} to {to_device_id}.")


@seat.command("pin")
def pin_seat(
    seat_or_device_id: SeatArgument,
    config_dir: ConfigDirOption,
    *,
    off: Annotated[bool, typer.Option("--off", help="Take the pin away.")] = False,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Pin a seat to its device: it is never reclaimed, and the last to go when a plan gets smaller."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import seat_row
        from wire.v1.licensing_pb2 import PinSeatRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            request = PinSeatRequest(
                seat_or_device_id=seat_or_device_id, pinned=not off, idempotency_key=wish_name(idempotency_key)
            )
            row = seat_row(connection.call(LicensingServiceStub(connection.channel).PinSeat, request).seat)
        if output is Output.JSON:
            say_json(row)
            return
        say(f"Seat {row['seat_id']} of {row['device_name']} is {'pinned' if row['pinned'] else 'not pinned'}.")


@seat.command("history")
def seat_history(
    config_dir: ConfigDirOption,
    about: Annotated[str, typer.Argument(metavar="[SEAT]", help="Id of a seat or a device; left out: all.")] = "",
    *,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest first.")] = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """What happened to seats, the newest first."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import seat_change_row
        from wire.v1.licensing_pb2 import ListSeatChangesRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            request = ListSeatChangesRequest(seat_or_device_id=about, limit=limit)
            answer = connection.call(LicensingServiceStub(connection.channel).ListSeatChanges, request)
        found = [seat_change_row(each) for each in answer.changes]
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [local(each["at"]), each["change"], each["seat_id"], each["device_id"], each["actor"], each["reason"]]
            for each in found
        ]
        say_table(
            ["when", "what", "seat", "device", "by", "why"],
            rows,
            whole=["seat", "device"],
            empty="No seat has changed hands.",
        )
