"""Refused attempts to activate, counted where every replica and every restart finds them.

A bucket per address, per device key and per organisation; each holds a number of attempts and refills at a steady
rate. It is kept as one instant, the one at which it is full again (the generic cell rate algorithm), so that
counting is one statement. Only refusals count: an activation that works costs nothing here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sqlalchemy import BigInteger, case, delete, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.errors import too_many_attempts
from controlplane.licensing.tables import refused_attempts
from controlplane.runtime.rate_limit import Rate
from controlplane.storage.database import UnitOfWork
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into

_MICROSECOND = timedelta(microseconds=1)


class Guessing(Enum):
    """Whose attempts are counted together."""

    ADDRESS = "address"
    DEVICE = "device"
    ORGANISATION = "organisation"


#: A person mistypes a key a few times; a company behind one address rolls out a wrong one. At these rates the 60 bits
#: of a key that its hint does not show would take longer than there is.
RATES = {
    Guessing.ADDRESS: Rate(burst=60, every=timedelta(seconds=30)),
    Guessing.DEVICE: Rate(burst=30, every=timedelta(minutes=1)),
    Guessing.ORGANISATION: Rate(burst=500, every=timedelta(seconds=2)),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """One bucket."""

    kind: Guessing
    name: str


def wait_of(full_at: datetime | None, rate: Rate, now: datetime) -> timedelta | None:
    """How long a caller has to wait; None: the bucket has an attempt left.

    Args:
        full_at: When the bucket is full again; None: it is.
        rate: How many it holds, and how often one comes back.
        now: The present.
    """
    if full_at is None:
        return None
    wait = full_at - now - (rate.burst - 1) * rate.every
    return wait if wait > timedelta(0) else None


async def refuse_guessing(connection: AsyncConnection, subjects: list[Subject], now: datetime) -> None:
    """Refuse a caller whose bucket is empty.

    Raises:
        Refusal: `RATE_LIMITED`.
    """
    columns = refused_attempts.c
    for subject in subjects:
        query = select(columns.full_at).where(columns.kind == subject.kind.value, columns.subject == subject.name)
        full_at = (await connection.execute(query)).scalar_one_or_none()
        wait = wait_of(full_at, RATES[subject.kind], now)
        if wait is not None:
            raise too_many_attempts(subject.kind.value, int(wait.total_seconds()) + 1)


async def count_refusal(uow: UnitOfWork, subjects: list[Subject], now: datetime) -> None:
    """Take one attempt out of each bucket."""
    columns = refused_attempts.c
    for subject in subjects:
        every = RATES[subject.kind].every
        statement = insert_into(uow.connection, refused_attempts).values(
            kind=subject.kind.value, subject=subject.name, full_at=now + every
        )
        later = type_coerce(columns.full_at, BigInteger) + every // _MICROSECOND
        full_at = case((columns.full_at > now, later), else_=type_coerce(to_microseconds(now + every), BigInteger))
        await uow.connection.execute(
            statement.on_conflict_do_update(
                index_elements=["kind", "subject"], set_={"full_at": type_coerce(full_at, BigInteger)}
            )
        )


async def forget_full(uow: UnitOfWork, now: datetime) -> int:
    """Delete buckets that are full again; a sweeper calls this. How many there were."""
    deleted = await uow.connection.execute(delete(refused_attempts).where(refused_attempts.c.full_at <= now))
    return deleted.rowcount
