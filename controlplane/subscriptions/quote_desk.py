"""What a change, another term or coming back costs: quotes that are charged exactly or not at all."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.billing.attempts import Payment
from controlplane.billing.model import InvoiceDraft, InvoiceState, LineKind, Occasion
from controlplane.billing.service import BillingService, InvoiceStanding
from controlplane.billing.wallet import Wallet
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.notices.service import NoticeService
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import current_actor
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork
from controlplane.subscriptions import purchases, quoting, repository, telling
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.errors import (
    billed_elsewhere,
    change_is_none,
    invoice_open,
    payment_disputed,
    quote_expired,
    quote_outdated,
    quote_used,
    renewal_is_off,
    subscription_revoked,
    subscription_suspended,
    term_not_sold,
)
from controlplane.subscriptions.lifecycle import (
    INCOMPLETE_FOR,
    pending_of,
    takes_effect_at_once,
)
from controlplane.subscriptions.model import (
    Billing,
    PendingWhy,
    Period,
    Renewal,
    Subscription,
    add_months,
    limited_from,
)
from controlplane.subscriptions.ports import SeatBook
from controlplane.subscriptions.purchases import Quote
from controlplane.subscriptions.quoting import PurchaseKind
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState

#: What a quote says holds for so long.
QUOTE_HOLDS: Final = timedelta(minutes=30)
#: A bank transfer takes its time.
TRANSFER_MAY_TAKE: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to have.

    Attributes:
        subscription_id: Empty: the only one there is.
        plan_id: Empty: the same.
        term: None: the same.
    """

    subscription_id: str = ""
    plan_id: str = ""
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """What taking a quote did.

    Attributes:
        standing: The invoice, with its payment; None: it cost nothing now.
    """

    state: SubscriptionState
    standing: InvoiceStanding | None


class QuoteDesk:
    """The use cases.

    Args:
        database: Where subscriptions are.
        clock: Business time.
        randomness: For ids.
        catalog: Knows the plans.
        subscriptions: Reads.
        charging: Writes purchases.
        billing: Pays and credits.
        wallet: Knows whether there is something to charge.
        notices: Tells.
        seats: Told how many seats a subscription has.
    """

    def __init__(  # noqa: PLR0913 -- a desk where everything meets
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        catalog: CatalogService,
        subscriptions: SubscriptionService,
        charging: Charging,
        billing: BillingService,
        wallet: Wallet,
        notices: NoticeService,
        seats: SeatBook,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._catalog = catalog
        self._subscriptions = subscriptions
        self._charging = charging
        self._billing = billing
        self._wallet = wallet
        self._notices = notices
        self._seats = seats

    # ------------------------------------------------------------ quotes

    async def preview(self, org_id: str, wish: Wish) -> Quote:
        """Say what a change costs and when it takes effect; that holds for half an hour and is charged exactly.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, BILLED_ELSEWHERE, PLAN_UNKNOWN, TERM_NOT_SOLD,
                PRICE_MISSING, NO_CHANGE, INVOICE_OPEN, RENEWAL_OFF, SUBSCRIPTION_REVOKED, SUBSCRIPTION_SUSPENDED or
                PAYMENT_DISPUTED.
        """
        async with self._database.transaction() as uow:
            state = await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=wish.subscription_id)
            subscription = state.subscription
            _check_chargeable(subscription)
            now = self._clock.now()
            kind, new, term = await self._wished(uow, state, wish, now)
            draft, effective_at = await self._drafted(uow, state, kind, new, term, now)
            quote = Quote(
                org_id=org_id,
                quote_id=new_id(self._randomness, "quo"),
                subscription_id=subscription.subscription_id,
                kind=kind,
                terms=quoting.terms_of(new, term),
                draft=draft,
                seen_sha256=quoting.seen_sha256(subscription),
                effective_at=effective_at,
                expires_at=now + QUOTE_HOLDS,
            )
            await purchases.add_quote(uow, quote)
            return quote

    async def apply(self, org_id: str, quote_id: str, idempotency_key: str) -> Applied:
        """Do what a quote says for exactly what it says, or nothing.

        Killed between the invoice and its payment, a repeat with the same key goes on; without one the purchase is
        dropped after 23 hours.

        Raises:
            Refusal: QUOTE_UNKNOWN, QUOTE_EXPIRED, QUOTE_USED, QUOTE_OUTDATED, PAYMENT_METHOD_UNKNOWN, what billing
                refuses, IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        request = RequestKey(
            org_id=org_id, caller=current_actor(), method="subscriptions.apply_quote", key=idempotency_key
        )
        async with self._database.transaction() as uow:
            answered = await claim(uow, request, request_hash([quote_id]), self._clock.now())
            if answered is None:
                invoice_id = await self._take(uow, org_id, quote_id)
                await remember(uow, request, invoice_id.encode())
            else:
                invoice_id = answered.decode()
            quote = await purchases.find_quote(uow.connection, org_id, quote_id)
        if invoice_id:
            await self._pay(org_id, invoice_id, quote_id)
        async with self._database.reading() as connection:
            state = await self._subscriptions.get(connection, org_id=org_id, subscription_id=quote.subscription_id)
            standing = await self._billing.get(connection, org_id, invoice_id) if invoice_id else None
        return Applied(state, standing)

    # ------------------------------------------------------------ the steps of a quote

    async def _wished(
        self, uow: UnitOfWork, state: SubscriptionState, wish: Wish, now: datetime
    ) -> tuple[PurchaseKind, Plan, Term]:
        subscription = state.subscription
        term = wish.term or subscription.term
        runs = now < limited_from(subscription, state.plan) and subscription.incomplete_until is None
        same = wish.plan_id in {"", subscription.plan_id}
        new = state.plan
        if not (same and runs):
            new = await self._catalog.on_sale(uow.connection, wish.plan_id or subscription.plan_id)
        if term not in new.terms:
            raise term_not_sold(new, term)
        if subscription.open_invoice_id:
            raise invoice_open(subscription.subscription_id, subscription.open_invoice_id)
        if not runs:
            return PurchaseKind.RETURN, new, term
        if same and term is subscription.term:
            if wish.plan_id:
                raise change_is_none()
            return PurchaseKind.EARLY_RENEWAL, new, term
        if subscription.billing is Billing.TRIALING or takes_effect_at_once(
            state.plan, new, subscription.term, term, subscription.currency
        ):
            return PurchaseKind.UPGRADE, new, term
        if subscription.renewal is Renewal.OFF:
            raise renewal_is_off(subscription.subscription_id)
        return PurchaseKind.DOWNGRADE, new, term

    async def _drafted(
        self, uow: UnitOfWork, state: SubscriptionState, kind: PurchaseKind, new: Plan, term: Term, now: datetime
    ) -> tuple[InvoiceDraft | None, datetime]:
        subscription = state.subscription
        if kind is PurchaseKind.DOWNGRADE:
            # Only to know that it has a price.
            quoting.period_draft(subscription, new, term, _after(subscription, term), Occasion.RENEWAL)
            return None, subscription.period_end
        if kind is PurchaseKind.EARLY_RENEWAL:
            period = _after(subscription, term)
            return quoting.period_draft(subscription, new, term, period, Occasion.RENEWAL), period.start
        if kind is PurchaseKind.RETURN:
            period = Period(now, add_months(now, term.months, now.day))
            return quoting.period_draft(subscription, new, term, period, Occasion.INITIAL), now
        if subscription.billing is Billing.TRIALING:
            return None, now
        paid = await self._paid_periods(uow.connection, subscription, now)
        if term is subscription.term:
            return quoting.upgrade_draft(subscription, state.plan, new, paid, now), now
        period = Period(now, add_months(now, term.months, now.day))
        return quoting.longer_term_draft(subscription, state.plan, new, term, paid, period), now

    async def _take(self, uow: UnitOfWork, org_id: str, quote_id: str) -> str:
        """Write what a quote says; the id of its invoice, or nothing if it costs nothing now."""
        now = self._clock.now()
        quote = await purchases.find_quote(uow.connection, org_id, quote_id)
        before = await self._charging.lock(uow, org_id, quote.subscription_id)
        assert before is not None, "the foreign key promises it"
        if quote.used_at is not None or not await purchases.use_quote(uow, quote, now):
            raise quote_used(quote_id)
        if now >= quote.expires_at:
            raise quote_expired(quote_id)
        if quote.seen_sha256 != quoting.seen_sha256(before):
            raise quote_outdated(quote_id)
        if quote.kind is PurchaseKind.DOWNGRADE:
            await self._schedule_change(uow, before, quote)
            return ""
        if quote.draft is None:
            await self._change_trial(uow, before, quote, now)
            return ""
        period = _period_of(quote, before, now)
        lapse = INCOMPLETE_FOR if self._wallet.keeps_methods else TRANSFER_MAY_TAKE
        invoice = await self._charging.charge(
            uow, before, quote.draft, kind=quote.kind, terms=quote.terms, period=period, lapses_at=now + lapse
        )
        return invoice.invoice_id

    async def _pay(self, org_id: str, invoice_id: str, quote_id: str) -> Payment | None:
        """Charge a purchase, with the customer there; by bank transfer it waits for the money."""
        async with self._database.reading() as connection:
            standing = await self._billing.get(connection, org_id, invoice_id)
        if standing.invoice.state is not InvoiceState.FINALISED or not self._wallet.keeps_methods:
            return None
        return await self._billing.pay(org_id, invoice_id, idempotency_key=quote_id)

    async def _schedule_change(self, uow: UnitOfWork, before: Subscription, quote: Quote) -> None:
        after = replace(before, pending=pending_of(quote.terms, PendingWhy.CHOSEN), renewal=Renewal.CHANGE_SCHEDULED)
        await self._charging.store(uow, after, "subscription.change_scheduled")
        old, new = await self._charging.plan_of(uow, before), await self._charging.plan_of(uow, quote.terms)
        names = telling.plan_and_term(old, before.term), telling.plan_and_term(new, quote.terms.term)
        await self._notices.tell(uow, telling.plan_changed(before, *names, quote.effective_at))

    async def _change_trial(self, uow: UnitOfWork, before: Subscription, quote: Quote, now: datetime) -> None:
        terms = quote.terms
        after = replace(before, plan_id=terms.plan_id, catalog_version=terms.catalog_version, term=terms.term)
        await self._charging.store(uow, after, "subscription.trial_changed")
        new = await self._charging.plan_of(uow, terms)
        await self._seats.provide(
            uow, org_id=after.org_id, subscription_id=after.subscription_id, seats=new.devices, now=now
        )

    async def _paid_periods(
        self, connection: AsyncConnection, subscription: Subscription, now: datetime
    ) -> list[quoting.PaidPeriod]:
        found = []
        for period in await repository.periods_after(
            connection, org_id=subscription.org_id, subscription_id=subscription.subscription_id, now=now
        ):
            lines = await self._billing.live_lines(
                connection,
                org_id=subscription.org_id,
                subscription_id=subscription.subscription_id,
                at=max(period.start, now),
            )
            # The newest line that pays for this time holds what those before it gave back.
            found.append(quoting.PaidPeriod(period, lines[-1:]))
        return found


def _check_chargeable(subscription: Subscription) -> None:
    if subscription.revoked_at is not None:
        raise subscription_revoked(subscription.subscription_id)
    if subscription.suspended_at is not None:
        raise subscription_suspended(subscription.subscription_id)
    if subscription.billing is Billing.DISPUTED:
        raise payment_disputed(subscription.subscription_id)
    if not subscription.currency:
        raise billed_elsewhere(subscription.subscription_id)


def _after(subscription: Subscription, term: Term) -> Period:
    start = subscription.period_end
    return Period(start, add_months(start, term.months, subscription.anchor_day))


def _period_of(quote: Quote, before: Subscription, now: datetime) -> Period:
    """The period that a quote opens or changes; from its own lines, so that it is the one that was shown."""
    assert quote.draft is not None
    recurring = [line.period for line in quote.draft.lines if line.kind is LineKind.RECURRING and line.period]
    if recurring:
        return Period(recurring[0].start, recurring[0].end)
    return Period(now, before.period_end)
