"""`bucklerctl detection`: what was found."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from controlplane.cli.ctl.detections.export import export_detections, since_of
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    LimitOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
)
from controlplane.cli.visible import visible_path
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.fleet_pb2 import Detection

detection = typer.Typer(no_args_is_help=True, help="What was found, on every device.")
detection.command("export")(export_detections)

PAGE_SIZE = 500
DetectionArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the detection: bucklerctl detection list.")]


@detection.command("list")
def list_detections(
    config_dir: ConfigDirOption,
    *,
    device: Annotated[str, typer.Option(help="Only of this device id.")] = "",
    since: Annotated[str, typer.Option(help="Only those received since then: 90m, 24h, 7d.")] = "",
    limit: LimitOption = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """Detections, the newest first."""
    with reporting(output):
        found = list_detections_with(config_dir, device, since_of(since), limit)
        if output is Output.JSON:
            say_json(found)
            return
        _show_list(found)


def list_detections_with(
    config_dir: Path,
    device_id: str,
    since: datetime | None,
    limit: int,
    wanted: Callable[[dict[str, Any]], bool] = lambda _: True,
) -> list[dict[str, Any]]:
    """Rows of detections, the newest first, as far as they are wanted; says if there are more than `limit`."""
    from controlplane.cli.ctl.connection import connected
    from controlplane.cli.ctl.session import load_session
    from controlplane.cli.ctl.views import detection_row

    found: list[dict[str, Any]] = []
    with connected(load_session(config_dir)) as connection:
        for row in filter(wanted, map(detection_row, _detections(connection, device_id, since, limit))):
            if len(found) == limit:
                note(f"there are more than {limit}: use --limit")
                break
            found.append(row)
    return found


def _detections(connection: "Connection", device_id: str, since: datetime | None, limit: int) -> Iterator["Detection"]:
    from controlplane.cli.ctl.pages import answers
    from controlplane.storage.microseconds import to_microseconds
    from wire.v1.fleet_pb2 import ListDetectionsRequest
    from wire.v1.fleet_pb2_grpc import FleetServiceStub

    stub = FleetServiceStub(connection.channel)
    since_at_us = 0 if since is None else max(1, to_microseconds(since))
    for answer in answers(
        lambda page: connection.call(
            stub.ListDetections, ListDetectionsRequest(page=page, device_id=device_id, since_at_us=since_at_us)
        ),
        min(limit + 1, PAGE_SIZE),
    ):
        yield from answer.detections


def _show_list(found: list[dict[str, Any]]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.runtime.clock import SystemClock

    if not found:
        say("Nothing was found.")
        return
    now = SystemClock().now()
    rows = [
        [
            ago(each["received_at"], now),
            each["device_name"],
            ", ".join(each["threats"]),
            each["action"].replace("_", " "),
            shown_path(each),
            each["uuid"],
        ]
        for each in found
    ]
    say_table(["when", "device", "threat", "action", "path", "id"], rows, whole=["id"])


def shown_path(row: dict[str, Any]) -> str:
    """The path of a detection, for people."""
    path: str = row["path"]
    return visible_path(path.encode("utf-8", "surrogateescape"))


@detection.command("show")
def show_detection(
    detection_id: DetectionArgument,
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Everything known about one detection."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import detection_row
        from wire.v1.fleet_pb2 import GetDetectionRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        uuid = read_uuid(detection_id)
        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            row = detection_row(connection.call(stub.GetDetection, GetDetectionRequest(uuid=uuid.bytes)))
        if output is Output.JSON:
            say_json(row)
            return
        _show_one(row)


def _outcome(row: dict[str, Any] | None, now: datetime) -> str:
    """What came of the last thing that somebody asked for."""
    from controlplane.cli.ctl.moments import local_and_ago

    if row is None:
        return "-"
    why = f" ({row['code']}: {row['message']})" if row["code"] else ""
    done = f"{row['kind']} failed" if row["outcome"] == "failed" else row["outcome"]
    return f"{done}{why}, asked by {row['asked_by']}, {local_and_ago(row['at'], now)}"


def read_uuid(text: str) -> UUID:
    """The id of a detection.

    Raises:
        Refusal: `DETECTION_ID_INVALID`.
    """
    try:
        return UUID(text)
    except ValueError as error:
        raise Refusal(
            Kind.INVALID,
            "DETECTION_ID_INVALID",
            f"{text!r} is not the id of a detection",
            "Copy it from: bucklerctl detection list",
        ) from error


def _show_one(row: dict[str, Any]) -> None:
    from controlplane.cli.ctl.moments import local_and_ago
    from controlplane.runtime.clock import SystemClock

    now = SystemClock().now()
    say_fields(
        {
            "id": row["uuid"],
            "threat": ", ".join(row["threats"]),
            "device": f"{row['device_name']} ({row['device_id']})",
            "path": shown_path(row),
            "action": row["action"].replace("_", " ") + (f": {row['action_detail']}" if row["action_detail"] else ""),
            "quarantine_id": row["quarantine_id"] or "-",
            "outcome": _outcome(row["outcome"], now),
            "sha256": row["sha256"] or "-",
            "size": f"{row['size_bytes']} bytes",
            "found_by": f"{row['origin'].replace('_', ' ')}, {row['engine']}, signatures {row['signatures_version']}",
            "detected": local_and_ago(row["detected_at"], now),
            "received": local_and_ago(row["received_at"], now),
        }
    )
    say()
    rows = [
        [finding["rule"], finding["severity"], finding["member"] or "the file itself", finding["namespace"]]
        for finding in row["findings"]
    ]
    say_table(["rule", "severity", "where", "namespace"], rows, whole=["rule"])
    for credit in dict.fromkeys(finding["credit"] for finding in row["findings"] if finding["credit"]):
        say(f"rules by {credit}")
