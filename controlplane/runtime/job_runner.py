"""Runs due jobs, one after the other, each at its own due instant.

`advance_to(t)` runs what is due until `t`, in the order (due instant, kind, tenant, subject). A running server calls it
with the present; a sandbox calls it with the future.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from controlplane.runtime.clock import Clock
from controlplane.runtime.job_claims import RUNS_FOR, JobClaims
from controlplane.runtime.jobs import Handler, Job, failure_of
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database

#: A running server looks this often; jobs are due to the minute, not to the second.
POLL_EVERY: Final = timedelta(seconds=1)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AdvanceReport:
    """What one `advance_to` did."""

    run: int
    failed: int


MoveClock = Callable[[datetime], Awaitable[None]]


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
        self._clock = clock
        self._handlers = handlers
        self._claims = JobClaims(database=database, wall=wall, owner=owner, kinds=frozenset(handlers))
        self._move_clock = move_clock
        # The sandbox's call and the server's own loop take turns: instants must come in order.
        self._turn = asyncio.Lock()

    async def advance_to(self, instant: datetime) -> AdvanceReport:
        """Run everything due until `instant`; then, in a sandbox, it is that time."""
        run = failed = 0
        async with self._turn:
            while (job := await self._claims.take(jobs.c.due_at <= instant)) is not None:
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

    async def _run(self, job: Job, horizon: datetime) -> bool:
        try:
            async with asyncio.timeout(RUNS_FOR.total_seconds()):
                await self._handlers[job.kind](job)
        # Supervision point: one job that fails rests and is tried again, the others go on.
        except Exception as error:  # noqa: BLE001
            _log.error("job_failed", kind=job.kind, subject=job.subject, attempts=job.attempts + 1, exc_info=error)
            if await self._claims.rest(job, failure_of(error)):
                _log.error("job_parked", kind=job.kind, subject=job.subject)
            return False
        await self._claims.finish(job, horizon)
        return True
