import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from controlplane.accounts.tables import audit
from controlplane.catalog.model import AccessLevel, Term
from controlplane.runtime.principal import acting_as
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from controlplane.subscriptions.model import AccessReason, Renewal
from controlplane.subscriptions.service import Renewed, SubscriptionState
from controlplane.subscriptions.tables import subscription_periods, subscriptions
from tests.fakes.world import Customer, World

KEY = "0123456789abcdef"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


async def renew(world: World, customer: Customer, key: str = KEY, *, caller: str = "user:usr_1") -> Renewed:
    with acting_as(caller):
        return await world.subscriptions.renew(
            org_id=customer.org_id, subscription_id=customer.subscription_id, idempotency_key=key
        )


async def state_of(world: World, customer: Customer) -> SubscriptionState:
    async with world.database.reading() as connection:
        return await world.subscriptions.get(connection, org_id=customer.org_id)


async def periods(world: World) -> int:
    async with world.database.reading() as connection:
        count = await connection.scalar(select(func.count()).select_from(subscription_periods))
    assert count is not None
    return count


async def test_buying_opens_the_first_period_and_provides_the_seats(world: World) -> None:
    customer = await world.customer(seats=3)
    state = await state_of(world, customer)
    assert state.access.level is AccessLevel.FULL
    assert state.subscription.period_start == world.clock.now()
    assert await periods(world) == 1
    async with world.database.reading() as connection:
        assert len(await world.seats.open_of(connection, customer.org_id, customer.subscription_id)) == 3
        assert await world.subscriptions.seats_taken(connection, state) == 0


async def test_an_expired_subscription_is_full_again_after_one_renewal(world: World) -> None:
    customer = await world.customer()
    world.clock.advance(timedelta(days=60))
    assert (await state_of(world, customer)).access.reason is AccessReason.SUBSCRIPTION_EXPIRED
    renewed = await renew(world, customer)
    assert renewed.changed
    assert renewed.state.access.level is AccessLevel.FULL
    assert renewed.state.subscription.period_start == world.clock.now()
    assert await state_of(world, customer) == renewed.state


async def test_an_early_renewal_extends_what_runs(world: World) -> None:
    customer = await world.customer()
    before = (await state_of(world, customer)).subscription
    after = (await renew(world, customer)).state.subscription
    assert after.period_start == before.period_start
    assert after.period_end > before.period_end + timedelta(days=27)


async def test_a_repeat_gets_the_first_answer_however_late(world: World) -> None:
    customer = await world.customer()
    first = await renew(world, customer)
    world.clock.advance(timedelta(days=400))
    assert await renew(world, customer) == first
    assert await periods(world) == 2


async def test_the_key_of_one_caller_means_nothing_to_another(world: World) -> None:
    customer = await world.customer()
    await renew(world, customer)
    await renew(world, customer, caller="user:usr_2")
    assert await periods(world) == 3


async def test_a_key_used_for_another_subscription_is_refused(world: World) -> None:
    customer = await world.customer()
    async with world.database.transaction() as uow:
        second = await world.subscriptions.create(
            uow, org_id=customer.org_id, plan_id="test-3", term=Term.MONTHLY, renewal=Renewal.OFF
        )
    await renew(world, customer)
    other = Customer(customer.person, second.subscription.subscription_id, customer.key_id, customer.raw_key)
    with pytest.raises(Refusal) as refused:
        await renew(world, other)
    assert refused.value.reason == "IDEMPOTENCY_MISMATCH"
    assert await periods(world) == 3


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "line\nbreak"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    customer = await world.customer()
    with pytest.raises(Refusal) as refused:
        await renew(world, customer, key)
    assert refused.value.reason == "IDEMPOTENCY_KEY_INVALID"


async def test_sixteen_renewals_at_once_with_one_key_open_one_period(world: World) -> None:
    customer = await world.customer()
    answers = await asyncio.gather(*(renew(world, customer) for _ in range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert await periods(world) == 2
    async with world.database.reading() as connection:
        recorded = select(func.count()).select_from(audit).where(audit.c.action == "subscription.renewed")
        assert await connection.scalar(recorded) == 1


async def test_renewals_with_different_keys_that_saw_the_same_period_open_one_between_them(world: World) -> None:
    customer = await world.customer()
    answers = await asyncio.gather(*(renew(world, customer, f"{KEY}-{number}") for number in range(16)))
    opened = sum(answer.changed for answer in answers)
    # Whoever looked after another one had finished asked for a further term: every answer is true to the rows.
    assert await periods(world) == 1 + opened
    assert opened >= 1


async def test_other_tenants_subscriptions_do_not_exist(world: World) -> None:
    mine, theirs = await world.customer(), await world.customer(seats=5)
    stolen = Customer(mine.person, theirs.subscription_id, mine.key_id, mine.raw_key)
    with pytest.raises(Refusal) as refused:
        await renew(world, stolen)
    assert refused.value.reason == "SUBSCRIPTION_UNKNOWN"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"revoked": True}, "SUBSCRIPTION_REVOKED"),
        ({"suspended": True}, "SUBSCRIPTION_SUSPENDED"),
        ({"billing": "disputed"}, "PAYMENT_DISPUTED"),
    ],
)
async def test_what_another_term_would_not_heal_is_not_renewed(
    world: World, values: dict[str, object], reason: str
) -> None:
    customer = await world.customer()
    columns = {
        f"{name}_at" if value is True else name: world.clock.now() if value is True else value
        for name, value in values.items()
    }
    async with world.database.transaction() as uow:
        await uow.connection.execute(update(subscriptions).values(**columns))
    with pytest.raises(Refusal) as refused:
        await renew(world, customer)
    assert refused.value.reason == reason
    assert await periods(world) == 1


async def test_which_of_several_is_asked_not_guessed(world: World) -> None:
    customer = await world.customer()
    async with world.database.transaction() as uow:
        await world.subscriptions.create(
            uow, org_id=customer.org_id, plan_id="test-3", term=Term.MONTHLY, renewal=Renewal.OFF
        )
    with pytest.raises(Refusal) as refused:
        await state_of(world, customer)
    assert refused.value.reason == "SUBSCRIPTION_AMBIGUOUS"


async def test_a_term_that_is_not_sold_is_refused_with_those_that_are(world: World) -> None:
    customer = await world.customer()
    with pytest.raises(Refusal) as refused:
        async with world.database.transaction() as uow:
            await world.subscriptions.create(
                uow, org_id=customer.org_id, plan_id="test-3", term=Term.YEARLY, renewal=Renewal.OFF
            )
    assert refused.value.reason == "TERM_NOT_SOLD"
    assert refused.value.next_step == "Choose one of: monthly"
