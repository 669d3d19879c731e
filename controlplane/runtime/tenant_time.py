"""What time it is for whom: sandboxes live ahead of everybody else, each by as much as it was moved."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.runtime.clock import run_ahead, running_ahead
from controlplane.runtime.tables import sandbox_clocks
from controlplane.storage.database import Database, UnitOfWork
from controlplane.storage.upsert import insert_into

#: Of organisations that are known to be real ones; more are looked up again.
REMEMBERED: Final = 100_000
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class SandboxStanding:
    """Where a sandbox is.

    Attributes:
        ahead: How far its time runs ahead of the wall's.
        moving_until: Wall time until which somebody takes it through its jobs; None: nobody does.
    """

    org_id: str
    ahead: timedelta
    moving_until: datetime | None


async def make_sandbox(uow: UnitOfWork, org_id: str) -> None:
    """Give a new organisation a clock of its own; called in the transaction that makes it, never later.

    An organisation that lived in real time stays there: its customers paid for it.
    """
    await uow.connection.execute(insert_into(uow.connection, sandbox_clocks).values(org_id=org_id, offset_us=0))


class TenantTimes:
    """Knows which organisations are sandboxes and how far ahead they are.

    Args:
        database: Where that is stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # An organisation is a sandbox from its first day on or never, so this does not go stale.
        self._real: set[str] = set()

    async def look(self, org_id: str, connection: AsyncConnection | None = None) -> SandboxStanding | None:
        """Where a sandbox is; None: it is a real organisation, or none."""
        if not org_id or org_id in self._real:
            return None
        if connection is None:
            async with self._database.reading() as reading:
                standing = await _find(reading, org_id)
        else:
            standing = await _find(connection, org_id)
        if standing is None:
            if len(self._real) >= REMEMBERED:
                self._real.clear()
            self._real.add(org_id)
        return standing

    async def ahead(self, org_id: str) -> timedelta:
        """How far an organisation lives ahead; a real one does not."""
        standing = await self.look(org_id)
        return timedelta(0) if standing is None else standing.ahead

    @asynccontextmanager
    async def of(self, org_id: str) -> AsyncIterator[None]:
        """Work for an organisation at its own time."""
        with running_ahead(await self.ahead(org_id)):
            yield

    async def enter(self, connection: AsyncConnection, org_id: str) -> None:
        """For a call whose organisation is found out on the way: it happens at that one's time from here on."""
        standing = await self.look(org_id, connection)
        run_ahead(timedelta(0) if standing is None else standing.ahead)

    async def sandboxes(self) -> list[str]:
        """Every sandbox."""
        async with self._database.reading() as connection:
            return list(await connection.scalars(select(sandbox_clocks.c.org_id).order_by(sandbox_clocks.c.org_id)))


async def _find(connection: AsyncConnection, org_id: str) -> SandboxStanding | None:
    columns = sandbox_clocks.c
    query = select(columns.offset_us, columns.moving_until).where(columns.org_id == org_id)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else SandboxStanding(org_id, row.offset_us * _MICROSECOND, row.moving_until)
