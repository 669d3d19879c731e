"""Does what is due on a subscription's timeline, one step per transaction, each once."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from controlplane.billing.model import Invoice, InvoiceState, Occasion
from controlplane.billing.money import Money
from controlplane.billing.service import BillingService
from controlplane.billing.wallet import Wallet
from controlplane.catalog.difference import content_changes
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.notices.model import Notice, NoticeKind, NoticeState
from controlplane.notices.service import MONTHLY_LEAD, YEARLY_LEAD, NoticeService
from controlplane.runtime.clock import Clock
from controlplane.storage.database import Database, UnitOfWork
from controlplane.subscriptions import purchases, repository, telling
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.lifecycle import (
    INACTIVE_AFTER,
    Planned,
    Step,
    Terms,
    comes_along,
    next_due,
    next_terms,
    pending_of,
    price_announced_in_time,
    timeline,
)
from controlplane.subscriptions.model import (
    Billing,
    PendingWhy,
    Period,
    Renewal,
    Subscription,
    access_at,
    add_months,
)
from controlplane.subscriptions.ports import Activity
from controlplane.subscriptions.quoting import PurchaseKind, period_draft, terms_of

#: A payment that is being settled is waited for.
_LOOK_AGAIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Scene:
    """A locked subscription at an instant.

    Attributes:
        plan: That it has.
        ahead: Of the next period.
        terms: Of the next period.
    """

    subscription: Subscription
    plan: Plan
    ahead: Plan
    terms: Terms
    now: datetime


_Does = Callable[[UnitOfWork, _Scene], Awaitable[bool]]


class Lifecycle:
    """Walks timelines.

    Args:
        database: Where subscriptions are.
        clock: Business time.
        catalog: Knows what is sold now.
        charging: Writes purchases.
        billing: Collects and knows balances.
        wallet: Knows cards.
        notices: Tells.
        activity: Knows when anybody was there last.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        catalog: CatalogService,
        charging: Charging,
        billing: BillingService,
        wallet: Wallet,
        notices: NoticeService,
        activity: Activity,
    ) -> None:
        self._database = database
        self._clock = clock
        self._catalog = catalog
        self._charging = charging
        self._billing = billing
        self._wallet = wallet
        self._notices = notices
        self._activity = activity
        # Each does its step; False: not yet, look again.
        self._does: Mapping[Step, _Does] = {
            Step.PRICE_NOTICE: self._tell_price,
            Step.TRIAL_FIRST_NOTICE: self._tell_trial_first,
            Step.TRIAL_LAST_NOTICE: self._tell_trial_last,
            Step.RENEWAL_NOTICE: self._tell_renewal,
            Step.CARD_CHECK: self._check_card,
            Step.ENDING_NOTICE: self._tell_ending,
            Step.PURCHASE_LAPSED: self._drop_purchase,
            Step.PERIOD_OVER: self._end_period,
            Step.GRACE_OVER: self._end_grace,
            Step.ENDED: self._tell_access,
        }

    async def advance(self, org_id: str, subscription_id: str) -> None:
        """Do everything that is due, then set the alarm for the next; the handler of `NEXT_STEP`, repeatable."""
        while await self._one(org_id, subscription_id):
            pass

    async def arm_everything(self) -> None:
        """Have every subscription looked at: those from before there were timelines set their first alarm so."""
        async with self._database.transaction() as uow:
            for org_id, subscription_id in await repository.every_id(uow.connection):
                found = await repository.find(uow.connection, org_id=org_id, subscription_id=subscription_id)
                if found is not None:
                    # At every start: what waits for a person goes on waiting.
                    await self._charging.arm(uow, found, wakes_parked=False)

    async def _one(self, org_id: str, subscription_id: str) -> bool:
        """Do the next step if it is due; False: it is not, and the alarm is set."""
        async with self._database.transaction() as uow:
            subscription = await self._charging.lock(uow, org_id, subscription_id)
            if subscription is None:
                return False
            subscription = await self._along(uow, subscription)
            now = self._clock.now()
            scene = await self._scene(uow, subscription, now)
            done = await repository.steps_done(uow.connection, org_id=org_id, subscription_id=subscription_id)
            due = next_due(timeline(subscription, scene.plan), done)
            if due is None:
                return False
            if due.at > now:
                await self._charging.arm(uow, subscription, await self._wake_at(uow, due.at))
                return False
            return await self._do(uow, scene, due)

    async def _wake_at(self, uow: UnitOfWork, due_at: datetime) -> datetime:
        """When the next step is due, but not after the next version of the catalog, which may move the customer."""
        on_sale_at = await self._catalog.next_on_sale(uow.connection)
        return due_at if on_sale_at is None else min(due_at, on_sale_at)

    async def _along(self, uow: UnitOfWork, subscription: Subscription) -> Subscription:
        """A subscription, with its plan as it is sold now waiting for the next period if the catalog moves it."""
        sold_now = await self._catalog.newest(uow.connection, subscription.plan_id)
        if sold_now is None or not comes_along(subscription, sold_now):
            return subscription
        after = replace(subscription, pending=pending_of(terms_of(sold_now, subscription.term), PendingWhy.PRICE))
        await self._charging.store(uow, after, "subscription.moved")
        return after

    async def _do(self, uow: UnitOfWork, scene: _Scene, due: Planned) -> bool:
        subscription = scene.subscription
        if not await self._does[due.step](uow, scene):
            await self._charging.arm(uow, subscription, scene.now + _LOOK_AGAIN)
            return False
        await repository.add_step(
            uow,
            org_id=subscription.org_id,
            subscription_id=subscription.subscription_id,
            key=due.key,
            now=scene.now,
        )
        return True

    async def _scene(self, uow: UnitOfWork, subscription: Subscription, now: datetime) -> _Scene:
        told = await self._notices.told(
            uow.connection,
            subscription.org_id,
            f"{subscription.subscription_id}/{telling.price_key(subscription)}",
        )
        in_time = price_announced_in_time(subscription, told.delivered_at if told else None)
        terms = next_terms(subscription, price_announced=in_time)
        plan = await self._charging.plan_of(uow, subscription)
        return _Scene(subscription, plan, await self._charging.plan_of(uow, terms), terms, now)

    # ------------------------------------------------------------ telling

    async def _tell_price(self, uow: UnitOfWork, scene: _Scene) -> bool:
        subscription = scene.subscription
        assert subscription.pending is not None, "the timeline has this step only then"
        terms = next_terms(subscription, price_announced=True)
        announced = await self._charging.plan_of(uow, terms)
        new = _price(announced, terms.term, subscription.currency)
        old = _price(scene.plan, subscription.term, subscription.currency)
        changes = content_changes(scene.plan, announced)
        await self._notices.tell(uow, telling.new_version(subscription, scene.plan, old, new, changes))
        return True

    async def _tell_trial_first(self, uow: UnitOfWork, scene: _Scene) -> bool:
        await self._announce(uow, scene, NoticeKind.TRIAL_END, "trial_first")
        return True

    async def _tell_trial_last(self, uow: UnitOfWork, scene: _Scene) -> bool:
        await self._announce(uow, scene, NoticeKind.TRIAL_END, "trial_last")
        return True

    async def _tell_renewal(self, uow: UnitOfWork, scene: _Scene) -> bool:
        due = await self._announce(uow, scene, NoticeKind.RENEWAL, "renewal")
        subscription = scene.subscription
        last_seen = await self._activity.last_contact(uow.connection, subscription.org_id)
        if last_seen is not None and scene.now - last_seen >= INACTIVE_AFTER:
            await self._notices.tell(uow, telling.inactive(subscription, scene.plan, last_seen, due))
        return True

    async def _check_card(self, uow: UnitOfWork, scene: _Scene) -> bool:
        methods = await self._wallet.methods(uow.connection, scene.subscription.org_id)
        if methods and methods[0].expires is not None:
            end = scene.subscription.period_end
            if methods[0].expires < (end.year, end.month):
                order = telling.card_expiring(scene.subscription, scene.plan, methods[0].last4, methods[0].expires)
                await self._notices.tell(uow, order)
        return True

    async def _tell_ending(self, uow: UnitOfWork, scene: _Scene) -> bool:
        await self._notices.tell(uow, telling.ending(scene.subscription, scene.plan))
        return True

    async def _tell_access(self, uow: UnitOfWork, scene: _Scene) -> bool:
        access = access_at(scene.subscription, scene.plan, scene.now)
        await self._notices.tell(uow, telling.access_changed(scene.subscription, scene.plan, access, scene.now))
        return True

    async def _announce(self, uow: UnitOfWork, scene: _Scene, kind: NoticeKind, occasion: str) -> Money:
        """Announce the charge at the end of the period: the price, less what the customer has with us."""
        subscription = scene.subscription
        price = _price(scene.ahead, scene.terms.term, subscription.currency)
        balance = await self._billing.balance(uow.connection, subscription.org_id, subscription.currency)
        due = Money(max(0, price.minor - balance.minor), price.currency)
        old = _price(scene.plan, subscription.term, subscription.currency)
        key = f"{occasion}/{subscription.period_end.isoformat()}"
        await self._notices.tell(uow, telling.charge_ahead(kind, subscription, scene.ahead, due, old=old, occasion=key))
        return due

    # ------------------------------------------------------------ ends

    async def _drop_purchase(self, uow: UnitOfWork, scene: _Scene) -> bool:
        subscription = scene.subscription
        waiting = await purchases.waiting(uow.connection, subscription.org_id, subscription.subscription_id)
        return waiting is None or await self._charging.drop(uow, waiting)

    async def _end_period(self, uow: UnitOfWork, scene: _Scene) -> bool:
        subscription = scene.subscription
        if subscription.renewal is Renewal.OFF:
            if subscription.currency and subscription.billing is not Billing.TRIALING:
                await repository.store(uow, replace(subscription, billing=Billing.NONE))
            return await self._tell_access(uow, scene)
        if not subscription.currency:
            await self._renew_unbilled(uow, scene)
            return True
        if subscription.billing is Billing.TRIALING and not await self._wallet.methods(
            uow.connection, subscription.org_id
        ):
            # A trial that nobody gave a card for just ends.
            ended = replace(subscription, renewal=Renewal.OFF)
            await repository.store(uow, ended)
            return await self._tell_access(uow, replace(scene, subscription=ended))
        await self._charge_next(uow, scene)
        return True

    async def _renew_unbilled(self, uow: UnitOfWork, scene: _Scene) -> None:
        subscription = scene.subscription
        opened = _next_period(subscription, subscription.term)
        await repository.store(uow, replace(subscription, period_start=opened.start, period_end=opened.end))
        await repository.add_period(uow, subscription, opened, scene.now)

    async def _charge_next(self, uow: UnitOfWork, scene: _Scene) -> None:
        """Write the invoice of the next period and have it collected, now or as soon as its notice permits."""
        subscription, now = scene.subscription, scene.now
        period = _next_period(subscription, scene.terms.term)
        after_trial = subscription.billing is Billing.TRIALING
        occasion = Occasion.AFTER_TRIAL if after_trial else Occasion.RENEWAL
        draft = period_draft(subscription, scene.ahead, scene.terms.term, period, occasion)
        invoice = await self._charging.charge(
            uow,
            subscription,
            draft,
            kind=PurchaseKind.RENEWAL,
            terms=scene.terms,
            period=period,
            lapses_at=None,
        )
        if invoice.state is InvoiceState.PAID:
            return
        kind = NoticeKind.TRIAL_END if after_trial else NoticeKind.RENEWAL
        permitted = await self._permitted_from(uow, scene, invoice, kind)
        overdue_from = permitted if permitted > subscription.period_end else None
        # Not paid yet: a trial that is over is no trial any more.
        billing = Billing.ACTIVE if after_trial else subscription.billing
        open_now = replace(subscription, open_invoice_id=invoice.invoice_id, overdue_from=overdue_from, billing=billing)
        await repository.store(uow, open_now)
        await self._billing.collect(
            uow, org_id=subscription.org_id, invoice_id=invoice.invoice_id, at=max(permitted, now)
        )

    async def _permitted_from(self, uow: UnitOfWork, scene: _Scene, invoice: Invoice, kind: NoticeKind) -> datetime:
        """When the charge may be made: long enough after a notice of its amount; told anew if there is none."""
        subscription = scene.subscription
        lead = MONTHLY_LEAD
        if kind is NoticeKind.RENEWAL and scene.terms.term is Term.YEARLY:
            lead = YEARLY_LEAD
        told = await self._notices.announcing(
            uow.connection, subscription.org_id, subscription.subscription_id, subscription.period_end
        )
        fitting = [notice for notice in told if _announces(notice, invoice.due)]
        if not fitting:
            await self._announce(uow, scene, kind, f"late/{invoice.invoice_id}/{scene.now.isoformat()}")
            return scene.now + lead
        return min((notice.delivered_at or scene.now) + lead for notice in fitting)

    async def _wait_for_notice(self, uow: UnitOfWork, scene: _Scene) -> bool:
        """A charge that was never tried because its notice never arrived is announced anew; the grace begins then."""
        subscription = scene.subscription
        standing = await self._billing.get(uow.connection, subscription.org_id, subscription.open_invoice_id)
        if standing.payments or not self._wallet.keeps_methods:
            return False
        permitted = await self._permitted_from(uow, scene, standing.invoice, NoticeKind.RENEWAL)
        if permitted <= scene.now:
            return False
        await repository.store(uow, replace(subscription, overdue_from=permitted))
        await self._billing.collect(
            uow, org_id=subscription.org_id, invoice_id=subscription.open_invoice_id, at=permitted
        )
        return True

    async def _end_grace(self, uow: UnitOfWork, scene: _Scene) -> bool:
        """Nobody paid: the invoice is taken back, access becomes limited, everything is kept."""
        subscription = scene.subscription
        if subscription.open_invoice_id:
            if await self._wait_for_notice(uow, scene):
                return True
            waiting = await purchases.find(uow.connection, subscription.org_id, subscription.open_invoice_id)
            if waiting is not None and not await self._charging.drop(uow, waiting):
                return False
        unpaid = replace(subscription, billing=Billing.UNPAID, open_invoice_id="", overdue_from=None)
        await repository.store(uow, unpaid)
        return await self._tell_access(uow, replace(scene, subscription=unpaid))


def _next_period(subscription: Subscription, term: Term) -> Period:
    start = subscription.period_end
    return Period(start, add_months(start, term.months, subscription.anchor_day))


def _price(plan: Plan, term: Term, currency: str) -> Money:
    price = plan.price(term, currency)
    assert price is not None, "only terms with a price are stored"
    return Money(price, currency)


def _announces(notice: Notice, due: Money) -> bool:
    failed = notice.state is NoticeState.FAILED
    return not failed and notice.announced is not None and notice.announced.amount == due
