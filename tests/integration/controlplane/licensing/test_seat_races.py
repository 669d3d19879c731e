"""Many devices, few seats, all at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from controlplane.devices.registry import NewDevice
from controlplane.licensing.key_desk import KeyWish
from controlplane.licensing.seats import SeatChange
from controlplane.licensing.service import Activated
from controlplane.licensing.tables import entitlements, seat_changes, seats
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import LINUX, Customer, World, activation
from wire.entitlement_codec import decode_claims

AT_ONCE = 64


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


@pytest.fixture
async def second_server(database: Database, tmp_path: Path) -> AsyncIterator[World]:
    """Another server process' view of the same database: its own pool, its own services."""
    other = Database(database.url)
    folder = tmp_path / "second"
    folder.mkdir(mode=0o700)
    yield World(other, folder)
    await other.close()


async def _attempts(
    worlds: list[World], customer: Customer, device_keys: list[DeviceKey]
) -> tuple[list[Activated], list[Refusal]]:
    async def attempt(number: int, device_key: DeviceKey) -> Activated | Refusal:
        try:
            return await worlds[number % len(worlds)].licensing.activate(activation(customer.raw_key, device_key))
        except Refusal as refusal:
            return refusal

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(number, key)) for number, key in enumerate(device_keys)]
    outcomes = [task.result() for task in tasks]
    return (
        [outcome for outcome in outcomes if isinstance(outcome, Activated)],
        [outcome for outcome in outcomes if isinstance(outcome, Refusal)],
    )


async def _race_of_different_devices(
    worlds: list[World], limit: int, device_keys: list[DeviceKey]
) -> tuple[int, int, int]:
    """Successes, different seats among them, and seats that the database says are taken."""
    customer = await worlds[0].customer(seats=limit)
    activated, refused = await _attempts(worlds, customer, device_keys)
    assert {refusal.reason for refusal in refused} == {"SEAT_LIMIT"}
    assert all(len(refusal.seat_holders) == limit for refusal in refused)
    seat_ids = {decode_claims(each.entitlement.claims).seat_id for each in activated}
    async with worlds[0].database.reading() as connection:
        held = select(func.count()).where(seats.c.org_id == customer.org_id, seats.c.device_id.is_not(None))
        return len(activated), len(seat_ids), (await connection.execute(held)).scalar_one()


async def _race_of_the_same_device(worlds: list[World], device_key: DeviceKey) -> tuple[int, int, int, int]:
    """Successes, different answers among them, entitlements made, and seats claimed."""
    customer = await worlds[0].customer(seats=1)
    activated, refused = await _attempts(worlds, customer, [device_key] * AT_ONCE)
    assert refused == []
    rows = []
    async with worlds[0].database.reading() as connection:
        for table in (entitlements, seat_changes):
            query = select(func.count()).where(table.c.org_id == customer.org_id)
            rows.append((await connection.execute(query)).scalar_one())
    return len(activated), len({each.entitlement for each in activated}), rows[0], rows[1]


@pytest.mark.parametrize("limit", [0, 1, 5])
async def test_exactly_as_many_of_64_devices_get_a_seat_as_there_are(
    world: World, second_server: World, limit: int
) -> None:
    device_keys = [DeviceKey() for _ in range(AT_ONCE)]
    assert await _race_of_different_devices([world, second_server], limit, device_keys) == (limit, limit, limit)


async def test_the_same_device_64_times_at_once_gets_one_seat_and_one_serial(
    world: World, second_server: World
) -> None:
    assert await _race_of_the_same_device([world, second_server], DeviceKey()) == (AT_ONCE, 1, 1, 1)


async def test_different_keys_of_one_subscription_share_its_seats(world: World) -> None:
    customer = await world.customer(seats=3)
    issued = await world.key_desk.issue(customer.person, KeyWish(), "another-key")
    other = Customer(customer.person, customer.subscription_id, issued.key.key_id, issued.raw)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_attempts([world], of_customer, [DeviceKey() for _ in range(8)]))
            for of_customer in (customer, other)
        ]
    assert sum(len(task.result()[0]) for task in tasks) == 3


async def test_a_key_for_two_devices_is_used_twice_however_many_try(world: World) -> None:
    customer = await world.customer(seats=10, max_devices=2)
    activated, refused = await _attempts([world], customer, [DeviceKey() for _ in range(12)])
    assert len(activated) == 2
    assert {refusal.reason for refusal in refused} == {"KEY_USED_UP"}


async def test_a_seat_released_twice_at_once_is_released_once(world: World) -> None:
    customer = await world.customer(seats=1)
    activated = await world.activate(customer)

    async def release() -> str:
        try:
            await world.release(customer, activated.device.device_id, "")
        except Refusal as refusal:
            return refusal.reason
        return "RELEASED"

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(release()) for _ in range(8)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count("RELEASED") == 1
    assert set(outcomes) <= {"RELEASED", "SEAT_FREE", "SEAT_NOT_FOUND", "SEAT_CHANGED"}


async def test_a_seat_whose_claimer_rolls_back_goes_to_the_one_who_waited(world: World) -> None:
    customer = await world.customer(seats=1)
    holds_the_slot, may_fail = asyncio.Event(), asyncio.Event()

    async def fail_half_way() -> None:
        async with world.database.transaction() as uow:
            now = world.clock.now()
            new = NewDevice("unlucky", LINUX, b"some key", frozenset(), admitted_at=now)
            device = (await world.registry.register(uow, customer.org_id, new, now)).device
            change = SeatChange("test", "", world.clock.now())
            allotment = await world.allotments.lock(uow, customer.org_id, customer.subscription_id)
            await world.seats.claim(uow, allotment, device.device_id, change)
            holds_the_slot.set()
            await may_fail.wait()
            await uow.connection.rollback()

    async with asyncio.TaskGroup() as group:
        group.create_task(fail_half_way())
        await holds_the_slot.wait()
        succeeding = group.create_task(world.activate(customer))
        await asyncio.sleep(0.1)
        assert not succeeding.done()
        may_fail.set()
    assert decode_claims(succeeding.result().entitlement.claims).seat_id.endswith("_1")
