"""`buckler-server user`: people, from the operator's side."""

import asyncio
from typing import Annotated

import typer

from controlplane.accounts.model import Member
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, read_secret, reporting, show
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.principal import OPERATOR_ACTOR, Role, acting_as
from controlplane.runtime.randomness import SystemRandomness

user = typer.Typer(no_args_is_help=True, help="People who sign in with bucklerctl.")


@user.command("create")
def create(
    data_dir: DataDirOption,
    *,
    email: Annotated[str, typer.Option(help="Their e-mail address.")],
    role: Annotated[Role, typer.Option(help="What they are to the organisation.")] = Role.ADMIN,
    org: Annotated[str, typer.Option(help="Organisation id; left out: the only one there is.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin; else one is made up.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Add a person to an organisation."""
    with reporting(output):
        from controlplane.accounts.passwords import made_up_password

        config = read_config(data_dir.absolute())
        chosen = read_secret("password") if password_stdin else None
        password = chosen or made_up_password(SystemRandomness())
        member = asyncio.run(_create(config, email=email, role=role, org=org, password=password, initial=not chosen))
        answer = {
            "user_id": member.user_id,
            "email": member.email,
            "org_id": member.org_id,
            "role": member.role.value,
            "password": None if chosen else password,
        }
        show(output, answer, hints=() if chosen else ("The password is shown this once: write it down.",))


@user.command("reset")
def reset(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Of the person.")],
    data_dir: DataDirOption,
    *,
    org: Annotated[str, typer.Option(help="Organisation id; left out: the only one there is.")] = "",
    reason: Annotated[str, typer.Option(help="Why; for the audit.")] = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """For an owner who is locked out: a new password, no second factor, every session ended."""
    with reporting(output):
        from controlplane.accounts.passwords import made_up_password

        password = made_up_password(SystemRandomness())
        config = read_config(data_dir.absolute())
        member = asyncio.run(_reset(config, email=email, org=org, reason=reason, password=password))
        answer = {"user_id": member.user_id, "email": member.email, "org_id": member.org_id, "password": password}
        show(output, answer, hints=("The password is shown this once: hand it over.",))


async def _reset(config: ServerConfig, *, email: str, org: str, reason: str, password: str) -> Member:
    from controlplane.serving import opened

    async with opened(config) as server:
        accounts, people = server.plane.accounts, server.plane.account_desks.people
        password_hash = await accounts.hash_password(password)
        with acting_as(OPERATOR_ACTOR):
            async with server.plane.database.transaction() as uow:
                organisation = await accounts.organisation(uow.connection, org)
                await server.plane.times.enter(uow.connection, organisation.org_id)
                member = await people.find(uow.connection, organisation.org_id, email)
                await people.reset_within(uow, member, password_hash, reason)
                return member


async def _create(config: ServerConfig, *, email: str, role: Role, org: str, password: str, initial: bool) -> Member:
    from controlplane.serving import opened

    async with opened(config) as server:
        accounts = server.plane.accounts
        password_hash = await accounts.hash_password(password)
        with acting_as(OPERATOR_ACTOR):
            async with server.plane.database.transaction() as uow:
                organisation = await accounts.organisation(uow.connection, org)
                await server.plane.times.enter(uow.connection, organisation.org_id)
                return await accounts.create_person(
                    uow,
                    org_id=organisation.org_id,
                    email=email,
                    password_hash=password_hash,
                    role=role,
                    initial=initial,
                )
