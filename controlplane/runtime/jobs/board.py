"""What there is to do, and what was given up: for whoever runs an installation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, Row, and_, case, func, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.runtime.refusal import Kind, Refusal
from controlplane.runtime.tables import jobs, sandbox_clocks
from controlplane.storage.database import UnitOfWork
from controlplane.storage.types import to_microseconds

#: Stands for an empty tenant or subject in the id of a job.
_NONE: Final = "-"


class JobState(Enum):
    """How a job is."""

    #: Its instant is to come.
    WAITING = "waiting"
    #: Its instant has come.
    DUE = "due"
    #: A process is working on it.
    RUNNING = "running"
    #: It failed and is tried again after a while.
    RESTING = "resting"
    #: It failed too often and waits for a person.
    PARKED = "parked"


@dataclass(frozen=True, slots=True)
class JobKey:
    """Which job. Written `TENANT/KIND/SUBJECT`, with `-` for an empty one."""

    org_id: str
    kind: str
    subject: str

    def __str__(self) -> str:
        """As operators write it."""
        return f"{self.org_id or _NONE}/{self.kind}/{self.subject or _NONE}"


@dataclass(frozen=True, slots=True)
class JobEntry:
    """One job on the board.

    Attributes:
        due_at: In the time of its tenant.
        attempts: Failures in a row.
        error: Code of the last failure; empty: none.
        sentence: What it says.
        until: Until when it is claimed or rests, wall time; None: neither.
        parked_at: Since when it waits for a person, wall time.
    """

    key: JobKey
    state: JobState
    due_at: datetime
    attempts: int
    error: str
    sentence: str
    until: datetime | None
    parked_at: datetime | None


@dataclass(frozen=True, slots=True)
class JobQuery:
    """Which jobs to show.

    Attributes:
        states: Empty: all.
        kind: Empty: all.
        limit: At most so many.
    """

    states: frozenset[JobState] = frozenset()
    kind: str = ""
    limit: int = 100


def read_job_key(text: str) -> JobKey:
    """Read the id of a job.

    Raises:
        Refusal: JOB_ID_INVALID.
    """
    org_id, _, rest = text.partition("/")
    kind, _, subject = rest.partition("/")
    if not (org_id and kind and subject):
        raise Refusal(
            Kind.INVALID,
            "JOB_ID_INVALID",
            f"{text!r} is not the id of a job",
            "Copy one from: buckler-server jobs list",
        )
    return JobKey("" if org_id == _NONE else org_id, kind, "" if subject == _NONE else subject)


async def jobs_on_board(connection: AsyncConnection, query: JobQuery, *, now: datetime) -> Sequence[JobEntry]:
    """Jobs, parked ones first, then by their instant.

    Args:
        connection: To read with.
        query: Which.
        now: Wall time.
    """
    state = _state(now).label("state")
    chosen: list[ColumnElement[bool]] = []
    if query.states:
        chosen.append(state.in_([each.value for each in query.states]))
    if query.kind:
        chosen.append(jobs.c.kind == query.kind)
    columns = jobs.c
    rows = await connection.execute(
        select(jobs, state)
        .where(*chosen)
        .order_by(columns.parked_at.is_(None), columns.due_at, columns.kind, columns.org_id, columns.subject)
        .limit(query.limit)
    )
    return [_entry(row) for row in rows]


async def parked_jobs(connection: AsyncConnection) -> Sequence[tuple[str, str, int]]:
    """Kinds and error codes of parked jobs, and how many there are of each."""
    columns = jobs.c
    rows = await connection.execute(
        select(columns.kind, columns.last_error, func.count())
        .where(columns.parked_at.is_not(None))
        .group_by(columns.kind, columns.last_error)
        .order_by(columns.kind, columns.last_error)
    )
    return [(kind, error or "", how_many) for kind, error, how_many in rows]


async def lag(connection: AsyncConnection, now: datetime, wall_now: datetime) -> timedelta:
    """How long the job that waits longest has been due and neither parked nor resting; none: no time at all.

    A job that failed rests, and waits from the end of its rest on.

    Args:
        connection: A reading one.
        now: Business time, by which jobs are due.
        wall_now: Wall time, by which they rest.
    """
    due, until = jobs.c.due_at, jobs.c.claimed_until
    rested = and_(until.is_not(None), jobs.c.claimed_by.is_(None))
    waiting = (due <= now, jobs.c.parked_at.is_(None))
    never_rested = (await connection.execute(select(func.min(due)).where(*waiting, ~rested))).scalar_one()
    ends = select(func.min(until)).where(*waiting, rested, until <= wall_now)
    end_of_rest = (await connection.execute(ends)).scalar_one()
    return max(
        timedelta(0) if never_rested is None else now - never_rested,
        timedelta(0) if end_of_rest is None else wall_now - end_of_rest,
    )


async def retry_job(uow: UnitOfWork, key: JobKey) -> None:
    """Have a job that failed tried again now, with all its attempts.

    Raises:
        Refusal: JOB_NOT_FOUND or JOB_NOT_FAILED.
    """
    columns = jobs.c
    this = (columns.org_id == key.org_id, columns.kind == key.kind, columns.subject == key.subject)
    if await _woken(uow, *this, columns.attempts > 0):
        return
    if (await uow.connection.execute(select(columns.kind).where(*this))).first() is None:
        raise Refusal(
            Kind.NOT_FOUND, "JOB_NOT_FOUND", f"there is no job {key}", "See what there is: buckler-server jobs list"
        )
    raise Refusal(
        Kind.PRECONDITION,
        "JOB_NOT_FAILED",
        f"the job {key} has not failed, or is being tried right now",
        "See how it is: buckler-server jobs list",
    )


async def retry_parked(uow: UnitOfWork, kind: str = "") -> Sequence[JobKey]:
    """Have every parked job, or those of a kind, tried again now, with all their attempts. Which they were."""
    chosen = [jobs.c.kind == kind] if kind else []
    return await _woken(uow, jobs.c.parked_at.is_not(None), *chosen)


async def _woken(uow: UnitOfWork, *which: ColumnElement[bool]) -> Sequence[JobKey]:
    columns = jobs.c
    woken = await uow.connection.execute(
        update(jobs)
        .where(*which, columns.claimed_by.is_(None))
        .values(parked_at=None, attempts=0, claimed_until=None)
        .returning(columns.org_id, columns.kind, columns.subject)
    )
    return sorted((JobKey(*row) for row in woken), key=str)


def _state(now: datetime) -> ColumnElement[str]:
    columns = jobs.c
    ahead = select(sandbox_clocks.c.offset_us).where(sandbox_clocks.c.org_id == columns.org_id).scalar_subquery()
    theirs = func.coalesce(ahead, 0) + to_microseconds(now)
    taken = and_(columns.claimed_until.is_not(None), columns.claimed_until > now)
    return case(
        (columns.parked_at.is_not(None), JobState.PARKED.value),
        (and_(taken, columns.claimed_by.is_not(None)), JobState.RUNNING.value),
        (taken, JobState.RESTING.value),
        (type_coerce(columns.due_at, BigInteger) <= theirs, JobState.DUE.value),
        else_=JobState.WAITING.value,
    )


def _entry(row: Row[*tuple[Any, ...]]) -> JobEntry:
    return JobEntry(
        key=JobKey(row.org_id, row.kind, row.subject),
        state=JobState(row.state),
        due_at=row.due_at,
        attempts=row.attempts,
        error=row.last_error or "",
        sentence=row.last_error_sentence or "",
        until=row.claimed_until,
        parked_at=row.parked_at,
    )
