"""What people do with the end of a term: undo, cancel, turn renewal on and off, look ahead."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from controlplane.billing.invoices.invoicing import CreditOrder
from controlplane.billing.model import CreditReason, CreditTo, LineKind
from controlplane.billing.service import BillingService
from controlplane.catalog.model import Plan
from controlplane.notices.model import NoticeKind
from controlplane.notices.service import NoticeService
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import current_actor
from controlplane.storage.database import Database, UnitOfWork
from controlplane.subscriptions import consents, purchases, quoting, repository, telling
from controlplane.subscriptions.charging import Charging
from controlplane.subscriptions.errors import (
    invoice_open,
    not_running,
    nothing_to_undo,
    subscription_revoked,
)
from controlplane.subscriptions.lifecycle import (
    UNDO_FOR,
)
from controlplane.subscriptions.model import (
    Billing,
    PendingWhy,
    Renewal,
    Subscription,
    add_months,
    kept_until,
)
from controlplane.subscriptions.ports import SeatBook
from controlplane.subscriptions.purchases import Purchase, PurchaseState
from controlplane.subscriptions.quoting import PurchaseKind
from controlplane.subscriptions.rehearsal import Entry, rehearse
from controlplane.subscriptions.service import SubscriptionService, SubscriptionState


@dataclass(frozen=True, slots=True)
class Ending:
    """What cancelling means, or meant.

    Attributes:
        ends_at: Until when everything works.
        kept_until: Until when devices, settings and quarantine are kept; None: for ever.
        cancelled: Whether it was done; else this is what would happen.
    """

    state: SubscriptionState
    ends_at: datetime
    kept_until: datetime | None
    cancelled: bool


class SubscriptionDesk:
    """The use cases.

    Args:
        database: Where subscriptions are.
        clock: Business time.
        subscriptions: Reads.
        charging: Writes purchases.
        billing: Pays and credits.
        notices: Tells.
        seats: Told how many seats a subscription has.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        subscriptions: SubscriptionService,
        charging: Charging,
        billing: BillingService,
        notices: NoticeService,
        seats: SeatBook,
    ) -> None:
        self._database = database
        self._clock = clock
        self._subscriptions = subscriptions
        self._charging = charging
        self._billing = billing
        self._notices = notices
        self._seats = seats

    # ------------------------------------------------------------ the end of the term

    async def undo(self, org_id: str, subscription_id: str, idempotency_key: str) -> SubscriptionState:
        """Take back what waits for the end of the term, else a cancellation, else an upgrade of the last 14 days.

        Raises:
            Refusal: NOTHING_TO_UNDO, SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, or about the idempotency key.
        """

        async def take_back(uow: UnitOfWork, before: Subscription, plan: Plan, now: datetime) -> None:
            running = now < before.period_end
            if before.pending is not None and before.pending.why is PendingWhy.CHOSEN:
                await self._charging.store(
                    uow, replace(before, pending=None, renewal=Renewal.AUTO), "subscription.undone"
                )
            elif before.cancelled_at is not None and running:
                await self._turn_on(uow, before, plan, now)
            else:
                await self._undo_upgrade(uow, before, now)

        return await self._once(org_id, subscription_id, "subscriptions.undo", idempotency_key, (), take_back)

    async def set_auto_renew(
        self, org_id: str, subscription_id: str, idempotency_key: str, *, on: bool
    ) -> SubscriptionState:
        """Turn renewal on or off, at once, with a receipt. Off stays off until somebody turns it on.

        Raises:
            Refusal: SUBSCRIPTION_NOT_RUNNING, INVOICE_OPEN, SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, or about the
                idempotency key.
        """

        async def turn(uow: UnitOfWork, before: Subscription, plan: Plan, now: datetime) -> None:
            if on is (before.renewal is not Renewal.OFF):
                return
            if on:
                if now >= before.period_end:
                    raise not_running(before.subscription_id)
                await self._turn_on(uow, before, plan, now)
            else:
                await self._turn_off(uow, before, plan, now, NoticeKind.AUTO_RENEW_OFF)

        wish = ("on" if on else "off",)
        return await self._once(org_id, subscription_id, "subscriptions.auto_renew", idempotency_key, wish, turn)

    async def cancel(self, org_id: str, subscription_id: str, idempotency_key: str = "", *, confirmed: bool) -> Ending:
        """Cancel, in two steps: first what will happen, then that it happens.

        Everything works to the end of the term; devices, settings and quarantine are kept after it.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_AMBIGUOUS, or about the idempotency key.
        """

        async def end(uow: UnitOfWork, before: Subscription, plan: Plan, now: datetime) -> None:
            if before.cancelled_at is None:
                cancelled = replace(before, cancelled_at=now)
                await self._turn_off(uow, cancelled, plan, now, NoticeKind.CANCELLED)

        if confirmed:
            state = await self._once(org_id, subscription_id, "subscriptions.cancel", idempotency_key, (), end)
        else:
            async with self._database.reading() as connection:
                state = await self._subscriptions.get(connection, org_id=org_id, subscription_id=subscription_id)
        off = replace(state.subscription, renewal=Renewal.OFF)
        return Ending(state, off.period_end, kept_until(off, state.plan), confirmed)

    async def simulate(self, org_id: str, subscription_id: str, months: int) -> Sequence[Entry]:
        """What will happen in the next months if nobody does anything and every charge succeeds.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN or SUBSCRIPTION_AMBIGUOUS.
        """
        async with self._database.reading() as connection:
            state = await self._subscriptions.get(connection, org_id=org_id, subscription_id=subscription_id)
            subscription = state.subscription
            done = await repository.steps_done(connection, org_id=org_id, subscription_id=subscription.subscription_id)
        now = self._clock.now()
        return rehearse(
            subscription, state.plan, state.ahead or state.plan, done, now, until=add_months(now, months, now.day)
        )

    async def consents(self, org_id: str, subscription_id: str) -> Sequence[consents.Consent]:
        """What was agreed to whenever it began to renew by itself, the oldest first.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN or SUBSCRIPTION_AMBIGUOUS.
        """
        async with self._database.reading() as connection:
            state = await self._subscriptions.get(connection, org_id=org_id, subscription_id=subscription_id)
            named = state.subscription.subscription_id
            return await consents.given(connection, org_id=org_id, subscription_id=named)

    # ------------------------------------------------------------ undoing and turning

    async def _undo_upgrade(self, uow: UnitOfWork, before: Subscription, now: datetime) -> None:
        last = await purchases.newest_done(uow.connection, before.org_id, before.subscription_id)
        if (
            last is None
            or last.kind is not PurchaseKind.UPGRADE
            or now - last.settled_at > UNDO_FOR
            or last.terms.plan_id != before.plan_id
            or last.period.end != before.period_end
        ):
            raise nothing_to_undo(before.subscription_id)
        old = await self._charging.plan_of(uow, last.old)
        await self._give_back(uow, before, last, old, now)
        await purchases.settle(uow, last, PurchaseState.UNDONE, now)
        after = replace(before, plan_id=last.old.plan_id, catalog_version=last.old.catalog_version)
        await self._charging.store(uow, after, "subscription.undone")
        await self._seats.provide(
            uow, org_id=after.org_id, subscription_id=after.subscription_id, seats=old.devices, now=now
        )

    async def _give_back(self, uow: UnitOfWork, before: Subscription, last: Purchase, old: Plan, now: datetime) -> None:
        """What was paid for the change becomes balance; what it took from the line before goes back to that plan."""
        standing = await self._billing.get(uow.connection, before.org_id, last.invoice_id)
        left = standing.invoice.settlement.returnable
        if left:
            order = CreditOrder(
                last.invoice_id,
                left,
                CreditTo.BALANCE,
                CreditReason.ORDER_CANCELLATION,
                "The change of plan was undone",
            )
            await self._billing.credit(uow, before.org_id, order)
        lines = await self._billing.live_lines(
            uow.connection, org_id=before.org_id, subscription_id=before.subscription_id, at=now
        )
        changed = lines[-1] if lines else None
        if changed is not None and changed.line.kind is LineKind.PRORATION_CHARGE and changed.creditable:
            await self._billing.issue(uow, quoting.undo_draft(before, old, changed, now))

    async def _turn_on(self, uow: UnitOfWork, before: Subscription, plan: Plan, now: datetime) -> None:
        after = replace(before, renewal=Renewal.AUTO, cancelled_at=None)
        await self._charging.store(uow, after, "subscription.auto_renew_on")
        await consents.record(uow, after, plan, consents.Occasion.TURNED_ON, now)
        await self._notices.tell(uow, telling.receipt(NoticeKind.AUTO_RENEW_ON, after, plan, now))

    async def _turn_off(
        self, uow: UnitOfWork, before: Subscription, plan: Plan, now: datetime, kind: NoticeKind
    ) -> None:
        """At once: what was to be charged is taken back, and what was to change does not happen."""
        if before.open_invoice_id:
            waiting = await purchases.find(uow.connection, before.org_id, before.open_invoice_id)
            if waiting is not None and not await self._charging.drop(uow, waiting):
                raise invoice_open(before.subscription_id, before.open_invoice_id)
        chosen = before.pending is not None and before.pending.why is PendingWhy.CHOSEN
        after = replace(
            before,
            renewal=Renewal.OFF,
            pending=None if chosen else before.pending,
            open_invoice_id="",
            overdue_from=None,
        )
        if before.open_invoice_id:
            after = replace(after, billing=Billing.NONE)
        await self._charging.store(uow, after, f"subscription.{kind.value}")
        await self._notices.tell(uow, telling.receipt(kind, after, plan, now))

    async def _once(
        self,
        org_id: str,
        subscription_id: str,
        method: str,
        idempotency_key: str,
        wish: Sequence[str],
        change: Callable[[UnitOfWork, Subscription, Plan, datetime], Awaitable[None]],
    ) -> SubscriptionState:
        """Make a change of one subscription, once however often it is asked for."""
        async with self._database.transaction() as uow:
            state = await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=subscription_id)
            named = state.subscription.subscription_id
            request = RequestKey(org_id=org_id, caller=current_actor(), method=method, key=idempotency_key)
            now = self._clock.now()
            if await claim(uow, request, request_hash([named, *wish]), now) is None:
                before = await self._charging.lock(uow, org_id, named)
                assert before is not None, "it was found in this transaction"
                if before.revoked_at is not None:
                    raise subscription_revoked(named)
                await change(uow, before, await self._charging.plan_of(uow, before), now)
                await remember(uow, request, b"done")
            return await self._subscriptions.get(uow.connection, org_id=org_id, subscription_id=named)
