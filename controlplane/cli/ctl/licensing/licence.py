"""`bucklerctl licence`: licences for devices that reach no control plane."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.ctl.licensing.seat import SubscriptionOption
from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from wire.v1.enrollment_pb2 import LicenceRequest

licence = typer.Typer(no_args_is_help=True, help="Licences for devices that reach no control plane.")

#: A request is about a kilobyte.
MAX_REQUEST_BYTES = 64 * 1024


@licence.callback()
def _group() -> None:
    """Keeps `export` a command of its own: Typer would fold a group of one."""


@licence.command("export")
def export_licence(
    request_file: Annotated[
        Path, typer.Argument(metavar="REQUEST", help="File of `buckler activate --request-file`.", dir_okay=False)
    ],
    config_dir: ConfigDirOption,
    *,
    to: Annotated[Path | None, typer.Option("--to", help="Where the licence goes; default: REQUEST.licence.")] = None,
    days: Annotated[int, typer.Option(min=1, max=400, help="How long it lasts; never beyond what is paid.")] = 365,
    subscription: SubscriptionOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a device a seat, and write the licence file that activates it."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.ctl.views import moment
        from wire.entitlement_codec import decode_claims
        from wire.v1.licensing_pb2 import ExportLicenceRequest
        from wire.v1.licensing_pb2_grpc import LicensingServiceStub

        request = ExportLicenceRequest(request=_read(request_file), subscription_id=subscription, valid_days=days)
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(LicensingServiceStub(connection.channel).ExportLicence, request)
        target = to or request_file.with_name(request_file.name + ".licence")
        _write(target, answer.licence.SerializeToString())
        claims = decode_claims(answer.licence.grant.entitlement.claims)
        ends = moment(claims.expires_at_us)
        row = {
            "licence_file": str(target),
            "device_id": claims.device_id,
            "seat_id": claims.seat_id,
            "expires_at": ends,
        }
        if output is Output.JSON:
            say_json(row)
            return
        say(f"{target} activates {row['device_id']} until {local(ends)}; it holds seat {row['seat_id']}.")
        say(f"On the device: buckler activate --licence-file {target.name}")


def _read(path: Path) -> "LicenceRequest":
    from google.protobuf.message import DecodeError

    from wire.v1.enrollment_pb2 import LicenceRequest

    try:
        with path.open("rb") as file:
            return LicenceRequest.FromString(file.read(MAX_REQUEST_BYTES))
    except OSError as error:
        raise Refusal(
            Kind.INVALID,
            "FILE_UNREADABLE",
            f"{path} cannot be read: {error.strerror}",
            "Check the path, then try again",
        ) from error
    except DecodeError as error:
        raise Refusal(
            Kind.INVALID,
            "LICENCE_REQUEST_INVALID",
            f"{path} is not a licence request",
            "Make one on the device: buckler activate --request-file FILE",
        ) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise Refusal(
            Kind.ENVIRONMENT,
            "FILE_NOT_WRITTEN",
            f"{path} cannot be written: {error.strerror}",
            "Choose another place with --to; the seat is taken, and a repeat takes no other",
        ) from error
