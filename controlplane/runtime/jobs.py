"""Durable jobs: work that happens at its own instant, once, whichever replica is alive then.

`advance_to(t)` runs what is due until `t`, one job after the other, each at its own due instant, in the order (due
instant, kind, tenant, subject). A running server calls it with the present; a sandbox calls it with the future.

A job is claimed by one conditional update and forgotten (or armed again) by another. A process that dies in between
leaves a claim that runs out: handlers are called at least once and must be repeatable.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Row, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.runtime.clock import Clock
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into

#: A handler that takes longer is cancelled; then another replica may try.
CLAIMED_FOR: Final = timedelta(minutes=5)
#: After the first failure; doubled with each further one.
FIRST_RETRY: Final = timedelta(seconds=1)
LONGEST_RETRY: Final = timedelta(minutes=5)
#: A running server looks this often; jobs are due to the minute, not to the second.
POLL_EVERY: Final = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One job that is due.

    Attributes:
        org_id: Whose; empty: the whole installation's.
        kind: Names the handler.
        subject: What it is about; a job exists once per (org_id, kind, subject).
        due_at: The instant at which it happens, also when it runs late.
        every: How often; None: once.
        attempts: Failures so far.
    """

    org_id: str
    kind: str
    subject: str
    due_at: datetime
    every: timedelta | None
    attempts: int


@dataclass(frozen=True, slots=True)
class AdvanceReport:
    """What one `advance_to` did."""

    run: int
    failed: int


Handler = Callable[[Job], Awaitable[None]]
MoveClock = Callable[[datetime], Awaitable[None]]


def next_due(due_at: datetime, every: timedelta, horizon: datetime) -> datetime:
    """When a recurring job is due again: the first of its instants after the horizon.

    Recurring jobs are sweeps: they look at what there is, so instants that were missed are made up by one run.
    """
    missed = max(0, (horizon - due_at) // every)
    return due_at + every * (missed + 1)


def retry_delay(attempts: int) -> timedelta:
    """How long a job rests after so many failures."""
    doublings = min(attempts - 1, 20)
    return min(LONGEST_RETRY, FIRST_RETRY * (1 << doublings))


async def schedule(uow: UnitOfWork, *, kind: str, subject: str, due_at: datetime, org_id: str = "") -> None:
    """Have a job run once at `due_at`; one that is there already is moved."""
    values = {"due_at": due_at, "every_us": None, "attempts": 0, "claimed_until": None, "claimed_by": None}
    await uow.connection.execute(
        insert_into(uow.connection, jobs)
        .values(org_id=org_id, kind=kind, subject=subject, **values)
        .on_conflict_do_update(index_elements=["org_id", "kind", "subject"], set_=values)
    )


async def ensure_recurring(uow: UnitOfWork, *, kind: str, every: timedelta, first_at: datetime) -> None:
    """Have a sweep run every so often, from `first_at` on; one that is there already keeps its instant."""
    key = {"org_id": "", "kind": kind, "subject": ""}
    await uow.connection.execute(
        insert_into(uow.connection, jobs)
        .values(**key, due_at=first_at, every_us=every // _MICROSECOND, attempts=0)
        .on_conflict_do_update(index_elements=list(key), set_={"every_us": every // _MICROSECOND})
    )


async def lag(connection: AsyncConnection, now: datetime) -> timedelta:
    """How long the oldest job that is due has waited; none: no time at all."""
    oldest = (await connection.execute(select(func.min(jobs.c.due_at)).where(jobs.c.due_at <= now))).scalar_one()
    return timedelta(0) if oldest is None else now - oldest


class JobRunner:
    """Runs due jobs.

    Args:
        database: Where they are.
        clock: Business time: decides what is due.
        wall: The machine's clock: decides when a claim has run out.
        owner: Names this process among the replicas.
        handlers: By kind; a job of another kind is left to a server that knows it.
        move_clock: Takes the business clock to a job's due instant; None: time moves by itself.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        wall: Clock,
        owner: str,
        handlers: Mapping[str, Handler],
        move_clock: MoveClock | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall
        self._owner = owner
        self._handlers = handlers
        self._move_clock = move_clock
        # The sandbox's call and the server's own loop take turns: instants must come in order.
        self._turn = asyncio.Lock()

    async def advance_to(self, instant: datetime) -> AdvanceReport:
        """Run everything due until `instant`; then, in a sandbox, it is that time."""
        run = failed = 0
        async with self._turn:
            while (job := await self._claim(instant)) is not None:
                await self._move(job.due_at)
                if await self._run(job, instant):
                    run += 1
                else:
                    failed += 1
            await self._move(instant)
        return AdvanceReport(run, failed)

    async def run_forever(self) -> None:
        """Run jobs as they fall due, until cancelled."""
        while True:
            try:
                await self.advance_to(self._clock.now())
            # Supervision point: a database that is away for a while must not end the server; the jobs wait in it.
            except Exception as error:  # noqa: BLE001
                _log.error("jobs_not_run", exc_info=error)
            await asyncio.sleep(POLL_EVERY.total_seconds())

    async def _move(self, instant: datetime) -> None:
        if self._move_clock is not None:
            await self._move_clock(instant)

    async def _claim(self, instant: datetime) -> Job | None:
        columns = jobs.c
        wall_now = self._wall.now()
        free = or_(columns.claimed_until.is_(None), columns.claimed_until <= wall_now)
        due = (columns.due_at <= instant, columns.kind.in_(sorted(self._handlers)), free)
        candidate = (
            select(columns.org_id, columns.kind, columns.subject, columns.due_at, columns.every_us, columns.attempts)
            .where(*due)
            .order_by(columns.due_at, columns.kind, columns.org_id, columns.subject)
            .limit(1)
        )
        # Looked for without a write lock: an idle server polls this every second.
        async with self._database.reading() as connection:
            if (await connection.execute(candidate)).first() is None:
                return None
        async with self._database.transaction() as uow:
            row = (await uow.connection.execute(candidate.with_for_update(skip_locked=True))).one_or_none()
            if row is None:
                return None
            job = _job(row)
            await uow.connection.execute(
                update(jobs).where(*_key(job)).values(claimed_until=wall_now + CLAIMED_FOR, claimed_by=self._owner)
            )
            return job

    async def _run(self, job: Job, horizon: datetime) -> bool:
        try:
            async with asyncio.timeout(CLAIMED_FOR.total_seconds()):
                await self._handlers[job.kind](job)
        # Supervision point: one job that fails rests and is tried again, the others go on.
        except Exception as error:  # noqa: BLE001
            _log.error("job_failed", kind=job.kind, subject=job.subject, attempts=job.attempts + 1, exc_info=error)
            await self._rest(job, error)
            return False
        await self._finish(job, horizon)
        return True

    async def _rest(self, job: Job, error: Exception) -> None:
        attempts = job.attempts + 1
        async with self._database.transaction() as uow:
            await uow.connection.execute(
                update(jobs)
                .where(*self._ours(job))
                .values(
                    attempts=attempts,
                    claimed_until=self._wall.now() + retry_delay(attempts),
                    claimed_by=None,
                    last_error=type(error).__name__,
                )
            )

    async def _finish(self, job: Job, horizon: datetime) -> None:
        async with self._database.transaction() as uow:
            if job.every is None:
                await uow.connection.execute(delete(jobs).where(*self._ours(job)))
                return
            await uow.connection.execute(
                update(jobs)
                .where(*self._ours(job))
                .values(
                    due_at=next_due(job.due_at, job.every, horizon),
                    attempts=0,
                    claimed_until=None,
                    claimed_by=None,
                    last_error=None,
                    last_run_at=job.due_at,
                )
            )

    def _ours(self, job: Job) -> tuple[ColumnElement[bool], ...]:
        # The due instant is compared too: a handler may have scheduled its own job anew.
        return (*_key(job), jobs.c.claimed_by == self._owner, jobs.c.due_at == job.due_at)


def _key(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.org_id == job.org_id, jobs.c.kind == job.kind, jobs.c.subject == job.subject)


def _job(row: Row[*tuple[Any, ...]]) -> Job:
    every = None if row.every_us is None else row.every_us * _MICROSECOND
    return Job(row.org_id, row.kind, row.subject, row.due_at, every, row.attempts)
