"""Runs due jobs, one after the other, each at the time of its tenant."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import BigInteger, ColumnElement, exists, select, type_coerce

from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.claims import CLAIM_TIMES, JobClaims
from controlplane.runtime.jobs.queue import Handler, Job, failure_of
from controlplane.runtime.lease import LeaseTimes, held
from controlplane.runtime.tables import jobs, sandbox_clocks
from controlplane.runtime.tenant_time import TenantTimes
from controlplane.storage.database import Database
from controlplane.storage.outages import worth_a_traceback
from controlplane.storage.types import to_microseconds

#: A running server looks this often; jobs are due to the minute, not to the second.
POLL_EVERY: Final = timedelta(seconds=1)
#: A handler that takes longer is stopped: jobs run one after the other, and others wait.
RUNS_FOR: Final = timedelta(minutes=4)
#: Seconds for which a server that stops waits for the database to take a job back.
_GIVES_BACK_S: Final = 2.0

#: Goes around a job, and sees how it ends.
Watcher = Callable[[Job], AbstractContextManager[None]]
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What became of jobs."""

    run: int
    failed: int


class JobRunner:
    """Runs due jobs.

    Args:
        database: Where they are.
        wall: The machine's clock: decides what is due to real organisations, and when a claim has run out.
        owner: Names this process among the replicas.
        handlers: By kind; a job of another kind is left to a server that knows it.
        times: Whose time runs ahead.
        lease: Times of the claims of jobs.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        owner: str,
        handlers: Mapping[str, Handler],
        times: TenantTimes,
        lease: LeaseTimes = CLAIM_TIMES,
    ) -> None:
        self._wall = wall
        self._handlers = handlers
        self._times = times
        self._lease = lease
        self._claims = JobClaims(
            database=database, wall=wall, owner=owner, kinds=frozenset(handlers), lasts=lease.lasts
        )
        self._watchers: list[Watcher] = []
        self._parked: list[Callable[[Job], None]] = []

    def watch(self, watcher: Watcher, parked: Callable[[Job], None] | None = None) -> None:
        """Have something around every job from now on, and something told which ones are given up."""
        self._watchers.append(watcher)
        if parked is not None:
            self._parked.append(parked)

    async def run_until(self, instant: datetime) -> RunReport:
        """Run what is due until `instant`, in the order (due instant, kind, tenant, subject) and late if need be.

        To a sandbox everything is due that is so at its own time; one that somebody is moving is left to them.
        """
        run = failed = 0
        while (job := await self._next(instant)) is not None:
            standing = await self._times.look(job.org_id)
            if standing is not None and standing.moving_until is not None and standing.moving_until > self._wall.now():
                # Somebody began to move it while this was claimed: it is theirs.
                await self._claims.give_back(job)
                continue
            async with self._times.of(job.org_id):
                if await self.run(job, instant):
                    run += 1
                else:
                    failed += 1
        return RunReport(run, failed)

    async def run_forever(self) -> None:
        """Run jobs as they fall due, until cancelled."""
        while True:
            try:
                await self.run_until(self._wall.now())
            # Supervision point: a database that is away for a while must not end the server; the jobs wait in it.
            except Exception as error:  # noqa: BLE001
                _log.error("jobs_not_run", error=type(error).__name__, exc_info=worth_a_traceback(error))
            await asyncio.sleep(POLL_EVERY.total_seconds())

    async def take(self, *due: ColumnElement[bool]) -> Job | None:
        """Claim the first job that fulfils the conditions; whoever does must `run` it."""
        return await self._claims.take(*due)

    async def give_back(self, job: Job) -> None:
        """Leave a job that was taken to whoever takes it next."""
        await self._claims.give_back(job)

    async def run(self, job: Job, horizon: datetime) -> bool:
        """Run a job that was taken, at the present of its tenant; whether it succeeded.

        Args:
            job: Which.
            horizon: A recurring job is armed for its first instant after this.
        """
        try:
            async with held(partial(self._claims.renew, job), self._lease, longest=RUNS_FOR):
                with ExitStack() as around:
                    for watcher in self._watchers:
                        around.enter_context(watcher(job))
                    await self._handlers[job.kind](job)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                await self._interrupted(job)
                raise
            # What the handler waited for was cancelled, and not this server: no other job may be lost by that.
            await self._failed(job, error)
            return False
        # Supervision point: one job that fails rests and is tried again, the others go on.
        except Exception as error:  # noqa: BLE001
            await self._failed(job, error)
            return False
        await self._claims.finish(job, horizon)
        return True

    async def _failed(self, job: Job, error: BaseException) -> None:
        _log.error("job_failed", kind=job.kind, subject=job.subject, attempts=job.attempts + 1, exc_info=error)
        if await self._claims.rest(job, failure_of(error)):
            _log.error("job_parked", kind=job.kind, subject=job.subject)
            for told in self._parked:
                told(job)

    async def _interrupted(self, job: Job) -> None:
        """This server stops in the middle of a job: another one, or this one's next start, need not wait for it."""
        try:
            async with asyncio.timeout(_GIVES_BACK_S):
                await self._claims.give_back(job)
        # Supervision point: a server that stops is not kept by a database that is away; the claim runs out.
        except Exception as error:  # noqa: BLE001
            _log.warning("job_not_given_back", kind=job.kind, subject=job.subject, error=type(error).__name__)

    async def _next(self, instant: datetime) -> Job | None:
        sandboxes = sandbox_clocks.c
        mine = sandboxes.org_id == jobs.c.org_id
        unmoved = ~exists().where(mine, sandboxes.moving_until > self._wall.now())
        # What is due to everybody is found by its instant; what is due to sandboxes only is earlier nowhere, and looked
        # for from their side.
        job = await self._claims.take(jobs.c.due_at <= instant, unmoved)
        if job is not None:
            return job
        theirs = select(sandboxes.offset_us).where(mine).scalar_subquery() + to_microseconds(instant)
        return await self._claims.take(
            jobs.c.org_id.in_(select(sandboxes.org_id)), type_coerce(jobs.c.due_at, BigInteger) <= theirs, unmoved
        )
