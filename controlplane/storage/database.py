"""The database and its unit of work.

SQLite (WAL, one writer at a time, `BEGIN IMMEDIATE`) or PostgreSQL (READ COMMITTED): what must not race is decided by
one conditional statement or a constraint, never by reading first, so both give the same answers.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from controlplane.storage.news import EVERYONE, News, write_news
from controlplane.storage.outages import DatabaseUnavailableError, outages_told, unreachable_told

#: Told what there was news of, as soon as it is durable; True: devices that are connected should hear of it at once.
NewsListener = Callable[[Mapping[News, bool]], None]

#: How long a SQLite writer waits for the one before it, in milliseconds.
BUSY_TIMEOUT_MS = 10_000
#: How long a call waits for a connection, in seconds: less than a device waits for its answer (20 s), so that in a rush
#: it is told to come back instead of being left to wonder.
POOL_TIMEOUT_S = 10
#: Bulk transactions that are under way at once on PostgreSQL, of the connections of a process (20).
BULK_CONNECTIONS = 10
#: How long a statement waits for a lock on PostgreSQL, in seconds; for the same reason.
LOCK_TIMEOUT_S = 10
#: What each session asks of PostgreSQL 14 or newer, so that nobody waits for the dead. A statement that waits for a row
#: does not look whether its client still lives unless told to: servers that were killed left their transactions behind,
#: queued for the row of one incident and with rows of their own locked, for minutes.
_POSTGRESQL_SESSION: Final = MappingProxyType(
    {
        "client_connection_check_interval": "2s",
        # A server whose machine or line is gone closes nothing: after 60 s of silence it is dead.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "lock_timeout": f"{LOCK_TIMEOUT_S}s",
    }
)
_READING = "buckler_reading"


class UnitOfWork:
    """One transaction, handed from service to service so that they change things together or not at all."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.news: dict[News, bool] = {}

    def news_for(self, org_id: str, device_id: str = EVERYONE, *, hint: bool = True) -> None:
        """What a device would be told at its next contact may be something else from the commit on.

        Args:
            org_id: The tenant.
            device_id: The device; left out: all of them.
            hint: False: only servers have to know, the device does already.
        """
        news = News(org_id, device_id)
        self.news[news] = hint or self.news.get(news, False)


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
        is_sqlite = url.startswith("sqlite")
        self._turn: AbstractAsyncContextManager[object] = asyncio.Lock() if is_sqlite else nullcontext()
        # A fleet that returns has a report for every device. They queue among themselves, so that whoever changes
        # something else finds one of them before him, or a connection, and not all of them.
        self._bulk = asyncio.Semaphore(1 if is_sqlite else BULK_CONNECTIONS)
        self._listeners: list[NewsListener] = []

    @property
    def engine(self) -> AsyncEngine:
        """For migrations and tests."""
        return self._engine

    def pool_use(self) -> PoolUse:
        """How much of the pool is in use."""
        pool = self._engine.pool
        return PoolUse(pool.checkedout(), pool.checkedin()) if isinstance(pool, QueuePool) else PoolUse(0, 0)

    def listen(self, listener: NewsListener) -> None:
        """Have the news of every transaction of this process told to a listener from now on."""
        self._listeners.append(listener)

    @asynccontextmanager
    async def transaction(self, *, bulk: bool = False) -> AsyncIterator[UnitOfWork]:
        """Begin; commit at the end of the block, roll back if it raises; then tell the news.

        Not to be nested: pass the unit of work on instead.

        Args:
            bulk: One of many that come at once and can wait: others go before it.

        Raises:
            DatabaseUnavailableError: It is away, or too many bulk transactions wait already; the transaction may have
                been kept if it was about to be committed.
        """
        async with self._bulk_place() if bulk else nullcontext(), self._turn, self._connection() as connection:
            uow = UnitOfWork(connection)
            async with connection.begin() as begun:
                yield uow
                if not begun.is_active:
                    # The block rolled back itself: nothing happened, and nobody hears of it.
                    uow.news.clear()
                await write_news(connection, uow.news)
        if uow.news:
            for listener in self._listeners:
                listener(uow.news)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A consistent view without a write lock.

        Raises:
            DatabaseUnavailableError: It is away.
        """
        async with self._connection() as connection:
            await connection.execution_options(**{_READING: True})
            yield connection

    @asynccontextmanager
    async def _bulk_place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(POOL_TIMEOUT_S):
                await self._bulk.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailableError("too many bulk transactions") from error
        try:
            yield
        finally:
            self._bulk.release()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        # Giving a broken connection back can fail as well.
        with outages_told():
            async with AsyncExitStack() as stack:
                with unreachable_told():
                    connection = await stack.enter_async_context(self._engine.connect())
                yield connection

    async def close(self) -> None:
        """Give every connection back."""
        await self._engine.dispose()


def _engine(url: str) -> AsyncEngine:
    # What a statement was given does not belong into messages of errors, and so into the log.
    if not url.startswith("sqlite"):
        return create_async_engine(
            url,
            hide_parameters=True,
            pool_size=10,
            max_overflow=10,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args={"server_settings": dict(_POSTGRESQL_SESSION)},
        )
    engine = create_async_engine(url, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    event.listen(engine.sync_engine, "invalidate", _roll_back_sqlite)
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


def _roll_back_sqlite(connection: DBAPIConnection, _record: Any, _error: BaseException | None) -> None:
    # Of a call that was cancelled in the middle of a statement. SQLite would keep a connection that is closed beside an
    # open statement, with its transaction and everybody's write lock, until Python has collected the statement.
    with suppress(sqlite3.Error):
        connection.rollback()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes can fail half-way with SQLITE_BUSY and no way to wait.
    reading = connection.get_execution_options().get(_READING, False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
