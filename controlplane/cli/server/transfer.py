"""`buckler-server transfer`: money that moved by bank, as an operator sees it on the statement."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.principal import OPERATOR_ACTOR, acting_as

if TYPE_CHECKING:
    from controlplane.billing.attempts import Payment
    from controlplane.billing.payments import Transfer
    from controlplane.billing.refunds.refunds import Refund

transfer = typer.Typer(no_args_is_help=True, help="Money that moved by bank.")

OrgOption = Annotated[str, typer.Option(help="Organisation id; left out: the only one there is.")]
ReferenceOption = Annotated[
    str, typer.Option(help="The bank's name for the transfer: the same one is written down once.")
]


@transfer.command("received")
def received(
    invoice: Annotated[str, typer.Argument(help="Number or id of the invoice it pays.")],
    amount: Annotated[str, typer.Argument(help="As the statement has it: 119.00.")],
    currency: Annotated[str, typer.Argument(help="Of the statement: EUR.")],
    data_dir: DataDirOption,
    *,
    reference: ReferenceOption,
    org: OrgOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Write down money that came in. What is too much becomes a refund that somebody has to send."""
    with reporting(output):
        from controlplane.billing.money import Money, parse_decimal
        from controlplane.billing.payments import Transfer
        from controlplane.runtime.fields import text

        config = read_config(data_dir.absolute())
        named = text("reference", reference, limit=200, required=True)
        arrived = Transfer(named, parse_decimal(amount, currency))
        payment = asyncio.run(_received(config, org, invoice, arrived))
        answer = {
            "payment_id": payment.payment_id,
            "invoice_id": payment.invoice_id,
            "amount": str(payment.amount),
            "too_much": str(Money(payment.excess, payment.amount.currency)) if payment.excess else None,
        }
        show(output, answer)


@transfer.command("sent")
def sent(
    refund: Annotated[str, typer.Argument(metavar="REFUND", help="Id of the refund: bucklerctl refund list.")],
    data_dir: DataDirOption,
    *,
    reference: ReferenceOption,
    org: OrgOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Write down that a refund was sent by bank."""
    with reporting(output):
        from controlplane.runtime.fields import text

        config = read_config(data_dir.absolute())
        named = text("reference", reference, limit=200, required=True)
        settled = asyncio.run(_sent(config, org, refund, named))
        answer = {"refund_id": settled.refund_id, "amount": str(settled.amount), "state": settled.state.value}
        show(output, answer)


async def _received(config: ServerConfig, org: str, invoice: str, arrived: "Transfer") -> "Payment":
    from controlplane.serving import opened

    async with opened(config) as server:
        plane = server.plane
        with acting_as(OPERATOR_ACTOR):
            async with plane.database.transaction() as uow:
                organisation = await plane.accounts.organisation(uow.connection, org)
                await plane.times.enter(uow.connection, organisation.org_id)
                return await plane.billing.service.record_transfer(uow, organisation.org_id, invoice, arrived)


async def _sent(config: ServerConfig, org: str, refund: str, reference: str) -> "Refund":
    from controlplane.serving import opened

    async with opened(config) as server:
        plane = server.plane
        async with plane.database.reading() as connection:
            organisation = await plane.accounts.organisation(connection, org)
            await plane.times.enter(connection, organisation.org_id)
        with acting_as(OPERATOR_ACTOR):
            return await plane.billing.service.confirm_refund(organisation.org_id, refund, reference)
