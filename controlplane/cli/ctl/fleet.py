"""`bucklerctl fleet`: is everyone protected?"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    say_table,
)

if TYPE_CHECKING:
    from datetime import datetime

fleet = typer.Typer(no_args_is_help=True, help="All devices together.")

_STATES = ("protected", "at_risk", "unprotected", "offline", "never_seen")


@fleet.callback()
def _group() -> None:
    """Keeps `status` a command of its own: Typer would fold a group of one."""


@fleet.command("status")
def status(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Is every device protected, and which ones need you?"""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import fleet_row
        from wire.v1.fleet_pb2 import GetFleetStatusRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            answer = fleet_row(connection.call(stub.GetFleetStatus, GetFleetStatusRequest()))
        if output is Output.JSON:
            say_json(answer)
            return
        _show(answer)


def _show(answer: Mapping[str, Any]) -> None:
    from controlplane.cli.ctl.moments import ago, local

    as_of: datetime = answer["as_of"]
    say(headline(answer))
    say()
    say_table([state.replace("_", " ") for state in _STATES], [[str(answer[state]) for state in _STATES]])
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
    say(f"as of {local(as_of)}")


def headline(answer: Mapping[str, Any]) -> str:
    """The answer in one sentence."""
    devices, protected = answer["devices"], answer["protected"]
    if not devices:
        return "There are no devices yet. Next: buckler activate, on the first one."
    if protected == devices:
        return f"Everyone is protected: {devices} of {devices} devices."
    return f"{protected} of {devices} devices are protected; {devices - protected} need attention."


def reasons_of(device: Mapping[str, Any]) -> str:
    """Why a device is not simply protected."""
    return "; ".join(reason["message"] for reason in device["reasons"])
