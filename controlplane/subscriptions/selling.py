"""Selling a subscription to an organisation: on trial, or in force as soon as the first period is paid."""

from dataclasses import dataclass, replace
from datetime import timedelta

from controlplane.accounts.audit import AuditLog
from controlplane.billing.model import Occasion
from controlplane.billing.money import checked_currency
from controlplane.catalog.model import Term
from controlplane.catalog.service import CatalogService
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import invalid
from controlplane.storage.database import UnitOfWork
from controlplane.subscriptions import consents, repository
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.errors import billed_elsewhere, change_is_none, change_pending, price_missing
from controlplane.subscriptions.lifecycle import INCOMPLETE_FOR, pending_of
from controlplane.subscriptions.model import Billing, PendingWhy, Period, Renewal
from controlplane.subscriptions.quoting import PurchaseKind, period_draft, terms_of
from controlplane.subscriptions.service import Sale, SubscriptionService, SubscriptionState

MAX_TRIAL_DAYS = 365


@dataclass(frozen=True, slots=True)
class SaleOrder:
    """What is sold.

    Attributes:
        org_id: To whom.
        plan_id: Of the newest catalog.
        term: Length of a period.
        currency: What it is charged in, ISO 4217.
        trial_days: 0: no trial.
    """

    org_id: str
    plan_id: str
    term: Term
    currency: str
    trial_days: int = 0


@dataclass(frozen=True, slots=True)
class Sold:
    """A subscription that was sold, and the invoice to pay; empty: it is on trial, or nothing is due."""

    state: SubscriptionState
    invoice_id: str


class Selling:
    """Sells.

    Args:
        clock: Business time.
        catalog: Knows the plans.
        subscriptions: Creates them.
        charging: Writes purchases.
        audit: Records every change.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        catalog: CatalogService,
        subscriptions: SubscriptionService,
        charging: Charging,
        audit: AuditLog,
    ) -> None:
        self._clock = clock
        self._catalog = catalog
        self._audit = audit
        self._subscriptions = subscriptions
        self._charging = charging

    async def sell(self, uow: UnitOfWork, order: SaleOrder) -> Sold:
        """Sell a plan. Without a trial its devices have the floor only until the first payment, for 23 hours at most.

        Raises:
            Refusal: CURRENCY_UNKNOWN, PLAN_UNKNOWN, TERM_NOT_SOLD, PRICE_MISSING or INVALID_REQUEST.
        """
        currency = checked_currency(order.currency)
        if not 0 <= order.trial_days <= MAX_TRIAL_DAYS:
            raise invalid("trial_days", f"is not 0 to {MAX_TRIAL_DAYS}")
        now, trial = self._clock.now(), timedelta(days=order.trial_days)
        state = await self._subscriptions.create(
            uow,
            org_id=order.org_id,
            plan_id=order.plan_id,
            term=order.term,
            renewal=Renewal.AUTO,
            billing=Billing.TRIALING if trial else Billing.NONE,
            sale=Sale(currency, trial, None if trial else now + INCOMPLETE_FOR),
        )
        subscription, plan = state.subscription, state.plan
        if plan.price(order.term, currency) is None:
            raise price_missing(plan, order.term, currency)
        await consents.record(uow, subscription, plan, consents.Occasion.SOLD, now)
        if trial:
            await self._charging.arm(uow, subscription)
            return Sold(state, "")
        period = Period(subscription.period_start, subscription.period_end)
        invoice = await self._charging.charge(
            uow,
            subscription,
            period_draft(subscription, plan, order.term, period, Occasion.INITIAL),
            kind=PurchaseKind.INITIAL,
            terms=terms_of(plan, order.term),
            period=period,
            lapses_at=None,
        )
        await self._charging.arm(uow, subscription)
        return Sold(state, invoice.invoice_id)

    async def reprice(self, uow: UnitOfWork, org_id: str, subscription_id: str) -> SubscriptionState:
        """Move a subscription to its plan as it is sold now, from the next period whose price is announced in time.

        Without a delivered notice of its own the new price does not hold: the next period is sold for the old one.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, BILLED_ELSEWHERE, CHANGE_PENDING, NO_CHANGE,
                PLAN_UNKNOWN or PRICE_MISSING.
        """
        seen = await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=subscription_id)
        named = seen.subscription.subscription_id
        before = await self._charging.lock(uow, org_id, named)
        assert before is not None, "it was found in this transaction"
        if not before.currency:
            raise billed_elsewhere(named)
        if before.pending is not None:
            raise change_pending(named)
        plan = await self._catalog.on_sale(uow.connection, before.plan_id)
        if plan.catalog_version == before.catalog_version:
            raise change_is_none()
        if plan.price(before.term, before.currency) is None:
            raise price_missing(plan, before.term, before.currency)
        after = replace(before, pending=pending_of(terms_of(plan, before.term), PendingWhy.PRICE))
        await repository.store(uow, after)
        await self._audit.record(
            uow,
            org_id=org_id,
            action="subscription.repriced",
            subject=named,
            details={"catalog_version": str(plan.catalog_version)},
        )
        await self._charging.arm(uow, after)
        return await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=named)
