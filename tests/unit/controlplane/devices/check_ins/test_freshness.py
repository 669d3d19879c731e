"""Contacts that change nothing: kept, written together, lost only with the process."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.devices.model import OFFLINE_AFTER, HealthIssue, ProtectionState
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import Database, UnitOfWork
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.world import World, principal_of
from tests.unit.controlplane.devices.test_clones import REPORT


class CountingDatabase(Database):
    """Counts transactions that may write; can be away."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.transactions = 0
        self.away = False
        self.meanwhile: Callable[[], None] = lambda: None

    @asynccontextmanager
    async def transaction(self, *, bulk: bool = False) -> AsyncIterator[UnitOfWork]:
        self.transactions += 1
        if self.away:
            raise ConnectionError("the database is away")
        async with super().transaction(bulk=bulk) as uow:
            self.meanwhile()
            yield uow


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[CountingDatabase]:
    opened = CountingDatabase(await migrated_sqlite(tmp_path / "counted.db"))
    yield opened
    await opened.close()


@pytest.fixture
def keeping(database: CountingDatabase, tmp_path: Path) -> World:
    """A server that keeps contacts for a while."""
    folder = tmp_path / "keeping"
    folder.mkdir(mode=0o700)
    return World(database, folder, write_every=WRITE_EVERY)


async def _device(world: World) -> DevicePrincipal:
    device = principal_of(await world.activate(await world.customer()))
    await world.check_ins.take(device, REPORT, 1, b"")
    return device


async def _last_seen(world: World, device: DevicePrincipal) -> object:
    status = (await world.fleet.get(device.org_id, device.device_id)).status
    assert status is not None
    return status.last_seen


async def test_a_check_in_that_changes_nothing_writes_nothing(keeping: World, database: CountingDatabase) -> None:
    device = await _device(keeping)
    first, before = keeping.clock.now(), database.transactions
    for _ in range(3):
        keeping.clock.advance(timedelta(minutes=1))
        await keeping.check_ins.take(device, replace(REPORT, raw=b"\x58\x01"), 1, b"")
    assert database.transactions == before
    assert await _last_seen(keeping, device) == first
    assert (await keeping.freshness.write(), await keeping.freshness.write()) == (1, 0)
    assert await _last_seen(keeping, device) == keeping.clock.now()


@pytest.mark.parametrize(
    "change",
    [
        {"real_time_enabled": False},
        {"health_issues": (HealthIssue("root_unreadable", "one root cannot be read"),)},
        {"events_lost": 1},
        {"proven_at": None},
    ],
)
async def test_what_somebody_must_know_is_written_before_the_answer(keeping: World, change: dict[str, object]) -> None:
    device = await _device(keeping)
    await keeping.check_ins.take(device, replace(REPORT, **change), 1, b"")  # type: ignore[arg-type]
    assert (await keeping.fleet.summary(device.org_id)).counts[ProtectionState.AT_RISK] == 1
    assert keeping.freshness.waiting == 0


async def test_a_device_that_comes_back_is_not_offline_any_more(keeping: World) -> None:
    device = await _device(keeping)
    keeping.clock.advance(OFFLINE_AFTER + timedelta(seconds=1))
    assert (await keeping.fleet.summary(device.org_id)).counts[ProtectionState.OFFLINE] == 1
    await keeping.check_ins.take(device, REPORT, 1, b"")
    assert (await keeping.fleet.summary(device.org_id)).counts[ProtectionState.PROTECTED] == 1


async def test_contacts_wait_for_a_database_that_is_away(keeping: World, database: CountingDatabase) -> None:
    device = await _device(keeping)
    keeping.clock.advance(timedelta(minutes=1))
    await keeping.check_ins.take(device, REPORT, 1, b"")
    database.away = True
    with pytest.raises(ConnectionError):
        await keeping.freshness.write()
    assert keeping.freshness.waiting == 1
    await keeping.freshness.finish()
    database.away = False
    await keeping.freshness.write()
    assert await _last_seen(keeping, device) == keeping.clock.now()


async def test_what_a_device_showed_is_known_while_it_is_being_written(
    keeping: World, database: CountingDatabase
) -> None:
    device = await _device(keeping)
    await keeping.check_ins.take(device, REPORT, 1, b"")
    waits = keeping.freshness.shown(device.org_id, device.device_id)
    seen = []
    database.meanwhile = lambda: seen.append(keeping.freshness.shown(device.org_id, device.device_id))
    await keeping.freshness.write()
    assert waits is not None
    assert seen == [waits]
    assert keeping.freshness.shown(device.org_id, device.device_id) is None


async def test_a_device_in_contact_is_never_due(keeping: World) -> None:
    device = await _device(keeping)
    for _ in range(60):
        keeping.clock.advance(timedelta(minutes=1))
        await keeping.check_ins.take(device, REPORT, 1, b"")
        await keeping.freshness.write()
    assert await keeping.fleet_counters.settle() == 0
    assert (await keeping.fleet.summary(device.org_id)).counts[ProtectionState.PROTECTED] == 1
