"""`bucklerctl login`: exchange a password for a token and keep it."""

import getpass
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.ctl.output import ConfigDirOption, Output, OutputOption, reporting, say, say_json
from controlplane.runtime.refusal import Kind, Refusal

#: Far above any honest bundle of authorities.
MAX_CA_BYTES = 1_000_000


def login(
    config_dir: ConfigDirOption,
    *,
    server: Annotated[str, typer.Option(help="HOST:PORT of the control plane.")],
    email: Annotated[str, typer.Option(help="Your e-mail address.")],
    ca: Annotated[
        Path | None, typer.Option("--ca", help="The control plane's ca.pem; left out: this machine's authorities.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign in; the password is asked for, or read from stdin when that is not a terminal."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected, parse_server
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import Session, save_session
        from controlplane.cli.ctl.views import moment
        from wire.v1 import account_pb2
        from wire.v1.account_pb2_grpc import AccountServiceStub

        session = Session(str(parse_server(server)), _read_ca(ca), "", email)
        with connected(session) as connection:
            request = account_pb2.SignInRequest(
                email=email, password=_read_password(), token_name=f"bucklerctl on {socket.gethostname()}"[:100]
            )
            answer = connection.call(AccountServiceStub(connection.channel).SignIn, request)
        signed_in = Session(session.server, session.authorities_pem, answer.token, email)
        with connected(signed_in) as connection:
            me = connection.call(AccountServiceStub(connection.channel).WhoAmI, account_pb2.WhoAmIRequest())
        save_session(config_dir, signed_in)
        expires_at = moment(answer.expires_at_us)
        if output is Output.JSON:
            say_json(
                {
                    "server": session.server,
                    "email": me.email,
                    "role": me.role,
                    "org_id": me.org_id,
                    "org_name": me.org_name,
                    "expires_at": expires_at,
                }
            )
            return
        say(f"Signed in to {session.server} as {me.email}, {me.role} of {me.org_name}, until {local(expires_at)}.")
        say("Next: bucklerctl fleet status")


def _read_password() -> str:
    password = getpass.getpass("Password: ") if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise Refusal(
            Kind.INVALID, "PASSWORD_MISSING", "there is no password", "Type it, or pipe it into standard input"
        )
    return password


def _read_ca(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        with path.open(encoding="ascii") as file:
            content = file.read(MAX_CA_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a PEM file"
        raise _ca_unreadable(path, str(why)) from error
    if "BEGIN CERTIFICATE" not in content or len(content) > MAX_CA_BYTES:
        raise _ca_unreadable(path, "it contains no certificate")
    return content


def _ca_unreadable(path: Path, why: str) -> Refusal:
    return Refusal(
        Kind.INVALID,
        "CA_INVALID",
        f"the file of certificate authorities {path} cannot be used: {why}",
        "Give the file ca.pem of the control plane",
    )
