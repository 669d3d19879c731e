"""Buying, looking at and renewing a subscription."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.catalog.model import Plan, Term
from controlplane.catalog.service import CatalogService
from controlplane.runtime.clock import Clock
from controlplane.runtime.idempotency import RequestKey, claim, remember, request_hash
from controlplane.runtime.principal import current_actor
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.storage.database import Database, UnitOfWork
from controlplane.subscriptions import repository
from controlplane.subscriptions.answers import RenewalAnswer, answer_from_json, answer_to_json
from controlplane.subscriptions.errors import (
    payment_disputed,
    quote_needed,
    subscription_ambiguous,
    subscription_revoked,
    subscription_suspended,
    subscription_unknown,
    term_not_sold,
)
from controlplane.subscriptions.model import (
    Access,
    Billing,
    Pending,
    Period,
    Renewal,
    Subscription,
    access_at,
    first_period,
    renewed,
)
from controlplane.subscriptions.ports import SeatBook

#: More subscriptions than an answer to "which one?" can usefully name.
_MOST_NAMED = 10


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """A subscription, the plan it bought, and what follows from both now.

    Attributes:
        ahead: The plan from the next period on, if that is another; None: the same.
    """

    subscription: Subscription
    plan: Plan
    access: Access
    ahead: Plan | None = None


@dataclass(frozen=True, slots=True)
class Sale:
    """How a subscription is paid for here.

    Attributes:
        currency: ISO 4217; empty: it is paid for elsewhere.
        trial: Length of a first period that costs nothing; nothing: there is none.
        incomplete_until: Until when the first payment may come; None: it need not.
    """

    currency: str = ""
    trial: timedelta = timedelta(0)
    incomplete_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """The outcome of a renewal.

    Attributes:
        state: The subscription afterwards.
        changed: False: this period had been opened by another request, nothing was changed by this one.
    """

    state: SubscriptionState
    changed: bool


class SubscriptionService:
    """The use cases.

    Args:
        database: Where subscriptions are.
        clock: Business time.
        randomness: For ids.
        catalog: Knows the plans.
        audit: Records every change.
        seats: Told how many seats a subscription has.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        randomness: Randomness,
        catalog: CatalogService,
        audit: AuditLog,
        seats: SeatBook,
    ) -> None:
        self._database = database
        self._clock = clock
        self._randomness = randomness
        self._catalog = catalog
        self._audit = audit
        self._seats = seats

    async def create(
        self,
        uow: UnitOfWork,
        *,
        org_id: str,
        plan_id: str,
        term: Term,
        renewal: Renewal,
        billing: Billing = Billing.ACTIVE,
        sale: Sale = Sale(),
    ) -> SubscriptionState:
        """Buy a plan of the newest catalog: the first period begins now, its seats exist from now on.

        Raises:
            Refusal: PLAN_UNKNOWN or TERM_NOT_SOLD.
        """
        now = self._clock.now()
        plan = await self._catalog.on_sale(uow.connection, plan_id)
        if term not in plan.terms:
            raise term_not_sold(plan, term)
        period = Period(now, now + sale.trial) if sale.trial else first_period(now, term)
        subscription = Subscription(
            org_id=org_id,
            subscription_id=new_id(self._randomness, "sub"),
            plan_id=plan.plan_id,
            catalog_version=plan.catalog_version,
            term=term,
            billing=billing,
            renewal=renewal,
            period_start=period.start,
            period_end=period.end,
            anchor_day=period.end.day if sale.trial else now.day,
            suspended_at=None,
            revoked_at=None,
            revocation_epoch=0,
            created_at=now,
            currency=sale.currency,
            incomplete_until=sale.incomplete_until,
        )
        await repository.add(uow, subscription)
        await self._seats.provide(
            uow, org_id=org_id, subscription_id=subscription.subscription_id, seats=plan.devices, now=now
        )
        await self._audit.record(
            uow,
            org_id=org_id,
            action="subscription.created",
            subject=subscription.subscription_id,
            details={"plan_id": plan.plan_id, "term": term.value, "period_end": period.end.isoformat()},
        )
        return SubscriptionState(subscription, plan, access_at(subscription, plan, now))

    async def get(self, connection: AsyncConnection, *, org_id: str, subscription_id: str = "") -> SubscriptionState:
        """One subscription with its plan and its access now.

        Args:
            connection: A reading one, or that of a unit of work.
            org_id: Whose.
            subscription_id: Empty: the only one there is.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN or SUBSCRIPTION_AMBIGUOUS.
        """
        return await self._state(connection, await self._one(connection, org_id, subscription_id))

    async def seats_taken(self, connection: AsyncConnection, state: SubscriptionState) -> int:
        """How many of its seats are held by a device."""
        return await self._seats.count_taken(
            connection, org_id=state.subscription.org_id, subscription_id=state.subscription.subscription_id
        )

    async def features_on(self, connection: AsyncConnection, org_id: str, platform_os: str) -> frozenset[str]:
        """Everything that any subscription of an organisation allows on a system now.

        Args:
            connection: A reading one, or that of a unit of work.
            org_id: Whose.
            platform_os: As `Platform.os` names it.
        """
        allowed: set[str] = set()
        for subscription in await repository.first_of(connection, org_id=org_id):
            state = await self._state(connection, subscription)
            grants = state.plan.grants(platform_os).items()
            allowed |= {name for name, weakest in grants if state.access.level.rank <= weakest.rank}
        return frozenset(allowed)

    async def count_by_version(self, connection: AsyncConnection) -> dict[int, int]:
        """How many subscriptions, of all organisations, have a plan of which version of the catalog."""
        return await repository.count_by_version(connection)

    async def renew(self, *, org_id: str, subscription_id: str, idempotency_key: str) -> Renewed:
        """Add one term that is paid for elsewhere, once.

        A repeat with the same key gets the first answer. Requests with different keys that saw the same subscription
        open one period between them: the one that loses is told `changed=False`.

        Raises:
            Refusal: SUBSCRIPTION_UNKNOWN, SUBSCRIPTION_REVOKED, SUBSCRIPTION_SUSPENDED, PAYMENT_DISPUTED,
                QUOTE_NEEDED: it is charged here, IDEMPOTENCY_KEY_INVALID or IDEMPOTENCY_MISMATCH.
        """
        # Seen before the transaction: only what the caller could have seen may decide which period they pay for.
        async with self._database.reading() as connection:
            seen = await self._one(connection, org_id, subscription_id)
        request = RequestKey(org_id=org_id, caller=current_actor(), method="subscriptions.renew", key=idempotency_key)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            plan = await self._plan(uow.connection, seen)
            answered = await claim(uow, request, request_hash([seen.subscription_id]), now)
            if answered is not None:
                return _answer(answer_from_json(answered), plan)
            changed = await self._open_next(uow, seen, plan, now)
            after = await self._one(uow.connection, seen.org_id, seen.subscription_id)
            answer = RenewalAnswer(subscription=after, changed=changed, at=now)
            await remember(uow, request, answer_to_json(answer))
            return _answer(answer, plan)

    async def _open_next(self, uow: UnitOfWork, seen: Subscription, plan: Plan, now: datetime) -> bool:
        _check_renewable(seen)
        opened, anchor_day = renewed(seen, plan, now)
        after = replace(
            seen,
            period_start=seen.period_start if now < seen.period_end else opened.start,
            period_end=opened.end,
            anchor_day=anchor_day,
            billing=Billing.NONE if seen.billing is Billing.NONE else Billing.ACTIVE,
        )
        if not await repository.open_period(uow, seen, after, opened, now):
            return False
        await self._audit.record(
            uow,
            org_id=seen.org_id,
            action="subscription.renewed",
            subject=seen.subscription_id,
            details={"period_start": opened.start.isoformat(), "period_end": opened.end.isoformat()},
        )
        return True

    async def _one(self, connection: AsyncConnection, org_id: str, subscription_id: str) -> Subscription:
        if subscription_id:
            found = await repository.find(connection, org_id=org_id, subscription_id=subscription_id)
            if found is None:
                raise subscription_unknown(subscription_id)
            return found
        several = await repository.first_of(connection, org_id=org_id, limit=_MOST_NAMED)
        if not several:
            raise subscription_unknown("")
        if len(several) > 1:
            raise subscription_ambiguous(each.subscription_id for each in several)
        return several[0]

    async def _state(self, connection: AsyncConnection, subscription: Subscription) -> SubscriptionState:
        plan, pending = await self._plan(connection, subscription), subscription.pending
        ahead = None if pending is None else await self._plan(connection, pending)
        return SubscriptionState(subscription, plan, access_at(subscription, plan, self._clock.now()), ahead)

    async def _plan(self, connection: AsyncConnection, subscription: Subscription | Pending) -> Plan:
        return await self._catalog.plan(
            connection, plan_id=subscription.plan_id, catalog_version=subscription.catalog_version
        )


def _answer(answer: RenewalAnswer, plan: Plan) -> Renewed:
    access = access_at(answer.subscription, plan, answer.at)
    return Renewed(SubscriptionState(answer.subscription, plan, access), answer.changed)


def _check_renewable(subscription: Subscription) -> None:
    if subscription.revoked_at is not None:
        raise subscription_revoked(subscription.subscription_id)
    if subscription.suspended_at is not None:
        raise subscription_suspended(subscription.subscription_id)
    if subscription.billing is Billing.DISPUTED:
        raise payment_disputed(subscription.subscription_id)
    if subscription.currency:
        raise quote_needed(subscription.subscription_id)
