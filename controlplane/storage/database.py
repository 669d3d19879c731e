"""The database and its unit of work.

SQLite (WAL, one writer at a time, `BEGIN IMMEDIATE`) or PostgreSQL (READ COMMITTED): what must not race is decided by
one conditional statement or a constraint, never by reading first, so both give the same answers.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

AfterCommit = Callable[[], Awaitable[None]]

#: How long a SQLite writer waits for the one before it, in milliseconds.
BUSY_TIMEOUT_MS = 10_000
_READING = "buckler_reading"


class UnitOfWork:
    """One transaction, handed from service to service so that they change things together or not at all."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self._after_commit: list[AfterCommit] = []

    def after_commit(self, action: AfterCommit) -> None:
        """Run something once the transaction is durable; what it does must be repeatable by a sweeper."""
        self._after_commit.append(action)

    async def run_after_commit(self) -> None:
        """Called by `Database.transaction` when the commit is through."""
        for action in self._after_commit:
            await action()


@dataclass(frozen=True, slots=True)
class PoolUse:
    """Connections of a pool, now."""

    in_use: int
    idle: int


class Database:
    """A pool of connections.

    Args:
        url: `sqlite+aiosqlite:///…` or `postgresql+asyncpg://…`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = _engine(url)
        # SQLite lets one writer in at a time and makes the others poll, whoever is luckiest next: under load some
        # would wait until BUSY_TIMEOUT_MS. Within this process they queue here instead, in the order they came.
        self._turn: AbstractAsyncContextManager[object] = asyncio.Lock() if url.startswith("sqlite") else nullcontext()

    @property
    def engine(self) -> AsyncEngine:
        """For migrations and tests."""
        return self._engine

    def pool_use(self) -> PoolUse:
        """How much of the pool is in use."""
        pool = self._engine.pool
        return PoolUse(pool.checkedout(), pool.checkedin()) if isinstance(pool, QueuePool) else PoolUse(0, 0)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """Begin; commit at the end of the block, roll back if it raises; then run what waited for the commit.

        Not to be nested: pass the unit of work on instead.
        """
        async with self._turn, self._engine.begin() as connection:
            uow = UnitOfWork(connection)
            yield uow
        await uow.run_after_commit()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view without a write lock."""
        async with self._engine.connect() as connection:
            await connection.execution_options(**{_READING: True})
            yield connection

    async def close(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()


def _engine(url: str) -> AsyncEngine:
    # What a statement was given does not belong into messages of errors, and so into the log.
    if not url.startswith("sqlite"):
        return create_async_engine(url, hide_parameters=True, pool_size=10, max_overflow=10, pool_pre_ping=True)
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _record: Any) -> None:
    # The driver's own idea of when to begin is switched off; `_begin_sqlite` decides.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes can fail half-way with SQLITE_BUSY and no way to wait.
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
