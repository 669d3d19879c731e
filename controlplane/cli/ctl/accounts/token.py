"""`bucklerctl token`: tokens for programs, which may do less than their person."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.ctl.output import (
    ConfigDirOption,
    IdempotencyKeyOption,
    LimitOption,
    Output,
    OutputOption,
    reporting,
    say,
    say_fields,
    say_json,
    say_table,
    wish_name,
)
from controlplane.runtime.principal import Scope
from controlplane.runtime.refusal import Kind, Refusal

if TYPE_CHECKING:
    from wire.v1.account_pb2 import Token

token = typer.Typer(no_args_is_help=True, help="Tokens for programs, and the sessions of people.")

DEFAULT_LIMIT = 100


@token.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Under which it is listed.")],
    config_dir: ConfigDirOption,
    *,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may be used for; may be given several times.")
    ] = None,
    expires_in: Annotated[str, typer.Option(help="24h, 90d; at most 366d.")] = "90d",
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a token, good for reading unless told otherwise. It is shown this once: only its hash is stored."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local, parse_span
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import CreateTokenRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        lifetime = parse_span(expires_in)
        if lifetime is None:
            raise Refusal(
                Kind.INVALID, "SPAN_INVALID", "this is not a span of time", "Write it like 24h or 90d: --expires-in 90d"
            )
        request = CreateTokenRequest(
            name=name,
            scopes=[each.value for each in scope or [Scope.READ]],
            lifetime_s=int(lifetime.total_seconds()),
            idempotency_key=wish_name(idempotency_key),
        )
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).CreateToken, request)
        row = _row(answer.token)
        if output is Output.JSON:
            say_json({"token": answer.secret or None, **row})
            return
        say_fields(
            {
                "token": answer.secret or "was shown when it was made",
                "token_id": row["token_id"],
                "good for": ", ".join(row["scopes"]),
                "until": local(row["expires_at"]),
            }
        )
        if answer.secret:
            say()
            say("The token is shown this once. A program signs in with: bucklerctl login --server … --token-stdin")


@token.command("list")
def list_tokens(
    config_dir: ConfigDirOption, *, limit: LimitOption = DEFAULT_LIMIT, output: OutputOption = Output.TEXT
) -> None:
    """Tokens and sessions that can still be used: yours; everybody's for owners and admins."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ListTokensRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = AccountServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListTokens, ListTokensRequest(page=page)),
                lambda answer: map(_row, answer.tokens),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                each["token_id"],
                each["name"],
                each["email"],
                ", ".join(each["scopes"] or ["session"]),
                local(each["last_used_at"]),
                local(each["expires_at"]),
            ]
            for each in found
        ]
        say_table(
            ["token", "name", "person", "good for", "last used", "until"],
            rows,
            whole=["token"],
            empty="There are no tokens.",
        )


@token.command("revoke")
def revoke(
    token_id: Annotated[str, typer.Argument(metavar="TOKEN", help="Its id: bucklerctl token list.")],
    config_dir: ConfigDirOption,
    *,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a token worthless from now on."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.visible import visible
        from wire.v1.account_pb2 import RevokeTokenRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            request = RevokeTokenRequest(token_id=token_id)
            connection.call(AccountServiceStub(connection.channel).RevokeToken, request)
        if output is Output.JSON:
            say_json({"revoked": token_id})
        else:
            say(f"{visible(token_id)} is worthless from now on.")


def _row(token: "Token") -> dict[str, Any]:
    from controlplane.cli.ctl.views import moment

    return {
        "token_id": token.token_id,
        "name": token.name,
        "email": token.email,
        "user_id": token.user_id,
        "scopes": list(token.scopes) or None,
        "created_at": moment(token.created_at_us),
        "expires_at": moment(token.expires_at_us),
        "last_used_at": moment(token.last_used_at_us),
    }
