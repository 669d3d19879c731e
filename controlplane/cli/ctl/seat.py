"""`bucklerctl seat`: who holds which seat."""

from typing import Annotated

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json, say_table

seat = typer.Typer(no_args_is_help=True, help="The seats of a subscription.")

SubscriptionOption = Annotated[
    str, typer.Option("--subscription", help="Subscription id; left out: the only one there is.")
]


@seat.command("list")
def list_seats(
    config_dir: ConfigDirOption, *, subscription: SubscriptionOption = "", output: OutputOption = Output.TEXT
) -> None:
    """Every seat and its holder."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import ago, local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import seat_row
        from controlplane.runtime.clock import SystemClock
        from wire.v1.licensing_pb2 import ListSeatsRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = LicensingServiceStub(connection.channel)
            answer = connection.call(stub.ListSeats, ListSeatsRequest(subscription_id=subscription))
        found = [seat_row(each) for each in answer.seats]
        if output is Output.JSON:
            say_json(found)
            return
        now = SystemClock().now()
        rows = [
            [
                str(each["slot"]),
                each["seat_id"],
                each["device_name"] or "free",
                each["device_id"] or "",
                local(each["held_since"]) if each["device_id"] else "",
                ago(each["last_seen_at"], now) if each["device_id"] else "",
            ]
            for each in found
        ]
        say_table(["slot", "seat", "device", "device id", "held since", "last seen"], rows, whole=["seat", "device id"])
        taken = sum(1 for each in found if each["device_id"])
        say(f"{taken} of {len(found)} seats are taken.")


@seat.command("release")
def release_seat(
    seat_or_device_id: Annotated[str, typer.Argument(metavar="SEAT", help="Id of the seat, or of the device on it.")],
    config_dir: ConfigDirOption,
    *,
    reason: Annotated[str, typer.Option(help="For the audit.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Free a seat. Its device keeps the floor of protection and learns why at its next check-in."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.licensing_pb2 import ReleaseSeatRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = LicensingServiceStub(connection.channel)
            request = ReleaseSeatRequest(seat_or_device_id=seat_or_device_id, reason=reason)
            answer = connection.call(stub.ReleaseSeat, request)
        if output is Output.JSON:
            say_json({"seat_id": answer.seat.seat_id, "released_device_id": answer.released_device_id})
            return
        say(
            f"Seat {answer.seat.seat_id} is free. "
            f"{answer.released_device_id} held it; it keeps the floor of protection."
        )
