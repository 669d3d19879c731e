"""What everybody promises who takes reports of devices: straight into the database, or by way of a buffer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from nats import connect
from sqlalchemy import select

from controlplane.accounts.tables import audit
from controlplane.detections.buffered_intake import BufferedIntake, IntakeGround
from controlplane.detections.dead_reports import DeadReports
from controlplane.detections.model import MAX_INCIDENTS
from controlplane.detections.ports import Intake
from controlplane.detections.service import DetectionFilter
from controlplane.runtime.bus.jetstream import JetStreamQueue
from controlplane.runtime.bus.queue import DurableQueue
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.randomness import SystemRandomness
from controlplane.runtime.refusal import Refusal
from tests.fakes.durable_queue import FakeQueue
from tests.fakes.waiting import until
from tests.fakes.world import World, principal_of, world_on_sqlite
from tests.integration.nats_server import NatsServer, nats_program
from tests.unit.controlplane.detections.test_service import incident


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with world_on_sqlite(tmp_path) as opened:
        yield opened


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[NatsServer]:
    server = NatsServer(nats_program(), tmp_path, jetstream=True)
    server.start()
    await server.answers()
    yield server
    server.stop()


def buffered(world: World, queue: DurableQueue) -> BufferedIntake:
    dead = DeadReports(world.database, world.detections, world.sealing_key, world.times)
    ground = IntakeGround(
        queue=queue,
        detections=world.detections,
        dead=dead,
        sealer=world.sealing_key,
        times=world.times,
        wall=world.clock,
        randomness=SystemRandomness(),
    )
    return BufferedIntake(ground)


@pytest.fixture(params=["straight", "fake", "jetstream"])
def queue(request: pytest.FixtureRequest) -> DurableQueue | None:
    """Where reports wait; None: nowhere."""
    if request.param == "straight":
        return None
    if request.param == "fake":
        return FakeQueue()
    server: NatsServer = request.getfixturevalue("nats_server")
    return JetStreamQueue(server.url, "TEST", retry_s=0.05)


@pytest.fixture
async def intake(world: World, queue: DurableQueue | None) -> AsyncIterator[Intake]:
    if queue is None:
        yield world.detections
        return
    through = buffered(world, queue)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(through.run())
        await until(lambda: queue.is_connected)
        yield through
        task.cancel()
    assert through.counts.straight == 0


@asynccontextmanager
async def working(queue: JetStreamQueue) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(queue.run())
        await until(lambda: queue.is_connected)
        yield
        task.cancel()


async def settled(intake: Intake) -> None:
    """Everything that was taken is stored, or was given up."""
    if isinstance(intake, BufferedIntake):
        counts = intake.counts
        await until(lambda: counts.stored + counts.dead >= counts.buffered)


async def stored(world: World, org_id: str) -> list[int]:
    page = await world.detections.page(org_id, Page(size=1_000), DetectionFilter())
    return sorted(int.from_bytes(found.incident.uuid, "big") for found in page.detections)


async def device_of(world: World) -> DevicePrincipal:
    return principal_of(await world.activate(await world.customer()))


async def test_what_is_reported_is_stored_once_however_often(world: World, intake: Intake) -> None:
    device = await device_of(world)
    await intake.report(device, [incident(1), incident(2)], {})
    await intake.report(device, [incident(2), incident(3)], {})
    await settled(intake)
    assert await stored(world, device.org_id) == [1, 2, 3]
    assert (await world.detections.get(device.org_id, incident(1).uuid)).incident == incident(1)


async def test_what_was_dropped_is_in_the_audit_once(world: World, intake: Intake) -> None:
    device = await device_of(world)
    await intake.report(device, [incident(1)], {"low": 7})
    await settled(intake)
    async with world.database.reading() as connection:
        query = select(audit.c.details).where(audit.c.action == "device.reports_dropped")
        assert (await connection.execute(query)).scalars().all() == ['{"low": "7"}']


async def test_too_large_a_report_is_refused_at_once(world: World, intake: Intake) -> None:
    device = await device_of(world)
    with pytest.raises(Refusal) as caught:
        await intake.report(device, [incident(number) for number in range(MAX_INCIDENTS + 1)], {})
    assert caught.value.reason == "TOO_MANY_INCIDENTS"
    await settled(intake)
    assert await stored(world, device.org_id) == []


async def test_nothing_of_a_device_that_may_not_report_is_stored(world: World, intake: Intake) -> None:
    device = await device_of(world)
    replaced = replace(device, public_key_sha256=bytes(32))
    if isinstance(intake, BufferedIntake):
        await intake.report(replaced, [incident(1)], {})
        await settled(intake)
        (dead,) = await intake.ground.dead.list_all()
        assert (dead.org_id, dead.device_id, dead.code) == (device.org_id, device.device_id, "DEVICE_REPLACED")
    else:
        with pytest.raises(Refusal) as caught:
            await intake.report(replaced, [incident(1)], {})
        assert caught.value.reason == "DEVICE_REPLACED"
    assert await stored(world, device.org_id) == []


async def test_replicas_share_a_buffer_which_outlives_its_server(world: World, nats_server: NatsServer) -> None:
    device = await device_of(world)
    here, there = (buffered(world, JetStreamQueue(nats_server.url, "TEST", retry_s=0.05)) for _ in range(2))
    async with asyncio.TaskGroup() as tasks:
        queue = tasks.create_task(here.ground.queue.run())
        await until(lambda: here.ground.queue.is_connected)
        for number in range(20):
            await here.report(device, [incident(number)], {})
        queue.cancel()
    assert here.counts.buffered == 20
    nats_server.stop()
    nats_server.start()
    await nats_server.answers()
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.run()) for each in (here, there)]
        await until(lambda: here.counts.stored + there.counts.stored >= 20)
        for task in running:
            task.cancel()
    assert await stored(world, device.org_id) == list(range(20))
    assert min(here.counts.stored, there.counts.stored) > 0


async def test_a_consumer_of_an_older_server_gives_nothing_up_and_stays_its_operators_otherwise(
    nats_server: NatsServer,
) -> None:
    queue = JetStreamQueue(nats_server.url, "TEST", retry_s=0.05)
    client = await connect(nats_server.url)
    stream = client.jetstream()
    try:
        async with working(queue):
            await queue.put("rep_1", b"report")
            made = (await stream.consumer_info("TEST", "writers")).config
        assert made.max_deliver == -1
        older = made.evolve(max_deliver=5, ack_wait=7.0, max_waiting=None)
        await stream.add_consumer("TEST", older)
        async with working(queue):
            assert [taken.body for taken in await queue.take(1)] == [b"report"]
            now = (await stream.consumer_info("TEST", "writers")).config
        assert (now.max_deliver, now.ack_wait) == (-1, 7.0)
    finally:
        await client.close()


async def test_a_server_without_jetstream_is_refused(tmp_path: Path) -> None:
    server = NatsServer(nats_program(), tmp_path)
    server.start()
    await server.answers()
    try:
        with pytest.raises(Refusal) as caught:
            await JetStreamQueue(server.url, "TEST").check()
        assert caught.value.reason == "JETSTREAM_OFF"
    finally:
        server.stop()
    # One that is away is waited for: nothing is known of it yet.
    await JetStreamQueue(server.url, "TEST").check()
