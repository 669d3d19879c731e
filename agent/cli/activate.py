"""`buckler activate`: get this device its seat."""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agent.cli.asking import settings_of
from agent.cli.doctor import explain_failed_activation
from agent.cli.invocation import Common, ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import note, note_error, say, say_json
from agent.domain.errors import BucklerError

if TYPE_CHECKING:
    from agent.control.enrolment.enroller import ActivationOutcome

#: Nobody's key is longer; a file given by mistake is not read to its end.
_KEY_FILE_MAX_BYTES = 4096
_LICENCE_MAX_BYTES = 1 << 20


def activate(  # noqa: PLR0913 -- each is an option of the command
    context: typer.Context,
    *,
    server: Annotated[
        str | None, typer.Option("--server", metavar="HOST:PORT", help="The control plane; default: as configured.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Its certificate authority, PEM; default: the system's.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Read the key here instead of standard input.")
    ] = None,
    request_file: Annotated[
        Path | None,
        typer.Option("--request-file", metavar="FILE", help="No network here: write a request for a licence file."),
    ] = None,
    licence_file: Annotated[
        Path | None,
        typer.Option("--licence-file", metavar="FILE", help="Activate with the licence file made from the request."),
    ] = None,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="This machine was copied from another: it becomes a device of its own.")
    ] = False,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Activate this device with an activation key. The key is read from standard input or a file.

    Safe to repeat: a device that holds a seat keeps it.
    """
    from agent.requests import activate_device, adopt_licence, request_licence

    common = common_options(context, output, data_dir, config)
    settings = settings_of(common)
    if request_file is not None:
        _write(request_file, request_licence(settings))
        if common.as_json:
            say_json({"request_file": str(request_file)})
        else:
            say(f"The request is in {request_file}. Next: bucklerctl licence export {request_file.name}")
        return
    if licence_file is not None:
        _tell(common, asyncio.run(adopt_licence(settings, _read(licence_file, _LICENCE_MAX_BYTES))))
        return
    address = server or settings.control_plane
    if address is None:
        raise BucklerError(
            "SERVER_MISSING",
            "no control plane is configured",
            next_step="give it with --server HOST:PORT",
        )
    key = _read_key(key_file)
    try:
        outcome = asyncio.run(activate_device(settings, key, address, ca, new_key=new_key))
    except BucklerError as error:
        note_error(error, as_json=common.as_json)
        explain_failed_activation(common, error.code, address, ca)
        raise typer.Exit(int(error.exit_status)) from error
    _tell(common, outcome)


def _tell(common: Common, outcome: "ActivationOutcome") -> None:
    claims, enrolment = outcome.claims, outcome.enrolment
    if common.as_json:
        say_json(
            {
                "device_id": claims.device_id,
                "org_id": claims.org_id,
                "seat_id": claims.seat_id,
                "plan": claims.plan_name,
                "access": claims.access.value,
                "server": enrolment.server or None,
                "expires_at": claims.expires_at.isoformat(),
                "already_held": outcome.already_held,
            }
        )
        return
    held = "already holds" if outcome.already_held else "now holds"
    say(f"This device {held} seat {claims.seat_id} of {claims.plan_name}.")
    say(f"device_id : {claims.device_id}")
    say(f"access    : {claims.access.value}")
    if enrolment.server:
        say(f"server    : {enrolment.server}")
    else:
        say(f"until     : {claims.expires_at:%Y-%m-%d}, without any contact")


def _read_key(key_file: Path | None) -> str:
    """The key: never from the command line, where every user of the machine could read it."""
    if key_file is not None:
        return _read(key_file, _KEY_FILE_MAX_BYTES).decode("utf-8", "replace").strip()
    if sys.stdin.isatty():
        note("Activation key: ")
    return sys.stdin.readline(_KEY_FILE_MAX_BYTES).strip()


def _read(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except OSError as error:
        raise BucklerError(
            "KEY_FILE_UNREADABLE",
            f"the file {path} cannot be read: {error.strerror}",
            next_step="check the path, then try again",
        ) from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BucklerError(
            "REQUEST_FILE_UNWRITABLE",
            f"the file {path} cannot be written: {error.strerror}",
            next_step="choose a path that this user may write",
        ) from error
