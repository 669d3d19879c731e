"""`bucklerctl incident`: the same threat, wherever it was found."""

from enum import Enum
from typing import Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Listing,
    ListingOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_csv,
    say_fields,
    say_json,
    say_table,
)
from controlplane.runtime.counting import counted

incident = typer.Typer(no_args_is_help=True, help="Threats, each with every device that has it.")

IncidentArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the incident: bucklerctl incident list.")]
_COLUMNS = ("incident_id", "threat", "severity", "status", "devices", "detections", "opened_at", "last_at", "reopened")


class Status(Enum):
    """What people make of an incident, as on the command line."""

    NEW = "new"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    FALSE_POSITIVE = "false_positive"


@incident.command("list")
def list_incidents(
    config_dir: ConfigDirOption,
    *,
    status: Annotated[list[Status] | None, typer.Option(help="Only with this status; repeatable.")] = None,
    limit: LimitOption = 100,
    output: ListingOption = Listing.TEXT,
) -> None:
    """Incidents, those with the newest detections first."""
    with reporting(output.errors):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import incident_row
        from wire.v1.incident_pb2 import IncidentStatus, ListIncidentsRequest
        from wire.v1.incident_pb2_grpc import IncidentServiceStub

        wanted = [IncidentStatus.Value(f"INCIDENT_STATUS_{each.name}") for each in status or []]
        with connected(load_session(config_dir)) as connection:
            stub = IncidentServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListIncidents, ListIncidentsRequest(page=page, statuses=wanted)),
                lambda answer: map(incident_row, answer.incidents),
                limit,
            )
        if output is Listing.JSON:
            say_json(found)
        elif output is Listing.CSV:
            say_csv(_COLUMNS, ([row[column] for column in _COLUMNS] for row in found))
        else:
            _show_list(found)


def _show_list(found: list[dict[str, Any]]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.runtime.clock import SystemClock

    if not found:
        say("There are no such incidents.")
        return
    now = SystemClock().now()
    rows = [
        [
            row["threat"],
            row["severity"],
            row["status"].replace("_", " "),
            str(row["devices"]),
            str(row["detections"]),
            ago(row["last_at"], now),
            row["incident_id"],
        ]
        for row in found
    ]
    say_table(["threat", "severity", "status", "devices", "detections", "last", "id"], rows, whole=["id"])


@incident.command("show")
def show_incident(
    incident_id: IncidentArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT
) -> None:
    """One incident, and the devices that have it."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import incident_row
        from wire.v1.incident_pb2 import GetIncidentRequest
        from wire.v1.incident_pb2_grpc import IncidentServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = IncidentServiceStub(connection.channel)
            row = incident_row(connection.call(stub.GetIncident, GetIncidentRequest(incident_id=incident_id)))
        if output is Output.JSON:
            say_json(row)
            return
        _show_one(row)


def _show_one(row: dict[str, Any]) -> None:
    from controlplane.cli.ctl.moments import ago, local_and_ago
    from controlplane.runtime.clock import SystemClock

    now = SystemClock().now()
    judged = f" by {row['status_by']}, {local_and_ago(row['status_at'], now)}" if row["status_by"] else ""
    say_fields(
        {
            "id": row["incident_id"],
            "threat": row["threat"],
            "severity": row["severity"],
            "status": row["status"].replace("_", " ") + judged,
            "note": row["note"] or "-",
            "opened": local_and_ago(row["opened_at"], now),
            "last": local_and_ago(row["last_at"], now),
            "reopened": counted(row["reopened"], "time"),
            "found": f"{counted(row['detections'], 'time')} on {counted(row['devices'], 'device')}",
        }
    )
    say()
    rows = [
        [each["device_name"], str(each["detections"]), ago(each["last_at"], now), each["device_id"]]
        for each in row["on"]
    ]
    say_table(["device", "detections", "last", "id"], rows, whole=["id"])


@incident.command("set-status")
def set_status(
    incident_id: IncidentArgument,
    status: Annotated[Status, typer.Argument(help="What you make of it.")],
    config_dir: ConfigDirOption,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit and whoever looks next.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Say what you make of an incident."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import incident_row
        from wire.v1.incident_pb2 import IncidentStatus, SetIncidentStatusRequest
        from wire.v1.incident_pb2_grpc import IncidentServiceStub

        value = IncidentStatus.Value(f"INCIDENT_STATUS_{status.name}")
        request = SetIncidentStatusRequest(incident_id=incident_id, status=value, note=reason)
        with connected(load_session(config_dir)) as connection:
            stub = IncidentServiceStub(connection.channel)
            row = incident_row(connection.call(stub.SetIncidentStatus, request))
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{row['threat']} is {row['status'].replace('_', ' ')} now.")
