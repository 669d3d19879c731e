"""`bucklerctl fleet`: is everyone protected?"""

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Listing,
    ListingOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_csv,
    say_json,
    say_table,
)
from controlplane.runtime.counting import counted

if TYPE_CHECKING:
    from datetime import datetime

fleet = typer.Typer(no_args_is_help=True, help="All devices together.")

#: Empties a terminal and begins at its top.
_CLEAR = "\x1b[2J\x1b[H"
_STATES = ("protected", "at_risk", "unprotected", "offline", "never_seen")


@fleet.command("status")
def status(
    config_dir: ConfigDirOption,
    *,
    watch: Annotated[
        int, typer.Option("--watch", min=0, max=3_600, metavar="SECONDS", help="Look again every so often; 0: once.")
    ] = 0,
    output: ListingOption = Listing.TEXT,
) -> None:
    """Is every device protected, and which ones need you? One device or reason each: device list --reason."""
    with reporting(output.errors):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import fleet_row
        from wire.v1.fleet_pb2 import GetFleetStatusRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)

            def look() -> None:
                answer = fleet_row(connection.call(stub.GetFleetStatus, GetFleetStatusRequest()))
                _say(answer, output, again=bool(watch))

            looking(look, watch, time.sleep)


@fleet.command("expiry")
def expiry(
    config_dir: ConfigDirOption,
    *,
    days: Annotated[
        int | None, typer.Option(min=0, max=3_652, metavar="DAYS", help="Change it: 7 or more; 0: no device is hidden.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """For how long a device may be silent before it is hidden; it is back as soon as it calls again."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.fleet_pb2 import GetFleetSettingsRequest, SetFleetSettingsRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            if days is None:
                found = connection.call(stub.GetFleetSettings, GetFleetSettingsRequest())
            else:
                found = connection.call(stub.SetFleetSettings, SetFleetSettingsRequest(expire_after_days=days))
        if output is Output.JSON:
            say_json({"expire_after_days": found.expire_after_days, "is_default": found.is_default})
            return
        set_by = " (nobody has set it)" if found.is_default else ""
        after = f"after {counted(found.expire_after_days, 'day')} of silence" if found.expire_after_days else "never"
        say(f"Devices are hidden {after}{set_by}.")


def looking(look: Callable[[], None], every_s: int, sleep: Callable[[float], None]) -> None:
    """Look once, or until somebody interrupts it."""
    look()
    while every_s:
        try:
            sleep(every_s)
            look()
        except KeyboardInterrupt:
            return


def _say(answer: Mapping[str, Any], output: Listing, *, again: bool) -> None:
    if output is Listing.JSON:
        say_json(answer)
    elif output is Listing.CSV:
        states = [("state", state, answer[state]) for state in (*_STATES, "expired")]
        reasons = [("reason", code, number) for code, number in answer["reasons"].items()]
        say_csv(["kind", "name", "devices"], [*states, *reasons])
    else:
        if again and sys.stdout.isatty():
            say(_CLEAR)
        _show(answer)


def _show(answer: Mapping[str, Any]) -> None:
    from controlplane.cli.ctl.moments import ago, local

    as_of: datetime = answer["as_of"]
    say(headline(answer))
    say()
    say_table([state.replace("_", " ") for state in _STATES], [[str(answer[state]) for state in _STATES]])
    if answer["reasons"]:
        say()
        say_table(["reason", "devices"], [[code, str(number)] for code, number in answer["reasons"].items()])
    say()
    say(f"detections in the last 24 h: {answer['detections_last_24_h']}")
    if answer["attention"]:
        say()
        rows = [
            [
                device["name"],
                device["device_id"],
                device["protection"].replace("_", " "),
                reasons_of(device),
                ago(device["last_seen_at"], as_of),
            ]
            for device in answer["attention"]
        ]
        say_table(["device", "id", "state", "why", "last seen"], rows, whole=["id"])
    if answer["expired"]:
        say(f"{counted(answer['expired'], 'device')} not waited for any more: device list --state expired")
    if answer["unsettled"]:
        say(f"{counted(answer['unsettled'], 'device')} still counted as a moment ago")
    say(f"as of {local(as_of)}")


def headline(answer: Mapping[str, Any]) -> str:
    """The answer in one sentence."""
    devices, protected = answer["devices"], answer["protected"]
    if not devices:
        return "There are no devices yet. Next: buckler activate, on the first one."
    if protected == devices:
        unknown = answer["reasons"].get("PARTLY_UNKNOWN", 0)
        known = "" if not unknown else f" Not telling everything: {unknown}, see device list --reason partly_unknown."
        return f"Everyone is protected: {devices} of {counted(devices, 'device')}.{known}"
    are, need = "is" if protected == 1 else "are", "needs" if devices - protected == 1 else "need"
    return f"{protected} of {counted(devices, 'device')} {are} protected; {devices - protected} {need} attention."


def reasons_of(device: Mapping[str, Any]) -> str:
    """Why a device is not simply protected."""
    return "; ".join(reason["message"] for reason in device["reasons"])
