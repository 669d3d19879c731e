"""`buckler-server keys`: the keys that sign entitlements, and the issuers of certificates."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import DataDir
from controlplane.runtime.private_files import write_public

if TYPE_CHECKING:
    from controlplane.licensing.ports import EntitlementSigner

keys = typer.Typer(
    no_args_is_help=True, help="The keys that sign entitlements, the issuers of certificates, and the roots."
)

RootKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--root-key", help="The root key, from its safe place; default: where `init` left it.", dir_okay=False
    ),
]
AuthorityRootOption = Annotated[
    Path | None,
    typer.Option(
        "--authority-root",
        help="The root of certificates, from its safe place; default: where `init` left it.",
        dir_okay=False,
    ),
]
_COPY = "Copy authorities.json to every server of this installation; they follow it without a restart."
_OPEN_CONNECTIONS = "Restart every server: a connection that is open stays open until then."
_RESTART = "Restart every server of this installation with these keys; devices learn of them at their next contact."


@keys.command("show")
def show_keys(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """The signing keys and the issuers of certificates, the time of each, and whether a root still lies here."""
    with reporting(output):
        from controlplane.app import authority_root_file, certificate_authority, root_key_file, signing_keys

        folder = DataDir(data_dir.absolute()).keys
        roots = {"root_key_here": root_key_file(folder), "authority_root_here": authority_root_file(folder)}
        hints = tuple(f"Move {root} to a safe place away from this server." for root in roots.values() if root.exists())
        answer = {**_answer(signing_keys(folder)), **certificate_authority(folder).issuers.told()}
        show(output, {**answer, **{name: root.exists() for name, root in roots.items()}}, hints=hints)


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


@keys.command("rotate-device-ca")
def rotate_device_ca(
    data_dir: DataDirOption,
    *,
    authority_root: AuthorityRootOption = None,
    issues_in_hours: Annotated[
        int, typer.Option(min=0, max=24 * 90, help="When the new issuers take over: copy them to every server before.")
    ] = 24,
    output: OutputOption = Output.TEXT,
) -> None:
    """Publish new issuers of certificates that take over after a while. Certificates of the old ones stay valid."""
    with reporting(output):
        from controlplane.app import authority_root_file, certificate_authority

        place = DataDir(data_dir.absolute())
        authority = certificate_authority(place.keys)
        had_root = authority.issuers.root is not None
        root = authority_root or authority_root_file(place.keys)
        rotated = authority.rotate(root, timedelta(hours=issues_in_hours))
        write_public(place.authorities, authority.authorities_pem())
        made = () if had_root else (f"Move {root} to a safe place: the server never needs it.",)
        show(output, rotated.told(), hints=(*made, _COPY))


@keys.command("revoke-device-ca")
def revoke_device_ca(
    name: Annotated[str, typer.Argument(help="Name of the issuer: buckler-server keys show.")],
    data_dir: DataDirOption,
    *,
    authority_root: AuthorityRootOption = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Revoke an issuer of certificates that leaked, for good. Its devices prove their keys and are certified anew."""
    with reporting(output):
        from controlplane.app import authority_root_file, certificate_authority

        place = DataDir(data_dir.absolute())
        authority = certificate_authority(place.keys)
        without = authority.revoke(name, authority_root or authority_root_file(place.keys))
        write_public(place.authorities, authority.authorities_pem())
        show(output, without.told(), hints=(_COPY, _OPEN_CONNECTIONS))


def _answer(signing: "EntitlementSigner") -> dict[str, object]:
    from wire.entitlement_codec import decode_key_set

    answer: dict[str, object] = {"version": decode_key_set(signing.key_set().key_set).version}
    for number, key in enumerate(signing.public_keys(), start=1):
        until = f" until {key.not_after:%Y-%m-%d %H:%M} UTC" if key.not_after else ""
        answer[f"key_{number}"] = f"{key.kid} signs from {key.not_before:%Y-%m-%d %H:%M} UTC{until}"
    answer["revoked"] = ", ".join(sorted(signing.revoked_kids())) or None
    return answer
