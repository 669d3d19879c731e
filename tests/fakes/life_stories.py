"""Three years of two customers, as scripts, and what came of them as a transcript that a person can read."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select

from controlplane.billing.money import Money
from controlplane.billing.tables import billing_documents, credit_notes, invoices, journal, payments
from controlplane.catalog.model import Term
from controlplane.notices.tables import notices
from controlplane.subscriptions.model import Subscription
from controlplane.subscriptions.tables import purchases, subscription_periods, subscription_steps, subscriptions
from tests.fakes.lives import LARGE, SMALL, LivesWorld

DAY = timedelta(days=1)
#: Rows that must be the same however time was cut.
TABLES = (
    notices,
    invoices,
    billing_documents,
    credit_notes,
    payments,
    journal,
    purchases,
    subscriptions,
    subscription_periods,
    subscription_steps,
)
Act = Callable[[LivesWorld, Subscription], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that a customer does so many days after they came."""

    day: int
    title: str
    act: Act


async def _change(world: LivesWorld, customer: Subscription, plan_id: str = "", term: Term | None = None) -> None:
    await world.change(customer, plan_id, term)


async def _undo(world: LivesWorld, customer: Subscription) -> None:
    await world.desk.undo(customer.org_id, customer.subscription_id, world.wish())


async def _turn(world: LivesWorld, customer: Subscription, *, on: bool) -> None:
    await world.desk.set_auto_renew(customer.org_id, customer.subscription_id, world.wish(), on=on)


async def _cancel(world: LivesWorld, customer: Subscription) -> None:
    await world.desk.cancel(customer.org_id, customer.subscription_id, world.wish(), confirmed=True)


async def _card(world: LivesWorld, customer: Subscription, card: str) -> None:
    await world.billing.wallet.add(customer.org_id, card, f"card-{card}")


async def _reprice(world: LivesWorld, customer: Subscription) -> None:
    await world.publish(2, replace(SMALL, prices={Term.YEARLY: {"EUR": 5499}, Term.MONTHLY: {"EUR": 549}}), LARGE)
    async with world.database.transaction() as uow:
        await world.lives.selling.reprice(uow, customer.org_id, customer.subscription_id)


YEARLY: Sequence[Scene] = (
    Scene(134, "upgrades to Home 5", lambda world, customer: _change(world, customer, "home-5")),
    Scene(200, "chooses Home 3 for the next year", lambda world, customer: _change(world, customer, "home-3")),
    Scene(400, "the seller raises the price of Home 3", _reprice),
    Scene(430, "turns renewal off", lambda world, customer: _turn(world, customer, on=False)),
    Scene(460, "turns renewal on again", lambda world, customer: _turn(world, customer, on=True)),
    Scene(700, "has a card without funds", lambda world, customer: _card(world, customer, "pm_no_funds-2")),
    Scene(748, "adds a good card", lambda world, customer: _card(world, customer, "pm_good-3")),
    Scene(800, "cancels", _cancel),
    Scene(1130, "comes back", _change),
)
MONTHLY: Sequence[Scene] = (
    Scene(40, "upgrades to Home 5", lambda world, customer: _change(world, customer, "home-5")),
    Scene(45, "takes the upgrade back", _undo),
    Scene(140, "has a card that was reported lost", lambda world, customer: _card(world, customer, "pm_lost-2")),
    Scene(160, "adds a good card", lambda world, customer: _card(world, customer, "pm_good-3")),
    Scene(250, "cancels", _cancel),
    Scene(330, "comes back", _change),
    Scene(331, "turns renewal on", lambda world, customer: _turn(world, customer, on=True)),
    Scene(345, "changes to a yearly term", lambda world, customer: _change(world, customer, "", Term.YEARLY)),
    Scene(900, "chooses a monthly term after that", lambda world, customer: _change(world, customer, "", Term.MONTHLY)),
)
SCENES = {Term.YEARLY: YEARLY, Term.MONTHLY: MONTHLY}
DAYS = 1_200


async def live(world: LivesWorld, term: Term, cuts: Sequence[datetime] = ()) -> Subscription:
    """Play a life; time moves from scene to scene, and stops at every cut in between."""
    trial_days, scenes = (14 if term is Term.YEARLY else 0), SCENES[term]
    began = world.clock.now()
    customer = await world.customer(term, trial_days=trial_days)
    left = sorted(cuts)
    for scene in scenes:
        left = await _pass(world, began + scene.day * DAY, left)
        await scene.act(world, customer)
    await _pass(world, began + DAYS * DAY, left)
    return customer


async def _pass(world: LivesWorld, until: datetime, cuts: list[datetime]) -> list[datetime]:
    for cut in [each for each in cuts if each < until]:
        await world.advance_to(cut)
    await world.advance_to(until)
    return [each for each in cuts if each >= until]


async def rows(world: LivesWorld) -> list[tuple[object, ...]]:
    """Everything that was written, byte for byte."""
    found: list[tuple[object, ...]] = []
    async with world.database.reading() as connection:
        for table in TABLES:
            selected = select(table).order_by(*table.primary_key.columns)
            found += [(table.name, *row) for row in await connection.execute(selected)]
    return found


async def transcript(world: LivesWorld, customer: Subscription, scenes: Sequence[Scene]) -> str:
    """What happened, in order: what the customer did, was told, was asked for and paid."""
    told = [(notice.queued_at, 2, f"     told  {notice.rendered.subject}") for notice in await world.told(customer)]
    async with world.database.reading() as connection:
        asked = [
            (row.finalised_at, 1, f"  invoice  {row.number}  {_euro(row.total)}  {row.state}")
            for row in await connection.execute(select(invoices).where(invoices.c.finalised_at.is_not(None)))
        ]
        tried = [
            (row.created_at, 3, f"  payment  {_euro(row.amount)}  {row.state} {row.failure_kind}".rstrip())
            for row in await connection.execute(select(payments))
        ]
        given = [
            (row.created_at, 3, f"   credit  {_euro(row.amount)} to {row.destination}: {row.note}")
            for row in await connection.execute(select(credit_notes))
        ]
        opened = [
            (row.opened_at, 4, f"   period  {row.period_start:%Y-%m-%d} to {row.period_end:%Y-%m-%d}")
            for row in await connection.execute(select(subscription_periods))
        ]
    done = [(customer.created_at + scene.day * DAY, 0, f" CUSTOMER  {scene.title}") for scene in scenes]
    lines = sorted([*told, *asked, *tried, *given, *opened, *done], key=lambda line: (line[0], line[1]))
    return "".join(f"{at:%Y-%m-%d %H:%M}{text}\n" for at, _, text in lines)


def _euro(minor: int) -> str:
    return f"{Money(minor, 'EUR')}"
