"""`buckler-server keys`: the keys that sign entitlements."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import DataDir

if TYPE_CHECKING:
    from controlplane.licensing.ports import EntitlementSigner

keys = typer.Typer(no_args_is_help=True, help="The keys that sign entitlements, and the root that vouches for them.")

RootKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--root-key", help="The root key, from its safe place; default: where `init` left it.", dir_okay=False
    ),
]
_RESTART = "Restart every server of this installation with these keys; devices learn of them at their next contact."


@keys.command("show")
def show_keys(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """The signing keys, when each signs, and whether the root key still lies here."""
    with reporting(output):
        from controlplane.app import root_key_file, signing_keys

        folder = DataDir(data_dir.absolute()).keys
        root = root_key_file(folder)
        hints = (f"Move {root} to a safe place away from this server.",) if root.exists() else ()
        show(output, {**_answer(signing_keys(folder)), "root_key_here": root.exists()}, hints=hints)


@keys.command("rotate")
def rotate(
    data_dir: DataDirOption,
    *,
    root_key: RootKeyOption = None,
    signs_in_hours: Annotated[
        int, typer.Option(min=0, max=24 * 90, help="When the new key takes over: copy it to every server before.")
    ] = 24,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish a new signing key that takes over after a while. What the old one signed stays valid."""
    with reporting(output):
        from controlplane.app import root_key_file, rotate_signing_key

        folder = DataDir(data_dir.absolute()).keys
        rotated = rotate_signing_key(folder, root_key or root_key_file(folder), timedelta(hours=signs_in_hours))
        show(output, _answer(rotated), hints=(_RESTART,))


@keys.command("revoke")
def revoke(
    kid: Annotated[str, typer.Argument(help="Name of the key: buckler-server keys show.")],
    data_dir: DataDirOption,
    *,
    root_key: RootKeyOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Revoke a signing key that leaked, for good. Everything it signed is signed anew by another."""
    with reporting(output):
        from controlplane.app import revoke_signing_key, root_key_file

        folder = DataDir(data_dir.absolute()).keys
        without = revoke_signing_key(folder, root_key or root_key_file(folder), kid)
        show(output, _answer(without), hints=(_RESTART,))


def _answer(signing: "EntitlementSigner") -> dict[str, object]:
    from wire.entitlement_codec import decode_key_set

    answer: dict[str, object] = {"version": decode_key_set(signing.key_set().key_set).version}
    for number, key in enumerate(signing.public_keys(), start=1):
        until = f" until {key.not_after:%Y-%m-%d %H:%M} UTC" if key.not_after else ""
        answer[f"key_{number}"] = f"{key.kid} signs from {key.not_before:%Y-%m-%d %H:%M} UTC{until}"
    answer["revoked"] = ", ".join(sorted(signing.revoked_kids())) or None
    return answer
