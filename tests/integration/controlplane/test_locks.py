"""Who waits for whom on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.detections.model import LAST_AT_EVERY, IncidentStatus
from controlplane.detections.tables import incidents
from controlplane.runtime.paging import Page
from controlplane.storage.database import LOCK_TIMEOUT_S, Database
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.world import World, principal_of
from tests.integration.postgres_server import PostgresServer
from tests.unit.controlplane.detections.test_incidents import found

pytestmark = pytest.mark.postgres
_ROW = text("SELECT name FROM organisations WHERE org_id = :org_id FOR UPDATE")
#: As a report does: who refers to the row need not wait.
_INCIDENT = select(incidents.c.incident_id).with_for_update(key_share=True)
_WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Database]:
    async with postgres.borrowed() as url:
        database = Database(url)
        yield database
        await database.close()


async def _die(connection: AsyncConnection) -> None:
    """As a process that is killed: its end of the line is gone, and nobody said goodbye."""
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    raw._transport.abort()


async def test_who_died_while_waiting_lets_go_of_what_it_holds(database: Database, tmp_path: Path) -> None:
    """Found with two replicas that were killed again and again: a report waited for a dead one, and that for a row."""
    world = World(database, tmp_path)
    one, two = (await world.customer()).org_id, (await world.customer()).org_id

    async def hold_one_and_wait_for_the_other(mine: asyncio.Future[AsyncConnection]) -> None:
        async with database.transaction() as uow:
            await uow.connection.execute(_ROW, {"org_id": one})
            mine.set_result(uow.connection)
            await uow.connection.execute(_ROW, {"org_id": two})

    async with database.transaction() as holder:
        await holder.connection.execute(_ROW, {"org_id": two})
        mine: asyncio.Future[AsyncConnection] = asyncio.get_running_loop().create_future()
        async with asyncio.TaskGroup() as group:
            dying = group.create_task(_told(hold_one_and_wait_for_the_other(mine)))
            connection = await mine
            await _somebody_waits(holder.connection)
            await _die(connection)
            assert await dying
        # The row it waited for is still ours; the one it held is free.
        async with database.transaction() as uow:
            assert (await uow.connection.execute(_ROW, {"org_id": one})).one_or_none() is not None


async def _somebody_waits(connection: AsyncConnection) -> None:
    async with asyncio.timeout(30):
        while not (await connection.execute(_WAITING)).scalar_one():  # noqa: ASYNC110 -- of another program
            await asyncio.sleep(0.01)


async def _told(work: Awaitable[None]) -> bool:
    with pytest.raises(DatabaseUnavailableError):
        await work
    return True


async def test_nobody_waits_for_a_lock_longer_than_a_device_waits_for_its_answer(
    database: Database, tmp_path: Path
) -> None:
    org_id = (await World(database, tmp_path).customer()).org_id
    async with database.transaction() as holder:
        shown = (await holder.connection.execute(text("SHOW lock_timeout"))).scalar_one()
        assert shown == f"{LOCK_TIMEOUT_S}s"
        await holder.connection.execute(_ROW, {"org_id": org_id})

        async def wait_shortly() -> None:
            async with database.transaction() as uow:
                await uow.connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
                await uow.connection.execute(_ROW, {"org_id": org_id})

        assert await _told(wait_shortly())


async def test_an_outbreak_does_not_queue_for_the_row_of_its_incident(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path)
    customer = await world.customer()
    one, two = principal_of(await world.activate(customer, name="1")), principal_of(await world.activate(customer))
    await world.detections.report(one, [found(1, "Eicar")], {})
    world.clock.advance(LAST_AT_EVERY + timedelta(seconds=1))
    async with database.transaction() as holder:
        await holder.connection.execute(_INCIDENT)
        # It would say when the threat was seen last, which whoever has the row says as well.
        await world.detections.report(two, [found(2, "Eicar")], {})
    (view,) = (await world.incidents.page(customer.org_id, Page(size=10))).views
    assert (view.devices, view.detections) == (2, 2)
    assert view.incident.last_at == world.clock.now() - LAST_AT_EVERY - timedelta(seconds=1)

    await world.incidents.set_status(customer.person, view.incident.incident_id, IncidentStatus.RESOLVED, "")
    async with database.transaction() as holder:
        await holder.connection.execute(_INCIDENT)
        async with asyncio.TaskGroup() as group:
            reporting = group.create_task(world.detections.report(one, [found(3, "Eicar")], {}))
            # It opens the incident again, which nobody else does for it.
            await _somebody_waits(holder.connection)
            assert not reporting.done()
            await holder.connection.rollback()
    (view,) = (await world.incidents.page(customer.org_id, Page(size=10))).views
    assert view.incident.status is IncidentStatus.NEW
