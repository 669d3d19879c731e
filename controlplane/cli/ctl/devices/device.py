"""`bucklerctl device`: devices, one by one."""

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.asking import Ask, ReasonOption, WaitOption, ask_device, show_asked
from controlplane.cli.ctl.devices.fleet import reasons_of
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    LimitOption,
    Listing,
    ListingOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_csv,
    say_fields,
    say_json,
    say_table,
    wish_name,
)
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.connection import Connection
    from wire.v1.fleet_pb2 import Device

device = typer.Typer(no_args_is_help=True, help="Devices, one by one.")

PAGE_SIZE = 500
# Of a sheet.
_COLUMNS = (
    "name",
    "device_id",
    "protection",
    "access",
    "seat_id",
    "os",
    "os_version",
    "architecture",
    "agent_version",
    "activated_at",
    "last_seen_at",
)
DeviceArgument = Annotated[str, typer.Argument(help="Id of the device: bucklerctl device list.")]


class State(Enum):
    """Protection states, as on the command line."""

    PROTECTED = "protected"
    AT_RISK = "at_risk"
    UNPROTECTED = "unprotected"
    OFFLINE = "offline"
    NEVER_SEEN = "never_seen"
    EXPIRED = "expired"


class Allowed(Enum):
    """What can be left alone."""

    SHA256 = "sha256"
    RULE = "rule"
    PATH = "path"


@device.command("list")
def list_devices(
    config_dir: ConfigDirOption,
    *,
    state: Annotated[list[State] | None, typer.Option(help="Only devices in this state; repeatable.")] = None,
    reason: Annotated[
        list[str] | None,
        typer.Option(help="Only devices with this reason, e.g. SIGNATURES_OLD, see fleet status; repeatable."),
    ] = None,
    limit: LimitOption = 100,
    output: ListingOption = Listing.TEXT,
) -> None:
    """Devices by name."""
    with reporting(output.errors):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import device_row

        with connected(load_session(config_dir)) as connection:
            found: list[dict[str, Any]] = []
            for each in _devices(connection, state or [], reason or [], limit):
                if len(found) == limit:
                    note(f"there are more than {limit}: use --limit")
                    break
                found.append(device_row(each))
        if output is Listing.JSON:
            say_json(found)
        elif output is Listing.CSV:
            rows = ([*(each[column] for column in _COLUMNS), _codes(each)] for each in found)
            say_csv([*_COLUMNS, "reasons"], rows)
        else:
            _show_list(found)


def _codes(row: dict[str, Any]) -> str:
    return " ".join(dict.fromkeys(reason["code"] for reason in row["reasons"]))


def _devices(connection: "Connection", states: list[State], reasons: list[str], limit: int) -> Iterator["Device"]:
    from controlplane.cli.ctl.pages import answers
    from wire.v1.common_pb2 import ProtectionState
    from wire.v1.fleet_pb2 import ListDevicesRequest
    from wire.v1.fleet_pb2_grpc import FleetServiceStub

    stub = FleetServiceStub(connection.channel)
    wanted = [ProtectionState.Value(f"PROTECTION_STATE_{state.name}") for state in states]
    codes = [reason.upper() for reason in reasons]
    for answer in answers(
        lambda page: connection.call(stub.ListDevices, ListDevicesRequest(page=page, states=wanted, reasons=codes)),
        min(limit + 1, PAGE_SIZE),
    ):
        yield from answer.devices


def _show_list(found: list[dict[str, Any]]) -> None:
    from controlplane.cli.ctl.moments import ago
    from controlplane.runtime.clock import SystemClock

    if not found:
        say("There are no such devices.")
        return
    now = SystemClock().now()
    rows = [
        [
            each["name"],
            each["device_id"],
            each["os"],
            each["protection"].replace("_", " "),
            each["access"],
            ago(each["last_seen_at"], now),
        ]
        for each in found
    ]
    say_table(["device", "id", "system", "state", "access", "last seen"], rows, whole=["id"])


@device.command("show")
def show_device(
    device_id: DeviceArgument,
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Everything known about one device."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import device_row, revocation_row, status_row
        from wire.v1.fleet_pb2 import GetDeviceRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            found = connection.call(stub.GetDevice, GetDeviceRequest(device_id=device_id))
        row = device_row(found)
        row["revocation"] = revocation_row(found)
        row["status"] = status_row(found.status) if found.HasField("status") else None
        if output is Output.JSON:
            say_json(row)
            return
        _show_one(row)


def _show_one(row: dict[str, Any]) -> None:
    from controlplane.cli.ctl.moments import local_and_ago
    from controlplane.runtime.clock import SystemClock

    now = SystemClock().now()
    fields = {
        "name": row["name"],
        "device_id": row["device_id"],
        "protection": row["protection"].replace("_", " "),
        "why": reasons_of(row) or "-",
        "access": row["access"],
        "seat_id": row["seat_id"] or "none",
        "system": f"{row['os_version']} ({row['os']}, {row['architecture']})",
        "agent_version": row["agent_version"],
        "activated": local_and_ago(row["activated_at"], now),
        "last_seen": local_and_ago(row["last_seen_at"], now),
    }
    revocation = row["revocation"]
    if revocation is not None:
        who = revocation["actor_email"] or revocation["actor"]
        why = f" by {who}: {revocation['reason']}" if who else ""
        fields["revoked"] = local_and_ago(revocation["at"], now) + why
    status = row["status"]
    if status is not None:
        watching = "on" if status["real_time_protection_enabled"] else "off"
        how = f"{status['real_time_protection_subsystem']}, {status['real_time_protection_mode']}".strip(", ")
        fields |= {
            "real_time": f"{watching} ({how})" if how else watching,
            "proven": local_and_ago(status["real_time_protection_proven_at"], now),
            "watched_roots": str(status["watched_roots"]),
            "engine": f"{status['engine']} {status['engine_version']}",
            "signatures": f"{status['signatures_version']}, made {local_and_ago(status['signatures_made_at'], now)}",
            "last_quick_scan": local_and_ago(status["last_quick_scan"], now),
            "last_full_scan": local_and_ago(status["last_full_scan"], now),
            "events_lost": str(status["events_lost"]),
            "quarantined": str(status["quarantined_count"]),
            "not_yet_reported": str(status["outbox_pending"]),
        }
    say_fields(fields)


@device.command("rename")
def rename_device(
    device_id: DeviceArgument,
    name: Annotated[str, typer.Argument(help="What it is called from now on, whatever it calls itself.")],
    config_dir: ConfigDirOption,
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a device a name that stays."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import device_row
        from wire.v1.fleet_pb2 import RenameDeviceRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        request = RenameDeviceRequest(device_id=device_id, name=name, idempotency_key=wish_name(idempotency_key))
        with connected(load_session(config_dir)) as connection:
            row = device_row(connection.call(FleetServiceStub(connection.channel).RenameDevice, request))
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{row['device_id']} is called {row['name']} now.")


@device.command("release-hold")
def release_hold(device_id: DeviceArgument, config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Stop holding a device that was copied, once the copy was activated anew or is gone."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import device_row
        from wire.v1.fleet_pb2 import ReleaseHoldRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            row = device_row(connection.call(stub.ReleaseHold, ReleaseHoldRequest(device_id=device_id)))
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{row['name']} is not held.")


@device.command("revoke")
def revoke_device(
    device_id: DeviceArgument,
    config_dir: ConfigDirOption,
    *,
    reason: Annotated[str, typer.Option(help="Why; the audit and the history of its seat keep it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Refuse a device for good, as one that was stolen. Its seat becomes free, its open commands are cancelled."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import device_row, revocation_row
        from wire.v1.fleet_pb2 import GetDeviceRequest, RevokeDeviceRequest
        from wire.v1.fleet_pb2_grpc import FleetServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = FleetServiceStub(connection.channel)
            if not yes:
                _confirm_revoking(connection.call(stub.GetDevice, GetDeviceRequest(device_id=device_id)))
            found = connection.call(stub.RevokeDevice, RevokeDeviceRequest(device_id=device_id, reason=reason))
        if output is Output.JSON:
            say_json({**device_row(found), "revocation": revocation_row(found)})
            return
        say(f"{found.name} is revoked and holds no seat.")
        note("if it may hold an activation key, revoke that too: bucklerctl key list, bucklerctl key revoke KEY")


def _confirm_revoking(found: "Device") -> None:
    """Ask whoever sits there.

    Raises:
        Refusal: `NOT_CONFIRMED`: nobody does.
    """
    if not sys.stdin.isatty():
        raise Refusal(Kind.INVALID, "NOT_CONFIRMED", "revoking a device is final, and nobody can be asked", "Add --yes")
    note(f"{found.name} ({found.device_id}) is refused from then on, and its seat is free. That is final:")
    note("the machine comes back only as a new device, with a new key and an activation key that is made later.")
    typer.confirm("Revoke it?", abort=True, err=True)


@device.command("scan")
def scan_device(
    device_id: DeviceArgument,
    config_dir: ConfigDirOption,
    *,
    full: Annotated[
        bool, typer.Option("--full", help="All local file systems, not just what runs and arrives.")
    ] = False,
    path: Annotated[str, typer.Option(help="Only this file or folder of the device.")] = "",
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device look for threats now."""
    arguments = {"what": "path", "path": path} if path else {"what": "full" if full else "quick"}
    _ask(config_dir, Ask(device_id, "scan", arguments, reason, idempotency_key, wait), output)


@device.command("restart")
def restart_device(
    device_id: DeviceArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Restart the agent of a device."""
    _ask(config_dir, Ask(device_id, "restart", {}, reason, idempotency_key, wait), output)


@device.command("deactivate")
def deactivate_device(
    device_id: DeviceArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device give its seat back; `seat release` does it without asking the device."""
    _ask(config_dir, Ask(device_id, "deactivate", {}, reason, idempotency_key, wait), output)


@device.command("allow")
def allow_on_device(  # noqa: PLR0913 -- options of a command line
    device_id: DeviceArgument,
    what: Annotated[Allowed, typer.Argument(help="sha256: a content; rule: a rule; path: a place.")],
    value: Annotated[str, typer.Argument(help="Which.")],
    config_dir: ConfigDirOption,
    *,
    days: Annotated[int, typer.Option(min=0, max=3_650, help="For so long; 0: for good.")] = 0,
    reason: ReasonOption = "",
    wait: WaitOption = 0,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Have a device leave a file, folder, content or rule alone."""
    arguments = {"what": what.value, "value": value, **({"days": str(days)} if days else {})}
    _ask(config_dir, Ask(device_id, "allow", arguments, reason, idempotency_key, wait), output)


def _ask(config_dir: Path, ask: Ask, output: Output) -> None:
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session

        with connected(load_session(config_dir)) as connection:
            row = ask_device(connection, ask)
        show_asked(row, output)
