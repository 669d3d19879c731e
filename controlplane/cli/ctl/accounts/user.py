"""`bucklerctl user`: who belongs to the organisation, and with which role."""

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
from controlplane.runtime.principal import Role

if TYPE_CHECKING:
    from wire.v1.account_pb2 import Person

user = typer.Typer(no_args_is_help=True, help="People of your organisation, and what they may do.")

DEFAULT_LIMIT = 500
PersonArgument = Annotated[str, typer.Argument(metavar="PERSON", help="An e-mail address or an id.")]
ReasonOption = Annotated[str, typer.Option(help="Why; for the audit.")]


@user.command("list")
def list_people(
    config_dir: ConfigDirOption, *, limit: LimitOption = DEFAULT_LIMIT, output: OutputOption = Output.TEXT
) -> None:
    """Everybody, by address."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.moments import local
        from controlplane.cli.ctl.pages import first_rows
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ListPeopleRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            stub = AccountServiceStub(connection.channel)
            found = first_rows(
                lambda page: connection.call(stub.ListPeople, ListPeopleRequest(page=page)),
                lambda answer: map(_row, answer.people),
                limit,
            )
        if output is Output.JSON:
            say_json(found)
            return
        rows = [
            [
                each["email"],
                each["role"],
                "on" if each["second_factor"] else "off",
                local(each["last_signed_in_at"]),
                each["user_id"],
            ]
            for each in found
        ]
        say_table(["e-mail", "role", "second factor", "last sign-in", "id"], rows, whole=["e-mail", "id"])


@user.command("add")
def add(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Their address.")],
    config_dir: ConfigDirOption,
    *,
    role: Annotated[Role, typer.Option(help="What they may do: docs/accounts.md.")] = Role.VIEWER,
    idempotency_key: IdempotencyKeyOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Bring somebody in. Their first password is shown this once, for you to hand over."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import AddPersonRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        request = AddPersonRequest(email=email, role=role.value, idempotency_key=wish_name(idempotency_key))
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).AddPerson, request)
        _show(answer.person, answer.initial_password, output)


@user.command("role")
def change_role(
    person: PersonArgument,
    role: Annotated[Role, typer.Argument(help="The new one.")],
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Give somebody another role; it holds from their next call on."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ChangeRoleRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        request = ChangeRoleRequest(person=person, role=role.value, reason=reason)
        with connected(load_session(config_dir)) as connection:
            answer = connection.call(AccountServiceStub(connection.channel).ChangeRole, request)
        row = _row(answer.person)
        if output is Output.JSON:
            say_json(row)
        else:
            say(f"{row['email']} has the role {row['role']}.")


@user.command("remove")
def remove(
    person: PersonArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Somebody leaves: their sessions and tokens end at once."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from controlplane.cli.visible import visible
        from wire.v1.account_pb2 import RemovePersonRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            request = RemovePersonRequest(person=person, reason=reason)
            connection.call(AccountServiceStub(connection.channel).RemovePerson, request)
        if output is Output.JSON:
            say_json({"removed": person})
        else:
            say(f"{visible(person)} does not belong to your organisation any more.")


@user.command("reset")
def reset(
    person: PersonArgument,
    config_dir: ConfigDirOption,
    *,
    reason: ReasonOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """For somebody who lost password or app: a new first password, no second factor, every session ended."""
    with reporting(output):
        from controlplane.cli.ctl.connection import connected
        from controlplane.cli.ctl.session import load_session
        from wire.v1.account_pb2 import ResetPersonRequest
        from wire.v1.account_pb2_grpc import AccountServiceStub

        with connected(load_session(config_dir)) as connection:
            request = ResetPersonRequest(person=person, reason=reason)
            answer = connection.call(AccountServiceStub(connection.channel).ResetPerson, request)
        _show(answer.person, answer.initial_password, output)


def _show(person: "Person", initial_password: str, output: Output) -> None:
    row = _row(person)
    if output is Output.JSON:
        say_json({**row, "initial_password": initial_password or None})
        return
    say_fields(
        {
            "email": row["email"],
            "role": row["role"],
            "user_id": row["user_id"],
            "password": initial_password or "was shown when it was made",
        }
    )
    say()
    say("Hand the password over; they change it with: bucklerctl password change")


def _row(person: "Person") -> dict[str, Any]:
    from controlplane.cli.ctl.views import moment

    return {
        "user_id": person.user_id,
        "email": person.email,
        "role": person.role,
        "second_factor": person.second_factor,
        "password_is_initial": person.password_is_initial,
        "created_at": moment(person.created_at_us),
        "last_signed_in_at": moment(person.last_signed_in_at_us),
    }
