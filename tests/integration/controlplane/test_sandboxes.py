"""Sandboxes live ahead of everybody else, each by as much as it was moved."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from controlplane.runtime import sandbox as moving
from controlplane.runtime.clock import TenantClock
from controlplane.runtime.jobs.claims import CLAIM_TIMES
from controlplane.runtime.jobs.queue import LONGEST_RETRY, PARKED_AFTER, Handler, Job, schedule
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.sandbox import MAX_ADVANCE, MAX_AHEAD, SandboxDesk
from controlplane.runtime.tables import sandbox_clocks
from controlplane.runtime.tenant_time import TenantTimes, make_sandbox
from controlplane.storage.database import Database
from controlplane.storage.schema import upgrade
from controlplane.storage.types import from_microseconds
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.integration.controlplane.served import Served, served_control_plane
from wire.v1 import command_pb2, device_pb2, sandbox_pb2

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KIND = "note"
MINE, OTHER, REAL = "org_mine", "org_other", "org_real"


class Tenants:
    """Two sandboxes and a real organisation, and a diary of what was done for whom, when, and at which time."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wall = FakeClock()
        self.clock = TenantClock(self.wall)
        self.times = TenantTimes(database)
        self.diary: list[tuple[str, datetime, datetime]] = []
        self.runner = self.server(self.write)
        self.desk = self.desk_of(self.runner)

    def server(self, handler: Handler) -> JobRunner:
        return JobRunner(
            database=self.database, wall=self.wall, owner="srv", handlers={KIND: handler}, times=self.times
        )

    def desk_of(self, runner: JobRunner, *, live_money: bool = False) -> SandboxDesk:
        return SandboxDesk(
            database=self.database,
            wall=self.wall,
            times=self.times,
            runner=runner,
            owner="srv",
            live_money=live_money,
        )

    async def write(self, job: Job) -> None:
        self.diary.append((job.org_id, job.due_at, self.clock.now()))

    async def plan(self, org_id: str, *hours: int) -> None:
        async with self.database.transaction() as uow:
            for number in hours:
                due_at = SOME_MONDAY + number * HOUR
                await schedule(uow, kind=KIND, subject=str(number), due_at=due_at, org_id=org_id)

    async def present(self) -> dict[str, datetime]:
        return {org_id: self.wall.now() + await self.times.ahead(org_id) for org_id in (MINE, OTHER, REAL)}


async def tenants_in(database: Database) -> Tenants:
    async with database.transaction() as uow:
        for org_id in (MINE, OTHER):
            await make_sandbox(uow, org_id)
    return Tenants(database)


@pytest.fixture
async def tenants(database: Database) -> Tenants:
    """On each kind of database: what is about statements and claims."""
    return await tenants_in(database)


@pytest.fixture
async def few(tmp_path: Path) -> AsyncIterator[Tenants]:
    """On SQLite only: what is about decisions."""
    database = Database(f"sqlite+aiosqlite:///{tmp_path / 'few.db'}")
    await upgrade(database)
    yield await tenants_in(database)
    await database.close()


async def test_what_is_due_to_a_sandbox_happens_at_its_own_instant_and_to_nobody_else(tenants: Tenants) -> None:
    for org_id in (MINE, OTHER, REAL):
        await tenants.plan(org_id, 30, 1, 60)
    moved = await tenants.desk.advance(MINE, SOME_MONDAY + 48 * HOUR)
    assert (moved.now, moved.run, moved.failed, moved.reached) == (SOME_MONDAY + 48 * HOUR, 2, 0, True)
    assert tenants.diary == [(MINE, at, at) for at in (SOME_MONDAY + HOUR, SOME_MONDAY + 30 * HOUR)]
    assert await tenants.present() == {MINE: SOME_MONDAY + 48 * HOUR, OTHER: SOME_MONDAY, REAL: SOME_MONDAY}
    assert tenants.clock.now() == tenants.wall.now() == SOME_MONDAY
    shown = await tenants.desk.show(MINE)
    assert (shown.now, shown.ahead, shown.next_due) == (moved.now, 48 * HOUR, SOME_MONDAY + 60 * HOUR)


async def test_a_sandbox_never_goes_back_and_afterwards_lives_on_ahead(tenants: Tenants) -> None:
    await tenants.desk.advance(MINE, SOME_MONDAY + 48 * HOUR)
    assert (await tenants.desk.advance(MINE, SOME_MONDAY)).now == SOME_MONDAY + 48 * HOUR
    await tenants.plan(MINE, 50)
    await tenants.plan(REAL, 2, 50)
    assert (await tenants.runner.run_until(tenants.wall.now())).run == 0
    tenants.wall.advance(3 * HOUR)
    assert (await tenants.runner.run_until(tenants.wall.now())).run == 2
    assert sorted(tenants.diary) == [
        (MINE, SOME_MONDAY + 50 * HOUR, SOME_MONDAY + 51 * HOUR),
        (REAL, SOME_MONDAY + 2 * HOUR, SOME_MONDAY + 3 * HOUR),
    ]


async def test_nobody_else_works_for_a_sandbox_that_is_being_moved(tenants: Tenants) -> None:
    meanwhile: list[object] = []

    async def look(job: Job) -> None:
        meanwhile.append((await tenants.runner.run_until(tenants.wall.now() + 100 * HOUR)).run)
        with pytest.raises(Refusal) as refused:
            await tenants.desk.advance(MINE, SOME_MONDAY + 100 * HOUR)
        meanwhile.append(refused.value.reason)

    await tenants.plan(MINE, 1, 2)
    assert (await tenants.desk_of(tenants.server(look)).advance(MINE, SOME_MONDAY + HOUR)).run == 1
    assert (meanwhile, tenants.diary) == ([0, "SANDBOX_MOVING"], [])
    assert (await tenants.desk.advance(MINE, SOME_MONDAY + 2 * HOUR)).run == 1


async def test_whoever_lost_a_sandbox_in_the_middle_leaves_its_jobs_alone(few: Tenants) -> None:
    async def rob(job: Job) -> None:
        await few.write(job)
        async with few.database.transaction() as uow:
            await uow.connection.execute(update(sandbox_clocks).values(moving_by="srv_other:1"))

    await few.plan(MINE, 1, 2)
    with pytest.raises(Refusal) as refused:
        await few.desk_of(few.server(rob)).advance(MINE, SOME_MONDAY + 3 * HOUR)
    assert refused.value.reason == "SANDBOX_MOVING"
    async with few.database.transaction() as uow:
        await uow.connection.execute(update(sandbox_clocks).values(moving_by=None, moving_until=None))
    assert (await few.desk.advance(MINE, SOME_MONDAY + 3 * HOUR)).run == 1
    assert [at for _, at, _ in few.diary] == [SOME_MONDAY + HOUR, SOME_MONDAY + 2 * HOUR]


async def test_a_sandbox_whose_mover_was_killed_is_free_within_a_minute(few: Tenants) -> None:
    async with few.database.transaction() as uow:
        until = few.wall.now() + CLAIM_TIMES.lasts
        await uow.connection.execute(update(sandbox_clocks).values(moving_by="srv_dead:1", moving_until=until))
    with pytest.raises(Refusal):
        await few.desk.advance(MINE, SOME_MONDAY + HOUR)
    few.wall.advance(timedelta(minutes=1))
    assert (await few.desk.advance(MINE, SOME_MONDAY + HOUR)).reached


async def test_a_job_that_is_under_way_is_waited_for_before_the_sandbox_moves(few: Tenants) -> None:
    began = asyncio.Event()

    async def slow(job: Job) -> None:
        began.set()
        while (await few.times.look(MINE)) == still:  # noqa: ASYNC110 -- a row is looked at, not an event
            await asyncio.sleep(0)
        await few.write(job)

    still = await few.times.look(MINE)
    await few.plan(MINE, 0, 1)
    async with asyncio.TaskGroup() as group:
        group.create_task(few.server(slow).run_until(SOME_MONDAY))
        await began.wait()
        moved = await few.desk.advance(MINE, SOME_MONDAY + HOUR)
    assert moved.run == 1
    assert [now for _, _, now in few.diary] == [SOME_MONDAY, SOME_MONDAY + HOUR]


async def test_one_call_does_a_bounded_piece_and_the_next_one_goes_on(
    few: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "MAX_JOBS", 2)
    await few.plan(MINE, 1, 2, 3)
    until = SOME_MONDAY + 9 * HOUR
    first, second = await few.desk.advance(MINE, until), await few.desk.advance(MINE, until)
    assert (first.now, first.run, first.reached) == (SOME_MONDAY + 2 * HOUR, 2, False)
    assert (second.now, second.run, second.reached) == (until, 1, True)


async def test_a_job_that_fails_in_a_sandbox_is_told_and_shown_when_it_is_parked(few: Tenants) -> None:
    async def fail(_job: Job) -> None:
        raise RuntimeError("broken on purpose")

    await few.plan(MINE, 1)
    desk = few.desk_of(few.server(fail))
    failures = []
    while not (await desk.show(MINE)).parked:
        failures.append((await desk.advance(MINE, SOME_MONDAY + 2 * HOUR)).failed)
        few.wall.advance(LONGEST_RETRY)
    assert failures == [1] * PARKED_AFTER


async def test_what_cannot_be_moved_is_not(few: Tenants) -> None:
    for org_id, by, reason in (
        (REAL, DAY, "NOT_A_SANDBOX"),
        ("org_nobody", DAY, "NOT_A_SANDBOX"),
        (MINE, MAX_ADVANCE + DAY, "ADVANCE_INVALID"),
    ):
        with pytest.raises(Refusal) as refused:
            await few.desk.advance(org_id, SOME_MONDAY + by)
        assert refused.value.reason == reason
    assert await few.present() == dict.fromkeys((MINE, OTHER, REAL), SOME_MONDAY)


async def test_a_sandbox_has_an_end_and_stands_still_where_money_is_real(few: Tenants) -> None:
    for years in range(10, 101, 10):
        await few.desk.advance(MINE, SOME_MONDAY + years * timedelta(days=365))
    for desk, reason in (
        (few.desk, "SANDBOX_TOO_FAR"),
        (few.desk_of(few.runner, live_money=True), "SANDBOX_LIVE_MONEY"),
    ):
        with pytest.raises(Refusal) as refused:
            await desk.advance(MINE, SOME_MONDAY + MAX_AHEAD + DAY)
        assert refused.value.reason == reason


# ------------------------------------------------------------ a whole server


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path) as running:
        yield running


async def test_a_device_of_a_sandbox_is_told_the_time_of_its_sandbox(served: Served) -> None:
    await served.advance(100 * DAY)
    present = await served.sandbox.GetSandbox(sandbox_pb2.GetSandboxRequest(), metadata=await served.sign_in())
    there = from_microseconds(present.now_at_us)
    device = await served.activate()
    checked_in = await device.calls.CheckIn(
        device_pb2.CheckInRequest(status=device_pb2.DeviceStatus(), entitlement_serial=1)
    )
    for told in (device.activated.server_time_at_us, checked_in.server_time_at_us):
        assert timedelta(0) <= from_microseconds(told) - there < HOUR
    assert 99 * DAY < timedelta(microseconds=present.ahead_us) <= 100 * DAY


async def test_a_device_that_stays_connected_lives_on_at_the_time_of_its_sandbox(served: Served) -> None:
    device = await served.activate()
    call = device.calls.Connect()
    assert (await _frame(call)).HasField("welcome")
    await served.advance(100 * DAY)
    asked = await served.commands.RequestCommand(
        command_pb2.RequestCommandRequest(
            device_id=device.activated.device_id,
            kind="scan",
            arguments={"what": "quick"},
            idempotency_key="scan-it-now",
        ),
        metadata=await served.sign_in(),
    )
    while not (frame := await _frame(call)).HasField("commands"):
        pass
    assert [command.command_id for command in frame.commands.commands] == [asked.command.command_id]
    wanted = command_pb2.GetCommandRequest(command_id=asked.command.command_id)
    record = await served.commands.GetCommand(wanted, metadata=await served.sign_in())
    assert record.delivered_at_us >= record.requested_at_us
    call.cancel()


async def _frame(call: Any) -> device_pb2.ConnectResponse:
    frame = await call.read()
    assert isinstance(frame, device_pb2.ConnectResponse)
    return frame
