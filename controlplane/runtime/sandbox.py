"""The business clock of a demonstration: how far it runs ahead is stored, so that a restart does not travel back."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.runtime.clock import ShiftedClock
from controlplane.runtime.tables import sandbox_clock
from controlplane.storage.database import Database
from controlplane.storage.upsert import insert_into

_MICROSECOND = timedelta(microseconds=1)


async def stored_offset(connection: AsyncConnection) -> timedelta | None:
    """How far the clock of this database runs ahead; None: it was never served as a demonstration."""
    microseconds = await connection.scalar(select(sandbox_clock.c.offset_us))
    return None if microseconds is None else microseconds * _MICROSECOND


class SandboxClock:
    """Moves a shifted clock and remembers where it is.

    Args:
        database: Where the offset is stored.
        clock: The clock that everything else reads.
    """

    def __init__(self, database: Database, clock: ShiftedClock) -> None:
        self._database = database
        self._clock = clock

    async def mark(self) -> None:
        """Say in the database that it belongs to a demonstration."""
        await self._store(self._clock.offset)

    async def move_to(self, instant: datetime) -> None:
        """Make it `instant`; a moment that has passed is passed, nothing moves back."""
        ahead = instant - self._clock.now()
        if ahead <= timedelta(0):
            return
        # Stored first: a crash in between leaves the clock ahead of what anybody has seen, never behind.
        await self._store(self._clock.offset + ahead)
        self._clock.advance(ahead)

    async def _store(self, offset: timedelta) -> None:
        microseconds = offset // _MICROSECOND
        async with self._database.transaction() as uow:
            statement = insert_into(uow.connection, sandbox_clock).values(only_row=1, offset_us=microseconds)
            later = func.greatest if uow.connection.dialect.name == "postgresql" else func.max
            await uow.connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["only_row"],
                    set_={"offset_us": later(sandbox_clock.c.offset_us, statement.excluded.offset_us)},
                )
            )
