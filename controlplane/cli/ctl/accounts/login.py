"""`bucklerctl login`, `logout`, `whoami` and `password`: who one is, to the control plane."""

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.ctl.accounts.secrets import read_secret
from controlplane.cli.ctl.output import (
    ConfigDirOption,
    Output,
    OutputOption,
    note,
    reporting,
    say,
    say_fields,
    say_json,
)
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from controlplane.cli.ctl.session import Session
    from wire.v1.account_pb2 import WhoAmIResponse

#: Far above any honest bundle of authorities.
MAX_CA_BYTES = 1_000_000

password = typer.Typer(no_args_is_help=True, help="Your password.")


def login(
    config_dir: ConfigDirOption,
    *,
    server: Annotated[str, typer.Option(help="HOST:PORT of the control plane.")],
    email: Annotated[str, typer.Option(help="Your e-mail address.")] = "",
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="Instead of a password, read a token from stdin: for programs.")
    ] = False,
    ca: Annotated[
        Path | None, typer.Option("--ca", help="The control plane's ca.pem; left out: this machine's authorities.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Sign in; password and code are asked for, or read from stdin, a line each, when that is not a terminal."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected, parse_server
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.session import Session, save_session
        from controlplane.cli.ctl.views import moment
        from wire.v1.account_pb2 import WhoAmIRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        if bool(email) is token_stdin:
            raise _email_or_token()
        plain = Session(str(parse_server(server)), _read_ca(ca), "", email)
        token, expires_at_us = (read_secret("token"), 0) if token_stdin else _sign_in(plain)
        signed_in = Session(plain.server, plain.authorities_pem, token, email)
        with connected(signed_in) as connection:
            me = connection.call(AccountServiceStub(connection.channel).WhoAmI, WhoAmIRequest())
        save_session(config_dir, Session(plain.server, plain.authorities_pem, token, me.email))
        if output is Output.JSON:
            say_json({"server": plain.server, **_me(me), "expires_at": moment(expires_at_us)})
            return
        until = f", until {local(moment(expires_at_us))}" if expires_at_us else ""
        say(f"Signed in to {plain.server} as {me.email}, {me.role} of {me.org_name}{until}.")
        if me.password_is_initial:
            say("Somebody else has seen your password. Change it: bucklerctl password change")
        say("Next: bucklerctl fleet status")


def logout(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Sign out: the token that was kept here is worthless from now on."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import forget_session, load_session
        from wire.v1.account_pb2 import SignOutRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            try:
                connection.call(AccountServiceStub(connection.channel).SignOut, SignOutRequest())
            except Refusal as refusal:
                # Expired or revoked: worthless already.
                if refusal.kind is not Kind.UNAUTHENTICATED:
                    raise
        forget_session(config_dir)
        if output is Output.JSON:
            say_json({"signed_out": True})
        else:
            say("Signed out.")


def whoami(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Who is signed in here, and what the token may do."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import WhoAmIRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            me = connection.call(AccountServiceStub(connection.channel).WhoAmI, WhoAmIRequest())
        if output is Output.JSON:
            say_json(_me(me))
            return
        say_fields(
            {
                "email": me.email,
                "user_id": me.user_id,
                "organisation": f"{me.org_name} ({me.org_kind}, {me.org_id})",
                "role": me.role,
                "second_factor": "on" if me.second_factor else "off: bucklerctl second-factor enrol",
                "token": "a session" if not me.scopes else f"for {', '.join(me.scopes)}",
            }
        )


@password.callback()
def _group() -> None:
    """Keeps `change` a command of its own: Typer would fold a group of one."""


@password.command("change")
def change_password(config_dir: ConfigDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Set another password: asks for the present one, then for the new one. Every other session ends."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ChangePasswordRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        session = load_session(config_dir)
        request = ChangePasswordRequest(password=read_secret("password"), new_password=read_secret("new password"))
        with connected(session) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).ChangePassword, request)
        if output is Output.JSON:
            say_json({"sessions_ended": answer.sessions_ended})
            return
        say(f"Your password is changed. Other sessions that ended: {answer.sessions_ended}.")


def _sign_in(session: "Session") -> tuple[str, int]:
    """A token, and when it expires; asks for a code only where one is needed."""
    from controlplane.cli.ctl.connection import connected
    from wire.v1.account_pb2 import SignInRequest
    from wire.v1.account_pb2_grpc import AccountServiceStub

    request = SignInRequest(
        email=session.email,
        password=read_secret("password"),
        token_name=f"bucklerctl on {socket.gethostname()}"[:100],
    )
    with connected(session) as connection:
        stub = AccountServiceStub(connection.channel)
        try:
            answer = connection.call(stub.SignIn, request)
        except Refusal as refusal:
            if refusal.reason != "SECOND_FACTOR_NEEDED":
                raise
            note("The six digits that your authenticator app shows now, or a recovery code:")
            request.second_factor = read_secret("code")
            answer = connection.call(stub.SignIn, request)
    return answer.token, answer.expires_at_us


def _me(me: "WhoAmIResponse") -> dict[str, object]:
    return {
        "email": me.email,
        "user_id": me.user_id,
        "role": me.role,
        "org_id": me.org_id,
        "org_name": me.org_name,
        "org_kind": me.org_kind,
        "second_factor": me.second_factor,
        "password_is_initial": me.password_is_initial,
        "scopes": list(me.scopes) or None,
    }


def _email_or_token() -> Refusal:
    return Refusal(
        Kind.INVALID,
        "SIGN_IN_UNCLEAR",
        "sign-in takes either --email or --token-stdin",
        "Give --email MAIL and your password, or pipe a token in with --token-stdin",
    )


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
