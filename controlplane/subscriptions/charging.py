"""Purchases: an invoice is written together with what it brings, and brings it in the transaction that sees it paid.

waiting ──paid──▶ done ──taken back within 14 days──▶ undone
   └──declined with the customer there, or nobody pays in time──▶ dropped: the invoice is void, nothing was changed
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from controlplane.accounts.audit import AuditLog
from controlplane.billing.attempts import FailureKind, Payment
from controlplane.billing.model import Invoice, InvoiceDraft, InvoiceState
from controlplane.billing.money import Money
from controlplane.billing.service import BillingService
from controlplane.catalog.model import Plan
from controlplane.catalog.service import CatalogService
from controlplane.notices.service import NoticeService
from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import schedule
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database, UnitOfWork
from controlplane.subscriptions import purchases, repository, telling
from controlplane.subscriptions.lifecycle import Terms, after_failure
from controlplane.subscriptions.model import Billing, PendingWhy, Period, Renewal, Subscription, add_months
from controlplane.subscriptions.ports import SeatBook
from controlplane.subscriptions.purchases import Purchase, PurchaseState
from controlplane.subscriptions.quoting import PurchaseKind

#: The job that wakes a subscription at the next instant of its timeline; its subject is the subscription.
NEXT_STEP: Final = "subscriptions.next_step"
#: The job that drops a purchase nobody paid; its subject is the invoice.
DROP_PURCHASE: Final = "subscriptions.drop_purchase"
#: A payment that is being settled is waited for.
_LOOK_AGAIN: Final = timedelta(hours=1)


class Charging:
    """Writes purchases and hears of their invoices: a `billing.ports.BillingListener`.

    Args:
        database: Where subscriptions are.
        clock: Business time.
        catalog: Knows the plans.
        billing: Writes invoices.
        notices: Tells.
        seats: Told how many seats a subscription has.
        audit: Records every change.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        catalog: CatalogService,
        billing: BillingService,
        notices: NoticeService,
        seats: SeatBook,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._clock = clock
        self._catalog = catalog
        self._billing = billing
        self._notices = notices
        self._seats = seats
        self._audit = audit

    async def lock(self, uow: UnitOfWork, org_id: str, subscription_id: str) -> Subscription | None:
        """One subscription, locked until the transaction ends; the organisation's money first, if there is any."""
        seen = await repository.find(uow.connection, org_id=org_id, subscription_id=subscription_id)
        if seen is not None and seen.currency:
            await self._billing.lock(uow, org_id)
        return await repository.lock(uow, org_id=org_id, subscription_id=subscription_id)

    async def charge(
        self,
        uow: UnitOfWork,
        subscription: Subscription,
        draft: InvoiceDraft,
        *,
        kind: PurchaseKind,
        terms: Terms,
        period: Period,
        lapses_at: datetime | None,
    ) -> Invoice:
        """Write an invoice and what it brings; if nothing is due it brings that at once.

        Args:
            uow: The transaction.
            subscription: Locked.
            draft: The invoice.
            kind: What it is for.
            terms: That hold once it is paid.
            period: That it opens or changes.
            lapses_at: When it is dropped if nobody has paid; None: dunning decides.
        """
        now = self._clock.now()
        drafted = await self._billing.draft(uow, draft)
        purchase = Purchase(
            org_id=subscription.org_id,
            invoice_id=drafted.invoice_id,
            subscription_id=subscription.subscription_id,
            kind=kind,
            terms=terms,
            old=Terms(subscription.plan_id, subscription.catalog_version, subscription.term),
            period=period,
            state=PurchaseState.WAITING,
            settled_at=now,
        )
        await purchases.add(uow, purchase)
        invoice = await self._billing.finalise(uow, subscription.org_id, drafted.invoice_id)
        if lapses_at is not None and invoice.state is not InvoiceState.PAID:
            await schedule(
                uow, kind=DROP_PURCHASE, subject=invoice.invoice_id, org_id=subscription.org_id, due_at=lapses_at
            )
        return invoice

    async def arm(
        self, uow: UnitOfWork, subscription: Subscription, at: datetime | None = None, *, wakes_parked: bool = True
    ) -> None:
        """Have the subscription's job look at it, now unless told otherwise; it finds its next instant itself."""
        await schedule(
            uow,
            kind=NEXT_STEP,
            subject=subscription.subscription_id,
            org_id=subscription.org_id,
            due_at=at or self._clock.now(),
            wakes_parked=wakes_parked,
        )

    async def store(self, uow: UnitOfWork, after: Subscription, action: str) -> None:
        """Write a change of a locked subscription, with its audit, and have its timeline looked at anew."""
        await repository.store(uow, after)
        await self._audit.record(
            uow,
            org_id=after.org_id,
            action=action,
            subject=after.subscription_id,
            details={"plan_id": after.plan_id, "term": after.term.value, "renewal": after.renewal.value},
        )
        await self.arm(uow, after)

    async def plan_of(self, uow: UnitOfWork, terms: Terms | Subscription) -> Plan:
        """The plan of some terms."""
        return await self._catalog.plan(uow.connection, plan_id=terms.plan_id, catalog_version=terms.catalog_version)

    async def drop(self, uow: UnitOfWork, purchase: Purchase) -> bool:
        """Void the invoice of a purchase nobody paid; what was used of the balance is back.

        Returns:
            False: a payment is on its way, or a part was paid; nothing was changed.
        """
        try:
            await self._billing.void(uow, purchase.org_id, purchase.invoice_id, "the purchase was not paid")
        except Refusal as refused:
            if refused.reason in {"PAYMENT_IN_FLIGHT", "INVOICE_HAS_PAYMENT"}:
                return False
            raise
        await purchases.settle(uow, purchase, PurchaseState.DROPPED, self._clock.now())
        await self._audit.record(
            uow,
            org_id=purchase.org_id,
            action="subscription.purchase_dropped",
            subject=purchase.subscription_id,
            details={"invoice_id": purchase.invoice_id, "kind": purchase.kind.value},
        )
        return True

    async def drop_late(self, org_id: str, invoice_id: str) -> None:
        """Drop a purchase that nobody paid in time; the handler of `DROP_PURCHASE`, repeatable."""
        async with self._database.transaction() as uow:
            await self._billing.lock(uow, org_id)
            purchase = await purchases.find(uow.connection, org_id, invoice_id)
            if purchase is None or purchase.state is not PurchaseState.WAITING:
                return
            subscription = await self._locked(uow, purchase)
            if not await self.drop(uow, purchase):
                again = self._clock.now() + _LOOK_AGAIN
                await schedule(uow, kind=DROP_PURCHASE, subject=invoice_id, org_id=org_id, due_at=again)
                return
            await self.arm(uow, subscription)

    # ------------------------------------------------------------ what billing tells

    async def invoice_paid(self, uow: UnitOfWork, invoice: Invoice) -> None:
        """Bring what was bought."""
        purchase = await purchases.find(uow.connection, invoice.content.org_id, invoice.invoice_id)
        if purchase is None or purchase.state is not PurchaseState.WAITING:
            return
        now = self._clock.now()
        before = await self._locked(uow, purchase)
        done = await purchases.settle(uow, purchase, PurchaseState.DONE, now)
        if done is None:
            return
        after = _with(before, done, now)
        opens = done.kind not in {PurchaseKind.INITIAL, PurchaseKind.UPGRADE} or done.terms.term is not before.term
        await repository.store(uow, after)
        if opens:
            await repository.add_period(uow, after, done.period, now)
        await self._put_in_force(uow, before, after, now)
        await self._audit.record(
            uow,
            org_id=after.org_id,
            action=f"subscription.{done.kind.value}",
            subject=after.subscription_id,
            details={
                "invoice_id": invoice.invoice_id,
                "plan_id": after.plan_id,
                "period_start": done.period.start.isoformat(),
                "period_end": done.period.end.isoformat(),
            },
        )
        await self.arm(uow, after)

    async def payment_failed(self, uow: UnitOfWork, invoice: Invoice, payment: Payment) -> None:
        """Decide about the next attempt; every date is told."""
        purchase = await purchases.find(uow.connection, invoice.content.org_id, invoice.invoice_id)
        if purchase is None or purchase.state is not PurchaseState.WAITING:
            return
        if purchase.kind is PurchaseKind.RENEWAL:
            if payment.automatic:
                await self._dun(uow, purchase, invoice, payment.failure_kind)
            return
        if purchase.kind is not PurchaseKind.INITIAL:
            # The customer is there and was told; they may try again with a new quote.
            await self._locked(uow, purchase)
            await self.drop(uow, purchase)

    async def invoice_refunded(self, uow: UnitOfWork, invoice: Invoice, amount: Money) -> None:  # noqa: ARG002
        """A period that was given back in full is over now."""
        purchase = await purchases.find(uow.connection, invoice.content.org_id, invoice.invoice_id)
        if purchase is None or purchase.state is not PurchaseState.DONE or invoice.settlement.returnable:
            return
        before, now = await self._locked(uow, purchase), self._clock.now()
        await purchases.settle(uow, purchase, PurchaseState.UNDONE, now)
        if purchase.kind is PurchaseKind.UPGRADE or before.period_end != purchase.period.end:
            return
        end = max(purchase.period.start, min(before.period_end, now))
        after = replace(before, renewal=Renewal.OFF, pending=None)
        if end > before.period_start:
            after = replace(after, period_end=end)
        await repository.store(uow, after)
        await self.arm(uow, after)

    async def _dun(self, uow: UnitOfWork, purchase: Purchase, invoice: Invoice, kind: FailureKind) -> None:
        before, now = await self._locked(uow, purchase), self._clock.now()
        after = replace(before, billing=Billing.PAST_DUE)
        await repository.store(uow, after)
        plan = await self.plan_of(uow, before)
        dunning = after_failure(after, plan, kind, now)
        if dunning.retry_at is not None:
            await self._billing.collect(uow, org_id=after.org_id, invoice_id=invoice.invoice_id, at=dunning.retry_at)
        await self._notices.tell(uow, telling.payment_failed(after, plan, invoice, dunning, now))

    async def _put_in_force(self, uow: UnitOfWork, before: Subscription, after: Subscription, now: datetime) -> None:
        """Seats follow the plan; a smaller one leaves the owner time to choose (`licensing.allotments`)."""
        old, plan = await self.plan_of(uow, before), await self.plan_of(uow, after)
        if old != plan:
            await self._seats.provide(
                uow, org_id=after.org_id, subscription_id=after.subscription_id, seats=plan.devices, now=now
            )
        names = telling.plan_and_term(old, before.term), telling.plan_and_term(plan, after.term)
        if before.pending is None and names[0] != names[1]:
            # What waited for the end of the term was told when it was chosen.
            await self._notices.tell(uow, telling.plan_changed(after, *names, now))

    async def _locked(self, uow: UnitOfWork, purchase: Purchase) -> Subscription:
        found = await self.lock(uow, purchase.org_id, purchase.subscription_id)
        assert found is not None, "the foreign key promises it"
        return found


def _with(before: Subscription, purchase: Purchase, now: datetime) -> Subscription:
    """A subscription once a purchase is paid."""
    terms, period = purchase.terms, purchase.period
    after = replace(
        before,
        plan_id=terms.plan_id,
        catalog_version=terms.catalog_version,
        term=terms.term,
        billing=Billing.ACTIVE,
        incomplete_until=None,
    )
    if purchase.kind is PurchaseKind.INITIAL:
        return after
    if purchase.kind is PurchaseKind.UPGRADE and terms.term is before.term:
        # A trial stays one, and what was to change at term end was chosen for the plan before.
        return replace(_without_pending(after, terms), billing=before.billing)
    runs_on = purchase.kind in {PurchaseKind.RENEWAL, PurchaseKind.EARLY_RENEWAL}
    if purchase.kind is not PurchaseKind.EARLY_RENEWAL:
        after = replace(_without_pending(after, terms), open_invoice_id="", overdue_from=None)
    if purchase.kind is PurchaseKind.RETURN and before.renewal is Renewal.OFF and before.cancelled_at is not None:
        # Off stays off, also for those who come back; cancelling is taken back by coming back.
        after = replace(after, cancelled_at=None)
    starts = period.start if not runs_on or now >= period.start else before.period_start
    anchor_day = before.anchor_day if runs_on else period.start.day
    if add_months(period.end, 0, anchor_day) != period.end:
        # Converted time ends on any day: from there the rhythm goes on, else the next period would be cut short.
        anchor_day = period.end.day
    return replace(after, period_start=starts, period_end=period.end, anchor_day=anchor_day)


def _without_pending(subscription: Subscription, terms: Terms) -> Subscription:
    """Nothing waits any more; but a new price that could not be announced in time waits on."""
    pending = subscription.pending
    if pending is None:
        return subscription
    if pending.why is PendingWhy.CHOSEN:
        return replace(subscription, pending=None, renewal=Renewal.AUTO)
    waits_on = (terms.plan_id, terms.term) == (pending.plan_id, pending.term) and (
        terms.catalog_version != pending.catalog_version
    )
    return subscription if waits_on else replace(subscription, pending=None)
