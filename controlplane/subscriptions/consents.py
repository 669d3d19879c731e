"""What was agreed to whenever a subscription began to renew by itself.

California wants proof of consent kept for three years, or for one year after the end if that is longer (Business and
Professions Code, section 17602); nothing here is ever deleted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.money import Money
from controlplane.catalog.model import Plan, Term
from controlplane.notices.service import MONTHLY_LEAD, YEARLY_LEAD
from controlplane.runtime.principal import current_actor
from controlplane.storage.database import UnitOfWork
from controlplane.subscriptions.model import Subscription
from controlplane.subscriptions.tables import renewal_consents


class Occasion(Enum):
    """When somebody agreed."""

    SOLD = "sold"
    TURNED_ON = "turned_on"


@dataclass(frozen=True, slots=True)
class Consent:
    """One agreement.

    Attributes:
        given_by: `user:…`, or `operator` who sold it.
        catalog_version: Whose plan was agreed to.
        statement: What was agreed to, as a sentence.
    """

    subscription_id: str
    given_at: datetime
    given_by: str
    occasion: Occasion
    plan_id: str
    catalog_version: int
    statement: str


def statement(subscription: Subscription, plan: Plan, price: Money) -> str:
    """What somebody agrees to who lets a subscription renew by itself."""
    lead = YEARLY_LEAD if subscription.term is Term.YEARLY else MONTHLY_LEAD
    return (
        f"{plan.name} renews by itself on {subscription.period_end:%Y-%m-%d} and {subscription.term.value} after that, "
        f"for {price} a period, until renewal is turned off, which takes effect at once. Each charge is announced with "
        f"its amount at least {lead.days} days before; another price only after a notice of its own."
    )


async def record(uow: UnitOfWork, subscription: Subscription, plan: Plan, occasion: Occasion, now: datetime) -> None:
    """Write down that somebody agreed; nothing for a subscription that is paid for elsewhere."""
    minor = plan.price(subscription.term, subscription.currency) if subscription.currency else None
    if minor is None:
        return
    await uow.connection.execute(
        insert(renewal_consents).values(
            org_id=subscription.org_id,
            subscription_id=subscription.subscription_id,
            given_at=now,
            given_by=current_actor(),
            occasion=occasion.value,
            plan_id=plan.plan_id,
            catalog_version=plan.catalog_version,
            statement=statement(subscription, plan, Money(minor, subscription.currency)),
        )
    )


async def given(connection: AsyncConnection, *, org_id: str, subscription_id: str) -> Sequence[Consent]:
    """Every agreement about a subscription, the oldest first."""
    columns = renewal_consents.c
    rows = await connection.execute(
        select(
            columns.subscription_id,
            columns.given_at,
            columns.given_by,
            columns.occasion,
            columns.plan_id,
            columns.catalog_version,
            columns.statement,
        )
        .where(columns.org_id == org_id, columns.subscription_id == subscription_id)
        .order_by(columns.given_at)
    )
    return [
        Consent(
            row.subscription_id,
            row.given_at,
            row.given_by,
            Occasion(row.occasion),
            row.plan_id,
            row.catalog_version,
            row.statement,
        )
        for row in rows
    ]
