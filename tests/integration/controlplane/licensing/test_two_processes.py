"""Two server processes on one database, 64 devices at once, few seats."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from controlplane.licensing.tables import entitlements, seat_changes, seats
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World

AT_ONCE = 64
LIMITS = (0, 1, 5)
#: Of each slow campaign.
ROUNDS = 1_000
PATIENCE_S = 120.0


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


@pytest.fixture
async def servers(database: Database, tmp_path: Path) -> AsyncIterator[list[Process]]:
    processes = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir(mode=0o700)
        module = "tests.integration.controlplane.licensing.activating_process"
        processes.append(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, database.url, str(folder), stdin=PIPE, stdout=PIPE, limit=2**22
            )
        )
    try:
        for process in processes:
            assert await _line(process) == b"ready\n"
        yield processes
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)


async def _race(servers: list[Process], customer: Customer, same: str = "") -> list[dict[str, Any]]:
    """Half of the devices at each server, all at once."""
    order = {"key": customer.raw_key, "devices": AT_ONCE // len(servers), "same": same}
    for server in servers:
        assert server.stdin is not None
        server.stdin.write(json.dumps(order).encode() + b"\n")
    return [json.loads(await _line(server)) for server in servers]


async def _different_devices(world: World, servers: list[Process], limit: int) -> bool:
    """Whether exactly as many as there are seats got one, each another, and all others were told SEAT_LIMIT."""
    customer = await world.customer(seats=limit)
    answers = await _race(servers, customer)
    given = [seat for answer in answers for seat in answer["seats"]]
    refused = [reason for answer in answers for reason in answer["refused"]]
    return (
        len(given) == len(set(given)) == limit
        and refused == ["SEAT_LIMIT"] * (AT_ONCE - limit)
        and await _count(world, customer) == (limit, limit, limit)
    )


async def _the_same_device(world: World, servers: list[Process]) -> bool:
    """Whether every attempt got the one seat and the one statement."""
    customer = await world.customer(seats=1)
    answers = await _race(servers, customer, DeviceKey().certificate_request().hex())
    return (
        [len(answer["seats"]) for answer in answers] == [AT_ONCE // 2, AT_ONCE // 2]
        and len({statement for answer in answers for statement in answer["entitlements"]}) == 1
        and await _count(world, customer) == (1, 1, 1)
    )


async def _count(world: World, customer: Customer) -> tuple[int, ...]:
    """Seats held, changes of seats, entitlements."""
    queries = (
        select(func.count()).where(seats.c.org_id == customer.org_id, seats.c.device_id.is_not(None)),
        select(func.count()).where(seat_changes.c.org_id == customer.org_id),
        select(func.count()).where(entitlements.c.org_id == customer.org_id),
    )
    async with world.database.reading() as connection:
        return tuple([(await connection.execute(query)).scalar_one() for query in queries])


async def test_exactly_as_many_of_64_devices_at_two_servers_get_a_seat_as_there_are(
    world: World, servers: list[Process]
) -> None:
    for limit in LIMITS:
        assert await _different_devices(world, servers, limit), limit
    # And one device that asks 64 times gets one.
    assert await _the_same_device(world, servers)


@pytest.mark.slow
@pytest.mark.timeout(14_400)
async def test_a_campaign_of_races_gives_no_seat_too_many(world: World, servers: list[Process]) -> None:
    for number in range(ROUNDS):
        assert await _different_devices(world, servers, LIMITS[number % len(LIMITS)])


@pytest.mark.slow
@pytest.mark.timeout(14_400)
async def test_a_campaign_of_one_device_takes_one_seat_each_time(world: World, servers: list[Process]) -> None:
    for _ in range(ROUNDS):
        assert await _the_same_device(world, servers)
