"""`bucklerctl key`: activation keys."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.licensing.seat import SubscriptionOption
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
    wish_name,
)
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from wire.v1.licensing_pb2 import IssueKeyResponse

key = typer.Typer(no_args_is_help=True, help="Activation keys: what a device is activated with.")


@key.command("issue")
def issue_key(
    config_dir: ConfigDirOption,
    *,
    subscription: SubscriptionOption = "",
    max_devices: Annotated[
        int,
        typer.Option(min=0, max=1_000_000, help="Different devices that may use it; 0: as many as there are seats."),
    ] = 0,
    expires_in: Annotated[str, typer.Option(help="For how long it can be used: 24h, 30d; left out: no end.")] = "",
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a key. It is shown this once: only its hash is stored."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.storage.microseconds import to_microseconds
        from wire.v1.licensing_pb2 import IssueKeyRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        expires_at = _expires_at(expires_in)
        request = IssueKeyRequest(
            subscription_id=subscription,
            max_devices=max_devices,
            expires_at_us=0 if expires_at is None else to_microseconds(expires_at),
            idempotency_key=wish_name(idempotency_key),
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(LicensingServiceStub(connection.channel).IssueKey, request)
        _show_new(answer, output)


@key.command("reissue")
def reissue_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key: bucklerctl key list.")],
    config_dir: ConfigDirOption,
    *,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Revoke a key and make one in its place, with what is left of its uses and its time."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.licensing_pb2 import ReissueKeyRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        request = ReissueKeyRequest(key_id=key_id, idempotency_key=wish_name(idempotency_key))
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(LicensingServiceStub(connection.channel).ReissueKey, request)
        _show_new(answer, output)


def _show_new(answer: "IssueKeyResponse", output: Output) -> None:
    from controlplane.cli.ctl.views import key_row

    row, shown = key_row(answer.key), answer.activation_key or None
    if output is Output.JSON:
        say_json({"activation_key": shown, **row})
        return
    say_fields({"activation_key": shown or "was shown when it was made", **_fields(row)})
    say()
    say(
        "The key is shown this once: write it down, or hand it to `buckler activate` now."
        if shown
        else "Lost it? bucklerctl key reissue makes one in its place."
    )


def _expires_at(text: str) -> datetime | None:
    from controlplane.cli.ctl.moments import parse_span
    from controlplane.runtime.clock import SystemClock

    if not text:
        return None
    span = parse_span(text)
    if span is None:
        raise Refusal(Kind.INVALID, "SPAN_INVALID", f"{text!r} is not a span of time", "Write it like 24h or 30d")
    return SystemClock().now() + span


@key.command("list")
def list_keys(
    config_dir: ConfigDirOption, *, subscription: SubscriptionOption = "", output: OutputOption = Output.TEXT
) -> None:
    """Every key, the newest first; the last group tells them apart."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import key_row
        from wire.v1.licensing_pb2 import ListKeysRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = LicensingServiceStub(connection.channel)
            answer = connection.call(stub.ListKeys, ListKeysRequest(subscription_id=subscription))
        found = [key_row(each) for each in answer.keys]
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [each["key_id"], f"…-{each['hint']}", _used(each), local(each["created_at"]), _state(each)]
            for each in found
        ]
        say_table(
            ["key", "ends in", "devices", "issued", "state"],
            rows,
            whole=["key", "ends in"],
            empty="There are no activation keys. Make one: bucklerctl key issue",
        )


@key.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(metavar="KEY", help="Id of the key: bucklerctl key list.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Revoke a key for good. Devices that were activated with it keep their seats."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import key_row
        from wire.v1.licensing_pb2 import RevokeKeyRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = LicensingServiceStub(connection.channel)
            row = key_row(connection.call(stub.RevokeKey, RevokeKeyRequest(key_id=key_id)).key)
        if output is Output.JSON:
            say_json(row)
            return
        say_fields(_fields(row))


def _fields(row: dict[str, Any]) -> dict[str, str]:
    return {
        "key_id": row["key_id"],
        "subscription": row["subscription_id"],
        "devices": _used(row),
        "state": _state(row),
    }


def _used(row: dict[str, Any]) -> str:
    limit = row["max_devices"] if row["max_devices"] is not None else "as many as seats"
    return f"{row['devices_activated']} of {limit}"


def _state(row: dict[str, Any]) -> str:
    from controlplane.cli.ctl.moments import local

    if row["revoked_at"] is not None:
        return f"revoked {local(row['revoked_at'])}"
    if row["expires_at"] is not None:
        return f"can be used until {local(row['expires_at'])}"
    return "can be used"
