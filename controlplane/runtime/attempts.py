"""Attempts that may not come too often, counted where every replica and every restart finds them.

A bucket holds a number of attempts and refills at a steady rate. It is kept as one instant, the one at which it is full
again (the generic cell rate algorithm), so that counting is one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, case, delete, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningInsert

from controlplane.runtime.rate_limit import Rate
from controlplane.runtime.tables import refused_attempts
from controlplane.storage.database import UnitOfWork
from controlplane.storage.types import to_microseconds
from controlplane.storage.upsert import insert_into

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Attempts that are counted together.

    Attributes:
        kind: What is counted, e.g. `sign_in_address`.
        name: Whose.
        rate: How many it holds, and how often one comes back.
    """

    kind: str
    name: str
    rate: Rate


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


async def first_empty(
    connection: AsyncConnection, buckets: Sequence[Bucket], now: datetime
) -> tuple[Bucket, timedelta] | None:
    """The first bucket without an attempt left, and how long until it has one; None: every bucket has."""
    columns = refused_attempts.c
    for bucket in buckets:
        query = select(columns.full_at).where(columns.kind == bucket.kind, columns.subject == bucket.name)
        full_at = (await connection.execute(query)).scalar_one_or_none()
        wait = wait_of(full_at, bucket.rate, now)
        if wait is not None:
            return bucket, wait
    return None


async def count(uow: UnitOfWork, buckets: Sequence[Bucket], now: datetime) -> None:
    """Take one attempt out of each bucket, also out of one that has none left."""
    for bucket in buckets:
        await uow.connection.execute(_counted(uow.connection, bucket, now))


async def take(uow: UnitOfWork, buckets: Sequence[Bucket], now: datetime) -> tuple[Bucket, timedelta] | None:
    """Take one attempt out of each bucket that has one; of many callers at once no more get one than there are.

    Returns:
        The first bucket that had none, and how long until it has: the caller rolls back. None: every bucket had.
    """
    for bucket in buckets:
        latest = now + (bucket.rate.burst - 1) * bucket.rate.every
        taken = await uow.connection.execute(_counted(uow.connection, bucket, now, latest=latest))
        if taken.first() is None:
            return await first_empty(uow.connection, [bucket], now) or (bucket, bucket.rate.every)
    return None


async def forgive(uow: UnitOfWork, bucket: Bucket) -> None:
    """Fill a bucket again: whoever is behind it has shown that nobody was guessing."""
    columns = refused_attempts.c
    await uow.connection.execute(
        delete(refused_attempts).where(columns.kind == bucket.kind, columns.subject == bucket.name)
    )


async def forget_full(uow: UnitOfWork, now: datetime) -> int:
    """Delete buckets that are full again; a sweeper calls this. How many there were."""
    deleted = await uow.connection.execute(delete(refused_attempts).where(refused_attempts.c.full_at <= now))
    return deleted.rowcount


def _counted(
    connection: AsyncConnection, bucket: Bucket, now: datetime, *, latest: datetime | None = None
) -> ReturningInsert[tuple[str]]:
    """One attempt less; with `latest`, only if the bucket is full again by then as it is."""
    columns, every = refused_attempts.c, bucket.rate.every
    later = type_coerce(columns.full_at, BigInteger) + every // _MICROSECOND
    full_at = case((columns.full_at > now, later), else_=type_coerce(to_microseconds(now + every), BigInteger))
    return (
        insert_into(connection, refused_attempts)
        .values(kind=bucket.kind, subject=bucket.name, full_at=now + every)
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            set_={"full_at": type_coerce(full_at, BigInteger)},
            where=None if latest is None else columns.full_at <= latest,
        )
        .returning(columns.subject)
    )
