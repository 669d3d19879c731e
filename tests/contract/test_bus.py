"""What every bus between replicas promises, over the real PostgreSQL and the real NATS where there is one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from controlplane.runtime.bus.memory import MemoryBus
from controlplane.runtime.bus.nats import nats_bus
from controlplane.runtime.bus.port import Bus, Hint
from controlplane.runtime.bus.postgresql import postgresql_bus
from tests.fakes.waiting import until
from tests.integration.nats_server import NatsServer, nats_program
from tests.integration.postgres_server import PostgresServer, running_postgres

ONE, TWO = Hint("org_1", "dev_1"), Hint("org_1", "dev_2")
MakeBus = Callable[[], Bus]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(nats_program(), tmp_path)
    server.start()
    await server.answers()
    yield server
    server.stop()


@pytest.fixture(params=["memory", pytest.param("postgresql", marks=pytest.mark.postgres), "nats"])
def make_bus(request: pytest.FixtureRequest) -> MakeBus:
    """Makes members of one bus; in memory there is only ever one."""
    if request.param == "memory":
        alone = MemoryBus()
        return lambda: alone
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        return lambda: postgresql_bus(server.url("postgres"), retry_s=0.05)
    nats: NatsServer = request.getfixturevalue("nats_server")
    return lambda: nats_bus(nats.url, retry_s=0.05)


@asynccontextmanager
async def running(*members: Bus) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(member.run()) for member in members]
        await until(lambda: all(member.is_connected for member in members))
        yield
        for task in tasks:
            task.cancel()


def heard_by(bus: Bus) -> list[Hint]:
    heard: list[Hint] = []
    bus.subscribe(heard.append)
    return heard


async def test_a_hint_is_heard_by_every_member_and_by_its_own_once(make_bus: MakeBus) -> None:
    here, there = make_bus(), make_bus()
    heard_here, heard_there = heard_by(here), heard_by(there)
    async with running(here, there):
        here.publish(ONE)
        assert heard_here[-1] == ONE, "its own process hears it at once"
        await until(lambda: ONE in heard_there)
        there.publish(TWO)
        await until(lambda: TWO in heard_here)
    assert heard_here.count(ONE) == heard_there.count(ONE) == 1
    assert here.dropped == 0


async def test_what_is_published_before_the_bus_runs_is_told_later(make_bus: MakeBus) -> None:
    here, there = make_bus(), make_bus()
    heard_there = heard_by(there)
    async with running(there):
        here.publish(ONE)
        async with running(here):
            await until(lambda: ONE in heard_there)
    assert set(heard_there) == {ONE}


async def test_a_listener_that_fails_keeps_nothing_from_the_others(make_bus: MakeBus) -> None:
    bus = make_bus()

    def fail(hint: Hint) -> None:
        raise RuntimeError(hint.device_id)

    bus.subscribe(fail)
    heard = heard_by(bus)
    bus.publish(ONE)
    assert heard == [ONE]


async def test_a_burst_arrives_whole(make_bus: MakeBus) -> None:
    here, there = make_bus(), make_bus()
    heard_there = heard_by(there)
    burst = {Hint("org_" + "x" * 60, f"dev_{number:060}") for number in range(500)}
    async with running(here, there):
        for hint in burst:
            here.publish(hint)
        await until(lambda: len(set(heard_there)) >= len(burst))
    assert set(heard_there) == burst


@pytest.mark.postgres
async def test_a_database_that_cut_the_line_is_found_again(postgres: PostgresServer) -> None:
    here, there = (postgresql_bus(postgres.url("postgres"), retry_s=0.05) for _ in range(2))
    heard_there = heard_by(there)
    async with running(here, there):
        # One may be back before the other has noticed.
        async with asyncio.TaskGroup() as losses:
            for member in (here, there):
                losses.create_task(until(lambda member=member: not member.is_connected))  # type: ignore[misc]
            await postgres.cut_listeners()
        await until(lambda: here.is_connected and there.is_connected)
        here.publish(ONE)
        await until(lambda: ONE in heard_there)
    assert here.dropped == 0


async def test_a_nats_server_that_was_away_is_found_again(nats_server: NatsServer) -> None:
    here, there = (nats_bus(nats_server.url, retry_s=0.05) for _ in range(2))
    heard_here, heard_there = heard_by(here), heard_by(there)
    async with running(here, there):
        nats_server.stop()
        await until(lambda: not here.is_connected and not there.is_connected)
        here.publish(TWO)
        assert heard_here == [TWO], "this process needs no bus"
        nats_server.start()
        await until(lambda: here.is_connected and there.is_connected)
        here.publish(ONE)
        await until(lambda: ONE in heard_there)
