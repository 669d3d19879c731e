"""Durable jobs: work that happens at its own instant, once, whichever replica is alive then.

What a job is, when it is due and what becomes of one that fails; `claims` says who has it, `runner` runs it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, null

from controlplane.runtime.refusal import Refusal
from controlplane.runtime.retries import Retries
from controlplane.runtime.tables import jobs
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: After the first failure; four times as long with each further one.
FIRST_RETRY: Final = timedelta(seconds=1)
LONGEST_RETRY: Final = timedelta(hours=1)
#: So many failures in a row, over almost three and a half hours, and a job waits for a person.
PARKED_AFTER: Final = 10
_RETRIES: Final = Retries(first=FIRST_RETRY, longest=LONGEST_RETRY, attempts=PARKED_AFTER, factor=4)
#: Of a failure's sentence; whoever needs more finds it in the log.
MAX_SENTENCE: Final = 300
_MICROSECOND = timedelta(microseconds=1)


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
        claim: Names the claim under which it runs; another claim, also one of the same process, has another.
    """

    org_id: str
    kind: str
    subject: str
    due_at: datetime
    every: timedelta | None
    attempts: int
    claim: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed, fit to be stored and shown.

    Attributes:
        code: A refusal's reason, or the type of an error that nobody foresaw.
        sentence: For people; never what an unforeseen error says, which may hold values of a customer.
    """

    code: str
    sentence: str


Handler = Callable[[Job], Awaitable[None]]


def next_due(due_at: datetime, every: timedelta, horizon: datetime) -> datetime:
    """When a recurring job is due again: the first of its instants after the horizon.

    Recurring jobs are sweeps: they look at what there is, so instants that were missed are made up by one run.
    """
    missed = max(0, (horizon - due_at) // every)
    return due_at + every * (missed + 1)


def retry_delay(attempts: int) -> timedelta | None:
    """How long a job rests after so many failures; None: it is parked."""
    return _RETRIES.after(attempts)


def failure_of(error: BaseException) -> Failure:
    """What may be said of an error that ended a handler."""
    if isinstance(error, Refusal):
        return Failure(error.reason, error.message[:MAX_SENTENCE])
    if isinstance(error, TimeoutError):
        return Failure("JOB_TIMED_OUT", "it did not end in time and was stopped")
    return Failure(type(error).__name__, "nobody foresaw this; the log of the server has it under job_failed")


async def schedule(
    uow: UnitOfWork, *, kind: str, subject: str, due_at: datetime, org_id: str = "", wakes_parked: bool = True
) -> None:
    """Have a job run once at `due_at`; one that is there already is moved.

    One that somebody is working on right now runs once more, after that.

    Args:
        uow: The transaction of what the job follows from.
        kind: Names the handler.
        subject: What it is about.
        due_at: When.
        org_id: Whose; empty: the whole installation's.
        wakes_parked: Whether a job that was given up is tried again; False for what happens at every start.
    """
    worked_on = jobs.c.claimed_by.is_not(None)
    fresh = {
        "due_at": due_at,
        "every_us": None,
        "attempts": 0,
        "parked_at": None,
        "last_error": None,
        "last_error_sentence": None,
    }
    await uow.connection.execute(
        insert_into(uow.connection, jobs)
        .values(org_id=org_id, kind=kind, subject=subject, **fresh)
        .on_conflict_do_update(
            index_elements=["org_id", "kind", "subject"],
            # A claim is left to whoever has it; a rest after a failure is over.
            set_={**fresh, "moved": worked_on, "claimed_until": case((worked_on, jobs.c.claimed_until), else_=null())},
            where=None if wakes_parked else jobs.c.parked_at.is_(None),
        )
    )


async def ensure_recurring(uow: UnitOfWork, *, kind: str, every: timedelta, first_at: datetime) -> None:
    """Have a sweep run every so often, from `first_at` on; one that is there already keeps its instant."""
    key = {"org_id": "", "kind": kind, "subject": ""}
    await uow.connection.execute(
        insert_into(uow.connection, jobs)
        .values(**key, due_at=first_at, every_us=every // _MICROSECOND, attempts=0)
        .on_conflict_do_update(index_elements=list(key), set_={"every_us": every // _MICROSECOND})
    )
