"""Time that was bought elsewhere, in a shop: it is appended to what runs, and no day of it is lost."""

from dataclasses import dataclass

from controlplane.billing.calculation import Fixed
from controlplane.billing.model import BilledPeriod, InvoiceDraft, Line, LineKind, Occasion, Sold, SoldBy
from controlplane.billing.money import Money
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import current_actor
from controlplane.storage.database import UnitOfWork
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.errors import billed_elsewhere, invoice_open, price_missing, subscription_revoked
from controlplane.subscriptions.lifecycle import converted_days, per_year
from controlplane.subscriptions.model import Period, Subscription, add_months, limited_from
from controlplane.subscriptions.quoting import PurchaseKind, terms_of
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState


@dataclass(frozen=True, slots=True)
class RetailTerm:
    """What a shop sold.

    Attributes:
        subscription_id: That it extends.
        plan_id: What was bought, of the newest catalog.
        term: For how long.
        reference: The shop's name for the sale, 8 to 64 characters: the same sale extends once.
    """

    subscription_id: str
    plan_id: str
    term: Term
    reference: str


class Retail:
    """Extends subscriptions.

    Args:
        clock: Business time.
        catalog: Knows the plans.
        subscriptions: Reads.
        charging: Writes purchases.
    """

    def __init__(
        self, *, clock: Clock, catalog: CatalogService, subscriptions: SubscriptionService, charging: Charging
    ) -> None:
        self._clock = clock
        self._catalog = catalog
        self._subscriptions = subscriptions
        self._charging = charging

    async def extend(self, uow: UnitOfWork, org_id: str, bought: RetailTerm) -> SubscriptionState:
        """Append what was bought; time of another plan becomes time of this one, by what a year of each costs.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, SUBSCRIPTION_REVOKED, BILLED_ELSEWHERE, INVOICE_OPEN,
                PLAN_UNKNOWN, PRICE_MISSING, IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        seen = await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=bought.subscription_id)
        named, now = seen.subscription.subscription_id, self._clock.now()
        request = RequestKey(org_id=org_id, caller=current_actor(), method="subscriptions.extend", key=bought.reference)
        if await claim(uow, request, request_hash([named, bought.plan_id, bought.term.value]), now) is None:
            before = await self._charging.lock(uow, org_id, named)
            assert before is not None, "it was found in this transaction"
            _check(before)
            sold = await self._catalog.on_sale(uow.connection, bought.plan_id)
            await self._append(uow, before, await self._charging.plan_of(uow, before), sold, bought)
            await remember(uow, request, b"done")
        return await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=named)

    async def _append(self, uow: UnitOfWork, before: Subscription, plan: Plan, sold: Plan, bought: RetailTerm) -> None:
        now = self._clock.now()
        runs = now < limited_from(before, plan)
        start = before.period_end if runs else now
        anchor_day = before.anchor_day if runs else now.day
        whole = Period(start, add_months(start, bought.term.months, anchor_day))
        period, why = (whole, f"it was bought elsewhere ({bought.reference})")
        if sold.plan_id != plan.plan_id:
            period, why = _converted(before, plan, sold, bought, whole)
        line = Line(
            kind=LineKind.RETAIL_KEY,
            description=f"{sold.name}, {bought.term.value}, bought elsewhere",
            calculation=Fixed(0, why),
            period=BilledPeriod(before.subscription_id, period.start, period.end),
            sold=Sold(sold.plan_id, sold.name, sold.catalog_version, bought.term.value, Occasion.RENEWAL),
        )
        draft = InvoiceDraft(
            org_id=before.org_id,
            currency=before.currency,
            lines=(line,),
            due_at=now,
            sold_by=SoldBy.RETAILER,
        )
        kind = PurchaseKind.EARLY_RENEWAL if runs else PurchaseKind.RETURN
        await self._charging.charge(
            uow, before, draft, kind=kind, terms=terms_of(plan, before.term), period=period, lapses_at=None
        )


def _check(subscription: Subscription) -> None:
    if subscription.revoked_at is not None:
        raise subscription_revoked(subscription.subscription_id)
    if not subscription.currency:
        raise billed_elsewhere(subscription.subscription_id)
    if subscription.open_invoice_id:
        raise invoice_open(subscription.subscription_id, subscription.open_invoice_id)


def _converted(before: Subscription, plan: Plan, sold: Plan, bought: RetailTerm, whole: Period) -> tuple[Period, str]:
    """The period that it becomes, and the sum that says why."""
    worth, price = per_year(sold, bought.term, before.currency), per_year(plan, before.term, before.currency)
    if not worth or not price:
        raise price_missing(plan if worth else sold, before.term if worth else bought.term, before.currency)
    length = whole.end - whole.start
    days = max(1, converted_days(length.days, worth, price))
    shown = f"{length.days} × {Money(worth, before.currency)} / {Money(price, before.currency)} = {days} days"
    return Period(whole.start, whole.start + length / length.days * days), f"a year of each costs so much: {shown}"
