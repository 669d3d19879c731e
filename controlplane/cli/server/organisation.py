"""`buckler-server organisation`: households and companies."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.accounts.model import OrganisationKind
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.principal import OPERATOR_ACTOR, acting_as

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controlplane.accounts.model import Organisation

organisation = typer.Typer(no_args_is_help=True, help="Households and companies.")


@organisation.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it stands on invoices.")],
    data_dir: DataDirOption,
    *,
    kind: Annotated[OrganisationKind, typer.Option(help="What sort of customer.")] = OrganisationKind.COMPANY,
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help="Give it a clock of its own, which its administrators move forward.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make an organisation, still without people and subscriptions."""
    with reporting(output):
        made = asyncio.run(_create(read_config(data_dir.absolute()), name, kind, sandbox=sandbox))
        hints = (
            f"Next: buckler-server user create --org {made.org_id} --email MAIL --role owner",
            f"Then: buckler-server subscription sell --org {made.org_id} …",
        )
        answer = {"org_id": made.org_id, "name": made.name, "kind": made.kind.value, "sandbox": sandbox}
        show(output, answer, hints=hints)


@organisation.command("list")
def list_organisations(data_dir: DataDirOption, *, output: OutputOption = Output.TEXT) -> None:
    """Every organisation, the oldest first."""
    with reporting(output):
        found, sandboxes = asyncio.run(_list(read_config(data_dir.absolute())))
        if output is Output.JSON:
            rows = [
                {
                    "org_id": each.org_id,
                    "name": each.name,
                    "kind": each.kind.value,
                    "sandbox": each.org_id in sandboxes,
                }
                for each in found
            ]
            show(output, {"organisations": rows})
            return
        for each in found:
            sandbox = "  (sandbox)" if each.org_id in sandboxes else ""
            typer.echo(f"{each.org_id}  {each.kind.value:<9}  {each.name}{sandbox}")


async def _create(config: ServerConfig, name: str, kind: OrganisationKind, *, sandbox: bool) -> "Organisation":
    from controlplane.serving import opened

    async with opened(config) as server:
        with acting_as(OPERATOR_ACTOR):
            async with server.plane.database.transaction() as uow:
                return await server.plane.accounts.create_organisation(uow, name=name, kind=kind, sandbox=sandbox)


async def _list(config: ServerConfig) -> "tuple[Sequence[Organisation], Sequence[str]]":
    from controlplane.serving import opened

    async with opened(config) as server, server.plane.database.reading() as connection:
        return await server.plane.accounts.organisations(connection), await server.plane.times.sandboxes()
