"""How many seats a subscription has: slots are opened and closed here, and a surplus is settled.

Whoever changes who holds a seat, or how many there are, locks the subscription's row in `seat_allotments` first, so
that these changes follow one another; that a slot has one holder at most does not depend on it.

A smaller plan closes free slots at once. Held ones stay open for `CHOICE_WINDOW`, in which the owner may choose who
gives theirs up (a slot that becomes free then is closed, not given out); the rest is settled in a documented order.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.licensing.model import seat_id_of
from controlplane.licensing.ports import Notice, NoticeKind, Notices
from controlplane.licensing.seat_rules import CHOICE_WINDOW
from controlplane.licensing.tables import seat_allotments
from controlplane.licensing.tables import seats as seat_slots
from controlplane.runtime.jobs.queue import schedule
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

#: The job that takes a surplus when the choice is over; its subject is the subscription.
SETTLE_SURPLUS: Final = "licensing.settle_surplus"


@dataclass(frozen=True, slots=True)
class Allotment:
    """What a subscription has.

    Attributes:
        seats: Slots that its plan covers.
        surplus: Seats that are held but not covered.
        choose_until: When the surplus is taken; None: there is none.
    """

    org_id: str
    subscription_id: str
    seats: int
    surplus: int
    choose_until: datetime | None


class Allotments:
    """Opens and closes slots; also the `SeatBook` that subscriptions ask for.

    Args:
        notices: Tells the owner about a surplus.
    """

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    async def provide(self, uow: UnitOfWork, *, org_id: str, subscription_id: str, seats: int, now: datetime) -> None:
        """Cover so many seats from now on; nobody loses one by this call, see `CHOICE_WINDOW`."""
        row = {"org_id": org_id, "subscription_id": subscription_id}
        await uow.connection.execute(
            insert_into(uow.connection, seat_allotments).values(**row, seats=seats).on_conflict_do_nothing()
        )
        before = await self.lock(uow, org_id, subscription_id)
        were_open = await self._count_open(uow.connection, org_id, subscription_id)
        if were_open < seats:
            await self._open(uow, before, seats - were_open)
        elif were_open > seats:
            await self._close_free(uow, before, were_open - seats, now)
        surplus = await self._count_open(uow.connection, org_id, subscription_id) - seats
        choose_until = (before.choose_until or now + CHOICE_WINDOW) if surplus else None
        after = Allotment(org_id, subscription_id, seats, surplus, choose_until)
        await self._write(uow, after)
        if choose_until is not None:
            await schedule(uow, kind=SETTLE_SURPLUS, subject=subscription_id, due_at=choose_until, org_id=org_id)
            if before.choose_until is None or before.seats != seats:
                facts = {"surplus": str(after.surplus), "choose_until": choose_until.isoformat()}
                await self._notices.tell_owner(uow, Notice(org_id, NoticeKind.SEATS_SURPLUS, subscription_id, facts))

    async def count_taken(self, connection: AsyncConnection, *, org_id: str, subscription_id: str) -> int:
        """How many slots are held by a device."""
        query = select(func.count()).where(*_of(org_id, subscription_id), seat_slots.c.device_id.is_not(None))
        return (await connection.execute(query)).scalar_one()

    async def lock(self, uow: UnitOfWork, org_id: str, subscription_id: str) -> Allotment:
        """The allotment, its row locked until the transaction ends."""
        columns = seat_allotments.c
        mine = columns.org_id == org_id, columns.subscription_id == subscription_id
        await uow.connection.execute(select(columns.seats).where(*mine).with_for_update())
        # By a statement of its own: under READ COMMITTED it sees what was committed while we waited.
        return await self.get(uow.connection, org_id, subscription_id)

    async def get(self, connection: AsyncConnection, org_id: str, subscription_id: str) -> Allotment:
        """The allotment as it is."""
        columns = seat_allotments.c
        query = select(columns.seats, columns.choose_until).where(
            columns.org_id == org_id, columns.subscription_id == subscription_id
        )
        row = (await connection.execute(query)).one()
        if row.choose_until is None:
            return Allotment(org_id, subscription_id, row.seats, 0, None)
        open_slots = await self._count_open(connection, org_id, subscription_id)
        return Allotment(org_id, subscription_id, row.seats, open_slots - row.seats, row.choose_until)

    async def one_closed(self, uow: UnitOfWork, allotment: Allotment) -> None:
        """A slot of a locked allotment with a surplus was closed: with the last one, the choice is over."""
        if allotment.surplus <= 1:
            await self._write(uow, replace(allotment, surplus=0, choose_until=None))

    async def _open(self, uow: UnitOfWork, allotment: Allotment, wanted: int) -> None:
        """Open closed slots, the first first, then make new ones."""
        mine = _of(allotment.org_id, allotment.subscription_id)
        closed = await self._numbers(
            uow.connection,
            select(seat_slots.c.slot_no)
            .where(*mine, seat_slots.c.closed_at.is_not(None))
            .order_by(seat_slots.c.slot_no)
            .limit(wanted),
        )
        if closed:
            await uow.connection.execute(
                update(seat_slots).where(*mine, seat_slots.c.slot_no.in_(closed)).values(closed_at=None)
            )
        last = (await uow.connection.execute(select(func.count()).where(*mine))).scalar_one()
        rows = [
            {
                "org_id": allotment.org_id,
                "subscription_id": allotment.subscription_id,
                "slot_no": slot_no,
                "seat_id": seat_id_of(allotment.subscription_id, slot_no),
            }
            for slot_no in range(last + 1, last + 1 + wanted - len(closed))
        ]
        if rows:
            await uow.connection.execute(insert(seat_slots), rows)

    async def _close_free(self, uow: UnitOfWork, allotment: Allotment, excess: int, now: datetime) -> None:
        """Close free slots, the last first."""
        free = (*_of(allotment.org_id, allotment.subscription_id), *FREE)
        numbers = await self._numbers(
            uow.connection,
            select(seat_slots.c.slot_no).where(*free).order_by(seat_slots.c.slot_no.desc()).limit(excess),
        )
        if numbers:
            await uow.connection.execute(
                update(seat_slots).where(*free, seat_slots.c.slot_no.in_(numbers)).values(closed_at=now)
            )

    async def _numbers(self, connection: AsyncConnection, query: Any) -> Sequence[int]:
        return list((await connection.execute(query)).scalars())

    async def _count_open(self, connection: AsyncConnection, org_id: str, subscription_id: str) -> int:
        query = select(func.count()).where(*_of(org_id, subscription_id), seat_slots.c.closed_at.is_(None))
        return (await connection.execute(query)).scalar_one()

    async def _write(self, uow: UnitOfWork, allotment: Allotment) -> None:
        columns = seat_allotments.c
        await uow.connection.execute(
            update(seat_allotments)
            .where(columns.org_id == allotment.org_id, columns.subscription_id == allotment.subscription_id)
            .values(seats=allotment.seats, choose_until=allotment.choose_until)
        )


#: What makes a slot one that can be taken.
FREE = (seat_slots.c.device_id.is_(None), seat_slots.c.closed_at.is_(None))


def _of(org_id: str, subscription_id: str) -> tuple[Any, Any]:
    return seat_slots.c.org_id == org_id, seat_slots.c.subscription_id == subscription_id
