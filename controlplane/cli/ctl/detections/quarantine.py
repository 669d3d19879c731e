"""`bucklerctl quarantine`: files in the vaults of the devices, and those that should be there."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from controlplane.cli.ctl.asking import Ask, ReasonOption, WaitOption, ask_device, show_asked
from controlplane.cli.ctl.detections.detection import (
    DetectionArgument,
    detection,
    list_detections_with,
    read_uuid,
    shown_path,
)
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    LimitOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_json,
    say_table,
)
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.fleet_pb2 import Detection

quarantine = typer.Typer(no_args_is_help=True, help="Files in the vaults of the devices.")


@quarantine.command("list")
def list_quarantine(
    config_dir: ConfigDirOption,
    *,
    device: Annotated[str, typer.Option(help="Only of this device id.")] = "",
    limit: LimitOption = 100,
    output: OutputOption = Output.TEXT,
) -> None:
    """Detections whose file was taken, the newest first; what has been restored or deleted since is listed too."""
    with reporting(output):
        from controlplane.cli.ctl.moments import ago
        from controlplane.runtime.clock import SystemClock

        found = list_detections_with(config_dir, device, None, limit, lambda row: bool(row["quarantine_id"]))
        if output is Output.JSON:
            say_json(found)
            return
        if not found:
            say("Nothing was taken.")
            return
        now = SystemClock().now()
        rows = [
            [
                ago(each["received_at"], now),
                each["device_name"],
                ", ".join(each["threats"]),
                shown_path(each),
                each["uuid"],
            ]
            for each in found
        ]
        say_table(["when", "device", "threat", "path", "id"], rows, whole=["id"])


@quarantine.command("take")
@detection.command("quarantine")
def take(
    detection_id: DetectionArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device take a file that it found and left; it takes the content that was found, and no other."""
    _ask(config_dir, detection_id, ("quarantine", {}), (reason, idempotency_key, wait), output)


@quarantine.command("restore")
@detection.command("restore")
def restore(
    detection_id: DetectionArgument,
    config_dir: ConfigDirOption,
    *,
    allow: Annotated[bool, typer.Option("--allow", help="Keep it from being taken again.")] = False,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device bring a file back to its place."""
    further = {"allow": "yes"} if allow else {}
    _ask(config_dir, detection_id, ("restore", further), (reason, idempotency_key, wait), output)


@quarantine.command("delete")
@detection.command("delete")
def delete(
    detection_id: DetectionArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device destroy its quarantined copy."""
    _ask(config_dir, detection_id, ("delete", {}), (reason, idempotency_key, wait), output)


def _ask(
    config_dir: Path, detection_id: str, what: tuple[str, dict[str, str]], how: tuple[str, str, int], output: Output
) -> None:
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session

        uuid = read_uuid(detection_id)
        (kind, further), (reason, key, wait_s) = what, how
        with connected(load_session(config_dir)) as connection:
            found = _found(connection, uuid)
            about = _content_of(found) if kind == "quarantine" else {"quarantine_id": _copy_of(found)}
            arguments = {**about, **further}
            row = ask_device(connection, Ask(found.device_id, kind, arguments, reason, key, wait_s))
        show_asked(row, output)


def _found(connection: "Connection", uuid: UUID) -> "Detection":
    from wire.v1.fleet_pb2 import GetDetectionRequest
    from wire.v1.fleet_pb2_grpc import FleetServiceStub

    return connection.call(FleetServiceStub(connection.channel).GetDetection, GetDetectionRequest(uuid=uuid.bytes))


def _copy_of(found: "Detection") -> str:
    """The device's copy that a detection speaks of: made when it was found, or because somebody asked for it."""
    copy = found.incident.quarantine_id or found.outcome.quarantine_id
    if not copy:
        raise Refusal(
            Kind.PRECONDITION,
            "NOT_QUARANTINED",
            "the file of this detection was not taken, so there is no copy of it",
            "See what was done with it: bucklerctl detection show; have it taken: bucklerctl detection quarantine",
        )
    return copy


def _content_of(found: "Detection") -> dict[str, str]:
    """What is to be taken, and what it was found to be."""
    from wire.path_argument import path_to_argument

    incident = found.incident
    if incident.quarantine_id:
        raise Refusal(
            Kind.PRECONDITION,
            "QUARANTINED_ALREADY",
            "the file of this detection was taken when it was found",
            "See the copy: bucklerctl detection show",
        )
    if not incident.sha256:
        raise Refusal(
            Kind.PRECONDITION,
            "CONTENT_UNKNOWN",
            "the file could not be read to its end when it was found, so the device cannot tell whether it is the same",
            "Have the place scanned: bucklerctl device scan DEVICE --path PATH",
        )
    severities = ("critical", "high", "medium", "low", "info")
    worst = min(incident.findings, key=lambda finding: severities.index(finding.severity))
    return {
        "path": path_to_argument(incident.path),
        "sha256": incident.sha256,
        "rule": worst.rule,
        "namespace": worst.namespace,
        "severity": worst.severity,
        "threat_name": worst.threat_name,
        "detection": incident.uuid.hex(),
    }
