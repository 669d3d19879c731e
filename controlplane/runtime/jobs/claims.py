"""Who works on a job: a claim that runs out unless it is renewed, and that only its holder can end.

A job is claimed by one conditional update and forgotten (or armed again) by another, which names the claim: a holder
that was away for longer than its claim lasts changes nothing any more. A process that dies in between leaves a claim
that runs out: handlers are called at least once and must be repeatable.
"""

from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, Row, Select, delete, or_, select, update

from controlplane.runtime.clock import Clock
from controlplane.runtime.jobs.queue import Failure, Job, next_due, retry_delay
from controlplane.runtime.lease import LeaseTimes
from controlplane.runtime.tables import jobs
from controlplane.storage.database import Database

#: A job of a replica that was killed is another's within a minute.
CLAIM_TIMES: Final = LeaseTimes()
_MICROSECOND = timedelta(microseconds=1)
_FREE = {"claimed_until": None, "claimed_by": None, "moved": False}

_log = structlog.get_logger(__name__)


class JobClaims:
    """Takes jobs and gives them back.

    Args:
        database: Where they are.
        wall: The machine's clock: decides when a claim has run out.
        owner: Names this process among the replicas.
        kinds: What this process can do; other jobs are left to a server that knows them.
        lasts: How long a claim lasts unless it is renewed.
    """

    def __init__(
        self,
        *,
        database: Database,
        wall: Clock,
        owner: str,
        kinds: frozenset[str],
        lasts: timedelta = CLAIM_TIMES.lasts,
    ) -> None:
        self._database = database
        self._wall = wall
        self._owner = owner
        self._kinds = kinds
        self._lasts = lasts
        self._numbers = count(1)

    async def take(self, *due: ColumnElement[bool]) -> Job | None:
        """Claim the first job that fulfils the conditions, in the order (due instant, kind, tenant, subject)."""
        wall_now = self._wall.now()
        candidate = self._candidate(wall_now, due)
        # Looked for without a write lock: an idle server polls this every second.
        async with self._database.reading() as connection:
            if (await connection.execute(candidate)).first() is None:
                return None
        async with self._database.transaction() as uow:
            row = (await uow.connection.execute(candidate.with_for_update(skip_locked=True))).one_or_none()
            if row is None:
                return None
            job = _job(row, f"{self._owner}:{next(self._numbers)}")
            await uow.connection.execute(
                update(jobs)
                .where(*_key(job))
                .values(claimed_until=wall_now + self._lasts, claimed_by=job.claim, moved=False)
            )
            return job

    async def renew(self, job: Job) -> bool:
        """It is still being worked on; False: the claim is somebody else's by now."""
        async with self._database.transaction() as uow:
            kept = await uow.connection.execute(
                update(jobs).where(*_held(job)).values(claimed_until=self._wall.now() + self._lasts)
            )
        return bool(kept.rowcount)

    async def give_back(self, job: Job) -> None:
        """It is somebody else's after all: as if it had not been taken."""
        async with self._database.transaction() as uow:
            await uow.connection.execute(update(jobs).where(*_held(job)).values(**_FREE))

    async def finish(self, job: Job, horizon: datetime) -> None:
        """It ran: forget it, or arm it for its first instant after the horizon."""
        async with self._database.transaction() as uow:
            if job.every is None:
                done = await uow.connection.execute(delete(jobs).where(*_held(job), ~jobs.c.moved))
            else:
                values = {"due_at": next_due(job.due_at, job.every, horizon), "last_run_at": job.due_at, **_FREE}
                done = await uow.connection.execute(
                    update(jobs)
                    .where(*_held(job))
                    .values(attempts=0, last_error=None, last_error_sentence=None, **values)
                )
            if not done.rowcount:
                done = await uow.connection.execute(update(jobs).where(*_held(job)).values(**_FREE))
        self._mind(job, done.rowcount)

    async def rest(self, job: Job, failure: Failure) -> bool:
        """It failed: let it rest, or park it.

        Returns:
            Whether it was parked.
        """
        attempts, now = job.attempts + 1, self._wall.now()
        delay = retry_delay(attempts)
        values = {
            **_FREE,
            "attempts": attempts,
            "claimed_until": None if delay is None else now + delay,
            "parked_at": now if delay is None else None,
            "last_error": failure.code,
            "last_error_sentence": failure.sentence,
        }
        async with self._database.transaction() as uow:
            done = await uow.connection.execute(update(jobs).where(*_held(job), ~jobs.c.moved).values(**values))
            parked = bool(done.rowcount) and delay is None
            if not done.rowcount:
                done = await uow.connection.execute(update(jobs).where(*_held(job)).values(**_FREE))
        self._mind(job, done.rowcount)
        return parked

    def _candidate(self, wall_now: datetime, due: tuple[ColumnElement[bool], ...]) -> Select[*tuple[Any, ...]]:
        columns = jobs.c
        return (
            select(columns.org_id, columns.kind, columns.subject, columns.due_at, columns.every_us, columns.attempts)
            .where(
                *due,
                columns.kind.in_(sorted(self._kinds)),
                columns.parked_at.is_(None),
                or_(columns.claimed_until.is_(None), columns.claimed_until <= wall_now),
            )
            .order_by(columns.due_at, columns.kind, columns.org_id, columns.subject)
            .limit(1)
        )

    def _mind(self, job: Job, changed: int) -> None:
        if not changed:
            _log.warning("job_claim_lost", kind=job.kind, subject=job.subject, claim=job.claim)


def _key(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (jobs.c.org_id == job.org_id, jobs.c.kind == job.kind, jobs.c.subject == job.subject)


def _held(job: Job) -> tuple[ColumnElement[bool], ...]:
    return (*_key(job), jobs.c.claimed_by == job.claim)


def _job(row: Row[*tuple[Any, ...]], claim: str) -> Job:
    every = None if row.every_us is None else row.every_us * _MICROSECOND
    return Job(row.org_id, row.kind, row.subject, row.due_at, every, row.attempts, claim)
