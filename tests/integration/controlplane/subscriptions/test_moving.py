"""Existing customers of a plan whose new version says that they come along."""

from dataclasses import replace
from datetime import timedelta

from controlplane.catalog.document import Catalog
from controlplane.catalog.model import ExistingCustomers, Plan, Term
from controlplane.notices.model import NoticeKind
from controlplane.subscriptions.model import Subscription
from tests.fakes.lives import LARGE, SMALL, LivesWorld

DAY = timedelta(days=1)
DEARER = replace(SMALL, prices={Term.YEARLY: {"EUR": 5499}}, existing_customers=ExistingCustomers.MOVE)


async def publish(world: LivesWorld, *plans: Plan, in_days: int) -> None:
    published = tuple(replace(plan, catalog_version=2) for plan in plans)
    async with world.database.transaction() as uow:
        await world.catalog.apply(uow, Catalog(2, published, world.clock.now() + in_days * DAY))


async def paid(world: LivesWorld, customer: Subscription) -> list[int]:
    return [invoice.content.total.minor for invoice in await world.invoices(customer)]


async def test_a_plan_that_keeps_its_customers_moves_nobody(world: LivesWorld) -> None:
    customer = await world.customer()
    await publish(world, replace(DEARER, existing_customers=ExistingCustomers.KEEP), LARGE, in_days=3)
    await world.advance_to(customer.period_end + DAY)
    assert await paid(world, customer) == [4999, 4999]
    assert (await world.look(customer)).catalog_version == 1


async def test_customers_move_with_the_renewal_that_was_announced(world: LivesWorld) -> None:
    customer = await world.customer()
    await publish(world, replace(DEARER, devices=5), LARGE, in_days=3)
    await world.advance(2 * DAY)
    assert (await world.look(customer)).pending is None
    await world.advance(2 * DAY)
    assert (await world.look(customer)).pending is not None
    await world.advance_to(customer.period_end + DAY)
    assert await paid(world, customer) == [4999, 5499]
    after = await world.look(customer)
    assert (after.catalog_version, after.pending) == (2, None)
    (told,) = [notice for notice in await world.told(customer) if notice.kind is NoticeKind.TERMS_CHANGE]
    assert "5 devices instead of 3" in told.rendered.text


async def test_what_could_not_be_announced_in_time_waits_for_the_next_renewal(world: LivesWorld) -> None:
    customer = await world.customer()
    await world.advance_to(customer.period_end - 20 * DAY)
    await publish(world, DEARER, LARGE, in_days=1)
    await world.advance_to(customer.period_end + DAY)
    assert await paid(world, customer) == [4999, 4999]
    await world.advance_to((await world.look(customer)).period_end + DAY)
    assert await paid(world, customer) == [4999, 4999, 5499]


async def test_who_chose_another_plan_first_moves_after_that(world: LivesWorld) -> None:
    customer = await world.customer(plan=LARGE)
    await world.change(customer, "home-3")
    await publish(world, DEARER, LARGE, in_days=3)
    await world.advance_to(customer.period_end + DAY)
    chosen = await world.look(customer)
    assert (chosen.plan_id, chosen.catalog_version) == ("home-3", 1)
    await world.advance_to(chosen.period_end + DAY)
    assert (await paid(world, customer))[1:] == [4999, 5499]


async def test_a_currency_that_the_new_version_is_not_sold_in_keeps_the_old_one(world: LivesWorld) -> None:
    customer = await world.customer()
    await publish(world, replace(DEARER, prices={Term.YEARLY: {"USD": 5499}}), LARGE, in_days=3)
    await world.advance_to(customer.period_end + DAY)
    assert await paid(world, customer) == [4999, 4999]
    assert (await world.look(customer)).catalog_version == 1
