"""`buckler-server subscription`: selling, and new prices, from the operator's side."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.catalog.model import Term
from controlplane.cli.server.options import DataDirOption
from controlplane.cli.server.output import Output, OutputOption, reporting, show
from controlplane.config import ServerConfig, read_config
from controlplane.runtime.principal import OPERATOR_ACTOR, acting_as

if TYPE_CHECKING:
    from controlplane.subscriptions.retail import RetailTerm
    from controlplane.subscriptions.selling import Sold
    from controlplane.subscriptions.service import SubscriptionState

subscription = typer.Typer(no_args_is_help=True, help="What customers buy.")

OrgOption = Annotated[str, typer.Option(help="Organisation id; left out: the only one there is.")]


@subscription.command("sell")
def sell(
    plan: Annotated[str, typer.Argument(help="A plan of the newest catalog.")],
    data_dir: DataDirOption,
    *,
    term: Annotated[Term, typer.Option(help="How long one period is.")] = Term.YEARLY,
    currency: Annotated[str, typer.Option(help="What it is charged in, e.g. EUR.")],
    trial_days: Annotated[int, typer.Option(min=0, max=365, help="0: no trial; the first period is charged.")] = 0,
    org: OrgOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Sell a plan to an organisation. Without a trial it is in force once its first invoice is paid."""
    with reporting(output):
        config = read_config(data_dir.absolute())
        sold = asyncio.run(_sell(config, org, plan, term, currency, trial_days))
        bought = sold.state.subscription
        answer = {
            "subscription_id": bought.subscription_id,
            "org_id": bought.org_id,
            "plan_id": bought.plan_id,
            "term": bought.term.value,
            "period_end": bought.period_end.isoformat(),
            "invoice_id": sold.invoice_id or None,
        }
        hints = (f"Its owner pays it: bucklerctl invoice pay {sold.invoice_id}",) if sold.invoice_id else ()
        show(output, answer, hints=hints)


@subscription.command("reprice")
def reprice(
    subscription_id: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Id of the subscription.")],
    data_dir: DataDirOption,
    *,
    org: OrgOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Move a subscription to its plan as it is sold now, from the next period whose price is announced in time."""
    with reporting(output):
        state = asyncio.run(_reprice(read_config(data_dir.absolute()), org, subscription_id))
        pending = state.subscription.pending
        answer = {
            "subscription_id": state.subscription.subscription_id,
            "catalog_version": None if pending is None else pending.catalog_version,
            "from": state.subscription.period_end.isoformat(),
        }
        show(output, answer)


@subscription.command("extend")
def extend(
    subscription_id: Annotated[str, typer.Argument(metavar="SUBSCRIPTION", help="Id of the subscription.")],
    plan: Annotated[str, typer.Argument(help="What was bought: a plan of the newest catalog.")],
    data_dir: DataDirOption,
    *,
    reference: Annotated[str, typer.Option(help="The shop's name for the sale: the same one extends once.")],
    term: Annotated[Term, typer.Option(help="For how long it was bought.")] = Term.YEARLY,
    org: OrgOption = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Append time that was bought elsewhere. Of another plan it is converted by price; `invoice why` shows the sum."""
    with reporting(output):
        from controlplane.subscriptions.retail import RetailTerm

        config = read_config(data_dir.absolute())
        state = asyncio.run(_extend(config, org, RetailTerm(subscription_id, plan, term, reference)))
        answer = {
            "subscription_id": state.subscription.subscription_id,
            "period_end": state.subscription.period_end.isoformat(),
        }
        show(output, answer)


async def _extend(config: ServerConfig, org: str, bought: "RetailTerm") -> "SubscriptionState":
    from controlplane.serving import opened

    async with opened(config) as server:
        plane = server.plane
        with acting_as(OPERATOR_ACTOR):
            async with plane.database.transaction() as uow:
                organisation = await plane.accounts.organisation(uow.connection, org)
                await plane.times.enter(uow.connection, organisation.org_id)
                return await plane.lives.retail.extend(uow, organisation.org_id, bought)


async def _sell(config: ServerConfig, org: str, plan: str, term: Term, currency: str, trial_days: int) -> "Sold":
    from controlplane.serving import opened
    from controlplane.subscriptions.selling import SaleOrder

    async with opened(config) as server:
        plane = server.plane
        with acting_as(OPERATOR_ACTOR):
            async with plane.database.transaction() as uow:
                organisation = await plane.accounts.organisation(uow.connection, org)
                await plane.times.enter(uow.connection, organisation.org_id)
                order = SaleOrder(organisation.org_id, plan, term, currency, trial_days)
                return await plane.lives.selling.sell(uow, order)


async def _reprice(config: ServerConfig, org: str, subscription_id: str) -> "SubscriptionState":
    from controlplane.serving import opened

    async with opened(config) as server:
        plane = server.plane
        with acting_as(OPERATOR_ACTOR):
            async with plane.database.transaction() as uow:
                organisation = await plane.accounts.organisation(uow.connection, org)
                await plane.times.enter(uow.connection, organisation.org_id)
                return await plane.lives.selling.reprice(uow, organisation.org_id, subscription_id)
