"""What happens to seats besides being claimed."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from controlplane.accounts.tables import audit
from controlplane.licensing.allotments import SETTLE_SURPLUS
from controlplane.licensing.ports import NoticeKind
from controlplane.licensing.seat_rules import CHOICE_WINDOW, STALE_AFTER, Change, intake_allowance
from controlplane.licensing.service import Activated
from controlplane.licensing.tables import seat_changes
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tables import jobs
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, principal_of, wish_for
from wire.entitlement_codec import decode_claims

HOUR = timedelta(hours=1)


async def devices(world: World, customer: Customer, count: int) -> list[Activated]:
    """So many devices, an hour apart."""
    found = []
    for number in range(count):
        found.append(await world.activate(customer, name=f"device {number}"))
        world.clock.advance(HOUR)
    return found


async def holders(world: World, customer: Customer) -> list[str | None]:
    found = await world.seat_desk.list_seats(customer.org_id, customer.subscription_id)
    return [view.seat.device_id for view in found.views]


def id_of(activated: Activated) -> str:
    return activated.device.device_id


async def reason_told(world: World, activated: Activated) -> str:
    statement = await world.licensing.refresh(principal_of(activated), 1)
    return decode_claims(statement.claims).access_reason


async def refusal(world: World, customer: Customer) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await world.activate(customer)
    return refused.value


# ------------------------------------------------------------ transfer


async def test_a_seat_is_handed_over_in_one_step_and_both_devices_are_told(world: World) -> None:
    customer = await world.customer(seats=2)
    old, new = await devices(world, customer, 2)
    await world.release(customer, id_of(new))
    before = await world.seat_desk.transfer(customer.person, wish_for(id_of(old), "new laptop"), id_of(new))
    assert before.device_id == id_of(old)
    assert await holders(world, customer) == [id_of(new), None]
    assert await reason_told(world, old) == "SEAT_TRANSFERRED"
    assert await reason_told(world, new) == "PAID"
    history = await world.seat_desk.history(customer.org_id, before.seat_id, 2)
    assert {(entry.change, entry.device_id) for entry in history} == {
        (Change.TRANSFERRED, id_of(old)),
        (Change.CLAIMED, id_of(new)),
    }


async def test_a_device_that_handed_its_seat_over_takes_a_free_one_like_any_other(world: World) -> None:
    customer, old_key = await world.customer(seats=2), DeviceKey()
    old, new = await world.activate(customer, old_key), await world.activate(customer)
    await world.release(customer, id_of(new))
    await world.seat_desk.transfer(customer.person, wish_for(id_of(old)), id_of(new))
    back = await world.activate(customer, old_key)
    assert await holders(world, customer) == [id_of(new), id_of(back)]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("holder", "DEVICE_HAS_SEAT"),
        ("foreign", "DEVICE_NOT_FOUND"),
        ("gone", "DEVICE_DEACTIVATED"),
        ("no seat", "SEAT_NOT_FOUND"),
    ],
)
async def test_a_transfer_that_cannot_be_says_why_and_changes_nothing(world: World, what: str, reason: str) -> None:
    customer, other = await world.customer(seats=3), await world.customer()
    first, second, gone = await devices(world, customer, 3)
    await world.devices.deactivate(principal_of(gone), "")
    targets = {"holder": id_of(second), "foreign": id_of(await world.activate(other)), "gone": id_of(gone)}
    before = await holders(world, customer)
    seat = "seat_none" if what == "no seat" else id_of(first)
    to = targets.get(what, id_of(second))
    with pytest.raises(Refusal) as refused:
        await world.seat_desk.transfer(customer.person, wish_for(seat), to)
    assert refused.value.reason == reason
    assert await holders(world, customer) == before


async def test_a_repeat_with_the_same_key_gets_the_first_answer(world: World) -> None:
    customer = await world.customer(seats=1)
    activated = await world.activate(customer)
    wish = wish_for(id_of(activated), "sold")
    first = await world.seat_desk.release(customer.person, wish)
    later = await world.activate(customer)
    second = await world.seat_desk.release(customer.person, wish)
    assert (first.seat_id, first.device_id) == (second.seat_id, second.device_id)
    assert await holders(world, customer) == [id_of(later)]
    with pytest.raises(Refusal) as mismatch:
        await world.seat_desk.release(customer.person, type(wish)(id_of(later), wish.reason, wish.idempotency_key))
    assert mismatch.value.reason == "IDEMPOTENCY_MISMATCH"


# ------------------------------------------------------------ rotation


async def test_a_seat_that_goes_round_cools_down_and_says_until_when(world: World) -> None:
    customer = await world.customer(seats=1)
    first = DeviceKey()
    for number in range(intake_allowance(1)):
        activated = await world.activate(customer, first if number == 0 else None)
        await world.release(customer, id_of(activated))
    refused = await refusal(world, customer)
    assert refused.reason == "SEAT_COOL_DOWN"
    assert refused.facts["until"] == (world.clock.now() + timedelta(days=30)).isoformat()
    await world.release(customer, id_of(await world.activate(customer, first)))
    world.clock.advance(timedelta(days=30))
    assert id_of(await world.activate(customer)) in await holders(world, customer)


# ------------------------------------------------------------ reclaim


async def test_a_device_unseen_for_30_days_gives_its_seat_to_one_that_needs_it(world: World) -> None:
    customer = await world.customer(seats=2)
    old = await world.activate(customer, name="in a drawer")
    world.clock.advance(HOUR)
    pinned = await world.activate(customer)
    await world.seat_desk.pin(customer.person, wish_for(id_of(pinned)), pinned=True)
    await _renewed(world, customer)
    world.clock.advance(STALE_AFTER - 2 * HOUR)
    assert (await refusal(world, customer)).reason == "SEAT_LIMIT"
    world.clock.advance(2 * HOUR)
    new = await world.activate(customer)
    assert await holders(world, customer) == [id_of(new), id_of(pinned)]
    assert world.notices.kinds == [NoticeKind.SEAT_RECLAIMED]
    assert world.notices.told[0].facts["device_id"] == id_of(old)
    assert (await refusal(world, customer)).reason == "SEAT_LIMIT", "the other one is pinned"
    assert await reason_told(world, old) == "SEAT_RECLAIMED"
    assert await _audited(world, customer, "seat.reclaimed") == [dict(world.notices.told[0].facts)]


async def test_a_device_whose_seat_was_reclaimed_takes_a_free_one_when_it_is_seen_again(world: World) -> None:
    customer = await world.customer(seats=1)
    old = await world.activate(customer)
    await _renewed(world, customer)
    world.clock.advance(STALE_AFTER)
    new = await world.activate(customer)
    assert await reason_told(world, old) == "SEAT_RECLAIMED"
    await world.release(customer, id_of(new))
    assert await reason_told(world, old) == "PAID"
    assert await holders(world, customer) == [id_of(old)]


async def test_a_released_seat_is_not_taken_back_by_a_refresh(world: World) -> None:
    customer = await world.customer(seats=1)
    activated = await world.activate(customer)
    await world.release(customer, id_of(activated))
    assert await reason_told(world, activated) == "SEAT_RELEASED"
    assert await holders(world, customer) == [None]


async def _audited(world: World, customer: Customer, action: str) -> list[dict[str, str]]:
    async with world.database.reading() as connection:
        query = select(audit.c.details).where(audit.c.org_id == customer.org_id, audit.c.action == action)
        return [json.loads(details) for details in (await connection.execute(query)).scalars()]


async def _renewed(world: World, customer: Customer) -> None:
    await world.subscriptions.renew(
        org_id=customer.org_id, subscription_id=customer.subscription_id, idempotency_key="one-more-month"
    )


# ------------------------------------------------------------ downgrade


async def test_a_smaller_plan_takes_nothing_for_14_days_and_then_from_the_surplus_only(world: World) -> None:
    customer = await world.customer(seats=5)
    held = await devices(world, customer, 5)
    await world.seat_desk.pin(customer.person, wish_for(id_of(held[0])), pinned=True)
    await world.provide(customer, 3)
    found = await world.seat_desk.list_seats(customer.org_id, customer.subscription_id)
    assert (found.allotment.surplus, found.allotment.choose_until) == (2, world.clock.now() + CHOICE_WINDOW)
    assert world.notices.kinds == [NoticeKind.SEATS_SURPLUS]
    world.clock.advance(CHOICE_WINDOW - timedelta(microseconds=1))
    assert await world.seating.settle_surplus(customer.org_id, customer.subscription_id) == 0
    assert (await refusal(world, customer)).reason == "SEAT_LIMIT"
    world.clock.advance(timedelta(microseconds=1))
    assert await world.seating.settle_surplus(customer.org_id, customer.subscription_id) == 2
    assert await holders(world, customer) == [id_of(held[0]), id_of(held[3]), id_of(held[4])]
    assert world.notices.kinds[1:] == [NoticeKind.SEAT_LOST, NoticeKind.SEAT_LOST]
    assert await reason_told(world, held[1]) == "SEAT_OVER_LIMIT"
    assert await reason_told(world, held[4]) == "PAID"
    lost = await _audited(world, customer, "seat.surplus")
    assert {facts["device_id"] for facts in lost} == {id_of(held[1]), id_of(held[2])}
    assert {facts["reason"] for facts in lost} == {"the plan covers 3 device(s) since the last change"}
    assert await world.seating.settle_surplus(customer.org_id, customer.subscription_id) == 0


async def test_the_choice_is_the_owners_and_ends_with_the_last_surplus_seat(world: World) -> None:
    customer = await world.customer(seats=3)
    held = await devices(world, customer, 3)
    await world.provide(customer, 1)
    await world.release(customer, id_of(held[2]))
    assert (await refusal(world, customer)).reason == "SEAT_LIMIT", "a freed surplus seat is closed, not given out"
    await world.release(customer, id_of(held[0]))
    found = await world.seat_desk.list_seats(customer.org_id, customer.subscription_id)
    assert (found.allotment.surplus, found.allotment.choose_until) == (0, None)
    world.clock.advance(CHOICE_WINDOW)
    assert await world.seating.settle_surplus(customer.org_id, customer.subscription_id) == 0
    assert await holders(world, customer) == [id_of(held[1])]


async def test_a_downgrade_that_is_undone_leaves_everybody_where_they_were(world: World) -> None:
    customer = await world.customer(seats=3)
    held = await devices(world, customer, 2)
    await world.provide(customer, 1)
    await world.provide(customer, 3)
    assert await holders(world, customer) == [id_of(held[0]), id_of(held[1]), None]
    await world.activate(customer)
    world.clock.advance(CHOICE_WINDOW)
    assert await world.seating.settle_surplus(customer.org_id, customer.subscription_id) == 0


async def test_a_second_downgrade_keeps_the_date_of_the_first(world: World) -> None:
    customer = await world.customer(seats=3)
    await devices(world, customer, 3)
    await world.provide(customer, 2)
    until = world.clock.now() + CHOICE_WINDOW
    world.clock.advance(timedelta(days=3))
    await world.provide(customer, 1)
    async with world.database.reading() as connection:
        allotment = await world.allotments.get(connection, customer.org_id, customer.subscription_id)
        due = (await connection.execute(jobs.select().where(jobs.c.kind == SETTLE_SURPLUS))).one().due_at
    assert (allotment.surplus, allotment.choose_until, due) == (2, until, until)


# ------------------------------------------------------------ history


async def test_the_history_only_ever_grows(world: World) -> None:
    customer = await world.customer(seats=1)
    await world.activate(customer)
    for change in (update(seat_changes).values(reason=""), delete(seat_changes)):
        with pytest.raises(DatabaseError, match="only ever grows"):
            async with world.database.transaction() as uow:
                await uow.connection.execute(change)


async def test_the_history_of_other_organisations_does_not_exist(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    activated = await world.activate(customer)
    with pytest.raises(Refusal) as refused:
        await world.seat_desk.history(other.org_id, id_of(activated), 10)
    assert refused.value.reason == "SEAT_NOT_FOUND"
    assert await world.seat_desk.history(other.org_id, "", 10) == []
