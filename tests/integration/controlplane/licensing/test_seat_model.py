"""Activate, release, transfer, pin, downgrade, reclaim and settle, in any order and at once, against what must hold."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import and_, func, select

from controlplane.devices.tables import devices
from controlplane.licensing.seat_rules import CHOICE_WINDOW, STALE_AFTER
from controlplane.licensing.tables import seat_allotments, seats
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database, UnitOfWork
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, wish_for

#: What a request may be answered with when others are faster; anything else is a bug.
ANSWERS = frozenset(
    {
        "SEAT_LIMIT",
        "SEAT_COOL_DOWN",
        "SEAT_FREE",
        "SEAT_NOT_FOUND",
        "SEAT_CHANGED",
        "DEVICE_HAS_SEAT",
        "DEVICE_NOT_FOUND",
        "RATE_LIMITED",
        "SUBSCRIPTION_EXPIRED",
    }
)
DEVICES = 10
LARGEST_PLAN = 6


class WatchedDatabase(Database):
    """Checks what must hold at every commit, inside the transaction that is about to commit."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.commits = 0

    @asynccontextmanager
    async def transaction(self, *, bulk: bool = False) -> AsyncIterator[UnitOfWork]:
        async with super().transaction(bulk=bulk) as uow:
            yield uow
            await _check(uow)
            self.commits += 1


async def _check(uow: UnitOfWork) -> None:
    """No more is held than is open, and more is open than covered only while the owner may choose."""
    held = func.count(seats.c.device_id)
    opened = func.count().filter(seats.c.closed_at.is_(None))
    same = and_(
        seats.c.org_id == seat_allotments.c.org_id,
        seats.c.subscription_id == seat_allotments.c.subscription_id,
    )
    query = (
        select(seat_allotments.c.seats, seat_allotments.c.choose_until, held.label("held"), opened.label("open"))
        .join(seats, same)
        .group_by(*seat_allotments.c)
    )
    for row in await uow.connection.execute(query):
        assert row.held <= row.open, row
        if row.open > row.seats:
            assert row.choose_until is not None, row
            assert row.held == row.open, "a free slot beyond the plan is closed"


class Scene:
    """One customer, some devices, two servers."""

    def __init__(self, worlds: list[World], customer: Customer, random: Random) -> None:
        self.worlds = worlds
        self.customer = customer
        self.random = random
        self.keys = [DeviceKey() for _ in range(DEVICES)]
        self.ids: set[str] = set()

    def world(self) -> World:
        return self.random.choice(self.worlds)

    def device(self) -> str:
        return self.random.choice(sorted(self.ids)) if self.ids else "dev_none"

    async def activate(self) -> None:
        activated = await self.world().activate(self.customer, self.random.choice(self.keys))
        self.ids.add(activated.device.device_id)

    async def release(self) -> None:
        await self.world().release(self.customer, self.device())

    async def transfer(self) -> None:
        desk = self.world().seat_desk
        await desk.transfer(self.customer.person, wish_for(self.device()), self.device())

    async def pin(self) -> None:
        pinned = self.random.random() < 0.5
        await self.world().seat_desk.pin(self.customer.person, wish_for(self.device()), pinned=pinned)

    async def change_plan(self) -> None:
        await self.world().provide(self.customer, self.random.randint(0, LARGEST_PLAN))

    async def settle(self) -> None:
        await self.world().seating.settle_surplus(self.customer.org_id, self.customer.subscription_id)

    async def time_passes(self) -> None:
        step = self.random.choice([timedelta(hours=1), CHOICE_WINDOW, STALE_AFTER])
        for world in self.worlds:
            world.clock.advance(step)

    async def turn(self) -> str:
        """Something happens; how it was answered."""
        often: Sequence[Callable[[], Awaitable[None]]] = [self.activate] * 6 + [self.release] * 2
        seldom: Sequence[Callable[[], Awaitable[None]]] = [self.transfer, self.pin, self.change_plan, self.settle]
        try:
            await self.random.choice([*often, *seldom])()
        except Refusal as refusal:
            return refusal.reason
        return "DONE"


async def _scene(servers: list[WatchedDatabase], tmp_path: Path, seed: int) -> Scene:
    worlds = []
    for number, server in enumerate(servers):
        folder = tmp_path / f"server-{number}"
        folder.mkdir(mode=0o700)
        worlds.append(World(server, folder))
    random = Random(seed)
    customer = await worlds[0].customer(seats=random.randint(1, 4))
    for month in range(12):
        await worlds[0].subscriptions.renew(
            org_id=customer.org_id, subscription_id=customer.subscription_id, idempotency_key=f"month-{month:03}"
        )
    return Scene(worlds, customer, random)


async def _play(database: Database, tmp_path: Path, seed: int, rounds: int) -> int:
    """Commits that were looked at."""
    servers = [WatchedDatabase(database.url) for _ in range(2)]
    try:
        scene = await _scene(servers, tmp_path, seed)
        for _ in range(rounds):
            answers = await asyncio.gather(*(scene.turn() for _ in range(6)))
            assert set(answers) <= {"DONE", *ANSWERS}
            if scene.random.random() < 0.2:
                await scene.time_passes()
        await _is_settled_in_the_end(scene)
        return sum(server.commits for server in servers)
    finally:
        for server in servers:
            await server.close()


async def _is_settled_in_the_end(scene: Scene) -> None:
    """Whatever happened, once the choice is over nobody holds more than the plan covers, and nobody twice."""
    world, customer = scene.worlds[0], scene.customer
    world.clock.advance(2 * CHOICE_WINDOW)
    await world.seating.settle_surplus(customer.org_id, customer.subscription_id)
    found = await world.seat_desk.list_seats(customer.org_id, customer.subscription_id)
    held = [view.seat.device_id for view in found.views if view.seat.device_id is not None]
    assert len(held) <= found.allotment.seats == len(found.views)
    assert len(held) == len(set(held))
    async with world.database.reading() as connection:
        registered = (await connection.execute(select(devices.c.public_key_sha256))).scalars().all()
    assert len(registered) == len(set(registered)) <= DEVICES


@pytest.mark.parametrize("seed", range(2))
async def test_no_order_of_changes_gives_a_seat_too_many(database: Database, tmp_path: Path, seed: int) -> None:
    assert await _play(database, tmp_path, seed, rounds=12) > 12


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 120))
async def test_a_campaign_of_changes_gives_no_seat_too_many(database: Database, tmp_path: Path, seed: int) -> None:
    assert await _play(database, tmp_path, seed, rounds=60) > 60
