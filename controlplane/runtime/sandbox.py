"""Moves a sandbox through time: every job of its own happens on the way, at its own instant, one after the other.

Real organisations, other sandboxes and the machine's clock notice nothing. How far a sandbox is ahead is stored before
anything happens there, so that a crash leaves it ahead of what anybody has seen, never behind; it never goes back.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Final

from sqlalchemy import func, or_, select, update

from controlplane.runtime.clock import Clock, running_ahead
from controlplane.runtime.jobs.claims import CLAIM_TIMES
from controlplane.runtime.jobs.runner import JobRunner
from controlplane.runtime.lease import LeaseTimes, held
from controlplane.runtime.principal import SYSTEM_ACTOR, acting_as
from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.tables import jobs, sandbox_clocks
from controlplane.runtime.tenant_time import SandboxStanding, TenantTimes
from controlplane.storage.database import Database

#: Of one request; leap days included.
MAX_ADVANCE: Final = timedelta(days=3653)
#: Of a sandbox's whole life: the calendar has to have room for a term after it.
MAX_AHEAD: Final = timedelta(days=36525)
#: One call does no more than this, then its caller asks again: nobody waits long, and a lost connection loses little.
MAX_JOBS: Final = 100
MAX_SPAN: Final = timedelta(seconds=5)
#: How long to wait for a job of this sandbox that is under way elsewhere.
_PATIENCE: Final = timedelta(seconds=5)
_LOOK_EVERY: Final = timedelta(milliseconds=50)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Where a sandbox is.

    Attributes:
        now: What time it is there.
        ahead: How far that is ahead of the wall's.
        next_due: When its next job is due; None: there is none.
        parked: Jobs that failed too often and wait for a person.
    """

    org_id: str
    now: datetime
    ahead: timedelta
    next_due: datetime | None
    parked: int


@dataclass(frozen=True, slots=True)
class Moved:
    """What one call of `advance` did.

    Attributes:
        now: What time it is in the sandbox.
        run: Jobs that ran.
        failed: Jobs that failed, and are tried again later.
        reached: Whether it is the wished time; otherwise there is more to do on the way.
    """

    now: datetime
    run: int
    failed: int
    reached: bool


class SandboxDesk:
    """Shows and moves sandboxes.

    Args:
        database: Where their clocks are.
        wall: The machine's clock.
        times: Knows which organisations are sandboxes.
        runner: Runs their jobs.
        owner: Names this process among the replicas.
        live_money: Whether payments move real money here; then time stands still.
        lease: Times of the hold on a sandbox that is moved.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        times: TenantTimes,
        runner: JobRunner,
        owner: str,
        live_money: bool,
        lease: LeaseTimes = CLAIM_TIMES,
    ) -> None:
        self._database = database
        self._wall = wall
        self._times = times
        self._runner = runner
        self._owner = owner
        self._live_money = live_money
        self._lease = lease
        self._numbers = count(1)

    async def show(self, org_id: str) -> Sandbox:
        """Where a sandbox is.

        Raises:
            Refusal: NOT_A_SANDBOX.
        """
        standing = await self._standing(org_id)
        columns = jobs.c
        parked = columns.parked_at.is_not(None)
        query = select(
            func.min(columns.due_at).filter(~parked).label("next_due"), func.count().filter(parked).label("parked")
        ).where(columns.org_id == org_id)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one()
        return Sandbox(org_id, self._wall.now() + standing.ahead, standing.ahead, row.next_due, row.parked)

    async def advance(self, org_id: str, until: datetime) -> Moved:
        """Make it at least `until` in a sandbox, or come some of the way: call it until it is reached.

        Raises:
            Refusal: NOT_A_SANDBOX, SANDBOX_LIVE_MONEY, ADVANCE_INVALID, SANDBOX_TOO_FAR, SANDBOX_MOVING or
                SANDBOX_BUSY.
        """
        standing = await self._standing(org_id)
        if self._live_money:
            raise _live_money()
        _check(until, standing, self._wall.now())
        async with self._held(org_id) as hold:
            await self._settled(org_id)
            return await self._steps(org_id, hold, until)

    async def _steps(self, org_id: str, hold: str, until: datetime) -> Moved:
        run = failed = 0
        began = self._wall.now()
        while run + failed < MAX_JOBS and self._wall.now() - began < MAX_SPAN:
            job = await self._runner.take(jobs.c.org_id == org_id, jobs.c.due_at <= until)
            try:
                ahead = await self._move(org_id, hold, until if job is None else job.due_at)
            except Refusal:
                if job is not None:
                    await self._runner.give_back(job)
                raise
            if job is None:
                return Moved(self._wall.now() + ahead, run, failed, reached=True)
            with running_ahead(ahead), acting_as(SYSTEM_ACTOR):
                if await self._runner.run(job, until):
                    run += 1
                else:
                    failed += 1
        standing = await self._standing(org_id)
        return Moved(self._wall.now() + standing.ahead, run, failed, reached=False)

    async def _move(self, org_id: str, hold: str, instant: datetime) -> timedelta:
        """Make it at least `instant`; how far ahead that is."""
        columns = sandbox_clocks.c
        now = self._wall.now()
        offset_us = (instant - now) // _MICROSECOND
        async with self._database.transaction() as uow:
            later = func.greatest if uow.connection.dialect.name == "postgresql" else func.max
            moved = await uow.connection.scalar(
                update(sandbox_clocks)
                .where(columns.org_id == org_id, columns.moving_by == hold)
                .values(offset_us=later(columns.offset_us, offset_us))
                .returning(columns.offset_us)
            )
        if moved is None:
            raise _moving()
        return int(moved) * _MICROSECOND

    @asynccontextmanager
    async def _held(self, org_id: str) -> AsyncIterator[str]:
        """Keep everybody else from its jobs; a process that dies leaves a hold that runs out."""
        columns = sandbox_clocks.c
        hold, now = f"{self._owner}:{next(self._numbers)}", self._wall.now()
        async with self._database.transaction() as uow:
            taken = await uow.connection.execute(
                update(sandbox_clocks)
                .where(columns.org_id == org_id, or_(columns.moving_until.is_(None), columns.moving_until <= now))
                .values(moving_by=hold, moving_until=now + self._lease.lasts)
            )
        if not taken.rowcount:
            raise _moving()
        try:
            async with held(partial(self._renew, org_id, hold), self._lease):
                yield hold
        except TimeoutError as error:
            raise _moving() from error
        finally:
            async with self._database.transaction() as uow:
                await uow.connection.execute(
                    update(sandbox_clocks)
                    .where(columns.org_id == org_id, columns.moving_by == hold)
                    .values(moving_by=None, moving_until=None)
                )
                # What its devices were told rested on the time it was.
                uow.news_for(org_id)

    async def _renew(self, org_id: str, hold: str) -> bool:
        columns = sandbox_clocks.c
        async with self._database.transaction() as uow:
            kept = await uow.connection.execute(
                update(sandbox_clocks)
                .where(columns.org_id == org_id, columns.moving_by == hold)
                .values(moving_until=self._wall.now() + self._lease.lasts)
            )
        return bool(kept.rowcount)

    async def _settled(self, org_id: str) -> None:
        """Wait until no job of it is under way: what comes next must come after it."""
        columns = jobs.c
        for _ in range(_PATIENCE // _LOOK_EVERY):
            query = select(columns.kind).where(
                columns.org_id == org_id, columns.claimed_by.is_not(None), columns.claimed_until > self._wall.now()
            )
            async with self._database.reading() as connection:
                if (await connection.execute(query.limit(1))).first() is None:
                    return
            await asyncio.sleep(_LOOK_EVERY.total_seconds())
        raise Refusal(
            Kind.UNAVAILABLE,
            "SANDBOX_BUSY",
            "a job of this sandbox is under way",
            "Try again in a few seconds",
            retry_after_s=5,
        )

    async def _standing(self, org_id: str) -> SandboxStanding:
        standing = await self._times.look(org_id)
        if standing is None:
            raise Refusal(
                Kind.PRECONDITION,
                "NOT_A_SANDBOX",
                "this organisation lives in real time",
                "Make one that does not: buckler-server organisation create NAME --sandbox",
            )
        return standing


def _check(until: datetime, standing: SandboxStanding, wall_now: datetime) -> None:
    if until - (wall_now + standing.ahead) > MAX_ADVANCE:
        raise Refusal(
            Kind.INVALID,
            "ADVANCE_INVALID",
            f"a sandbox can be moved forward by at most {MAX_ADVANCE.days} days at a time",
            "Choose an earlier moment",
        )
    if until - wall_now > MAX_AHEAD:
        raise Refusal(
            Kind.PRECONDITION,
            "SANDBOX_TOO_FAR",
            f"this sandbox would run more than {MAX_AHEAD.days // 365} years ahead",
            "Make a new one: buckler-server organisation create NAME --sandbox",
        )


def _moving() -> Refusal:
    return Refusal(
        Kind.UNAVAILABLE,
        "SANDBOX_MOVING",
        "somebody else is moving this sandbox",
        "Wait until they are done; then: bucklerctl sandbox show",
        retry_after_s=5,
    )


def _live_money() -> Refusal:
    return Refusal(
        Kind.PRECONDITION,
        "SANDBOX_LIVE_MONEY",
        "payments move real money here, and on the way renewals would be charged",
        "Use an installation whose payment provider has a test key, or none",
    )
