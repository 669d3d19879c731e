"""`buckler activate`: get this device its seat."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.asking import settings_of
from agent.cli.invocation import ConfigOption, DataDirOption, OutputOption, common_options
from agent.cli.printing import note, say, say_json
from agent.domain.errors import BucklerError

#: Nobody's key is longer; a file given by mistake is not read to its end.
_KEY_FILE_MAX_BYTES = 4096


def activate(
    context: typer.Context,
    server: Annotated[
        str | None, typer.Option("--server", metavar="HOST:PORT", help="The control plane; default: as configured.")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option("--ca", metavar="FILE", help="Its certificate authority, PEM; default: the system's.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", metavar="FILE", help="Read the key here instead of standard input.")
    ] = None,
    output: OutputOption = None,
    data_dir: DataDirOption = None,
    config: ConfigOption = None,
) -> None:
    """Activate this device with an activation key, read from standard input or a file.

    Safe to repeat: a device that holds a seat keeps it.
    """
    from agent.app import activate_device

    common = common_options(context, output, data_dir, config)
    settings = settings_of(common)
    address = server or settings.control_plane
    if address is None:
        raise BucklerError(
            "SERVER_MISSING",
            "no control plane is configured",
            next_step="give it with --server HOST:PORT",
        )
    outcome = asyncio.run(activate_device(settings, _read_key(key_file), address, ca))
    claims, enrolment = outcome.claims, outcome.enrolment
    if common.as_json:
        say_json(
            {
                "device_id": claims.device_id,
                "org_id": claims.org_id,
                "seat_id": claims.seat_id,
                "plan": claims.plan_name,
                "access": claims.access.value,
                "server": enrolment.server,
                "already_held": outcome.already_held,
            }
        )
        return
    held = "already holds" if outcome.already_held else "now holds"
    say(f"This device {held} seat {claims.seat_id} of {claims.plan_name}.")
    say(f"device_id : {claims.device_id}")
    say(f"access    : {claims.access.value}")
    say(f"server    : {enrolment.server}")


def _read_key(key_file: Path | None) -> str:
    """The key: never from the command line, where every user of the machine could read it."""
    if key_file is not None:
        try:
            with key_file.open("rb") as file:
                return file.read(_KEY_FILE_MAX_BYTES).decode("utf-8", "replace").strip()
        except OSError as error:
            raise BucklerError(
                "KEY_FILE_UNREADABLE",
                f"the key file {key_file} cannot be read: {error.strerror}",
                next_step="check the path, or type the key on standard input",
            ) from error
    if sys.stdin.isatty():
        note("Activation key: ")
    return sys.stdin.readline(_KEY_FILE_MAX_BYTES).strip()
