"""Seats. This is the file where a seat is claimed: see `Seats.claim`.

A seat is a slot row; it is free when its `device_id` is NULL. Claiming is one conditional update of one row, so that
more devices than slots cannot be said, on either database and from any number of server processes.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.devices.registry import DeviceRegistry
from controlplane.licensing.model import seat_id_of
from controlplane.licensing.tables import seat_changes
from controlplane.licensing.tables import seats as seat_slots
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.refusal import Holder
from controlplane.storage.database import UnitOfWork
from controlplane.storage.upsert import insert_into

CLAIMED = "claimed"
RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Seat:
    """A slot of a subscription; free when nobody holds it."""

    org_id: str
    subscription_id: str
    slot_no: int
    seat_id: str
    device_id: str | None
    held_since: datetime | None


@dataclass(frozen=True, slots=True)
class SeatChange:
    """Why a seat changes hands.

    Attributes:
        actor: Who caused it, as the audit names them.
        reason: For the history.
        at: When.
    """

    actor: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SeatWish:
    """A device wants a seat.

    Attributes:
        seats: Slots that the plan covers now; higher ones are not given out.
        change: For the history.
    """

    org_id: str
    subscription_id: str
    device_id: str
    seats: int
    change: SeatChange


class Seats:
    """Reads and changes seats; also the `SeatBook` that subscriptions ask for.

    Args:
        registry: Names the holders.
        randomness: For ids of history entries.
    """

    def __init__(self, registry: DeviceRegistry, randomness: Randomness) -> None:
        self._registry = registry
        self._randomness = randomness

    async def provide(self, uow: UnitOfWork, *, org_id: str, subscription_id: str, seats: int, now: datetime) -> None:  # noqa: ARG002 -- the port's other implementations may want `now`
        """Make sure that slots 1 to `seats` exist; slots that are there stay as they are."""
        if seats < 1:
            return
        rows = [
            {
                "org_id": org_id,
                "subscription_id": subscription_id,
                "slot_no": slot_no,
                "seat_id": seat_id_of(subscription_id, slot_no),
            }
            for slot_no in range(1, seats + 1)
        ]
        await uow.connection.execute(insert_into(uow.connection, seat_slots).on_conflict_do_nothing(), rows)

    async def count_taken(self, connection: AsyncConnection, *, org_id: str, subscription_id: str) -> int:
        """How many slots are held by a device."""
        query = select(func.count()).where(*_of(org_id, subscription_id), seat_slots.c.device_id.is_not(None))
        return (await connection.execute(query)).scalar_one()

    async def claim(self, uow: UnitOfWork, wish: SeatWish) -> Seat | None:
        """Take the first free slot for a device; None: every slot is taken.

        The caller holds the lock of the device's row, and the device holds no slot of this subscription.
        """
        row = await self._take(uow, wish, skip_locked=True)
        # PostgreSQL only: a slot that is locked was passed over. Its claimer may still roll back, so wait for it
        # before saying that everything is taken. Each round ends with our slot or with one free slot fewer.
        while row is None and await self._any_free(uow, wish):
            row = await self._take(uow, wish, skip_locked=False)
        if row is None:
            return None
        seat = _seat(row)
        await self._remember(uow, seat, wish.device_id, CLAIMED, wish.change)
        return seat

    async def _take(self, uow: UnitOfWork, wish: SeatWish, *, skip_locked: bool) -> Row[Any] | None:
        free = (
            select(seat_slots.c.slot_no)
            .where(*_free(wish))
            .order_by(seat_slots.c.slot_no)
            .limit(1)
            .with_for_update(skip_locked=skip_locked)  # SQLite has one writer at a time and leaves this out
            .scalar_subquery()
        )
        statement = (
            update(seat_slots)
            .where(*_free(wish), seat_slots.c.slot_no == free)
            .values(device_id=wish.device_id, held_since=wish.change.at)
            .returning(*seat_slots.columns)
        )
        return (await uow.connection.execute(statement)).one_or_none()

    async def _any_free(self, uow: UnitOfWork, wish: SeatWish) -> bool:
        query = select(seat_slots.c.slot_no).where(*_free(wish)).limit(1)
        return (await uow.connection.execute(query)).one_or_none() is not None

    async def release(self, uow: UnitOfWork, seat: Seat, change: SeatChange) -> bool:
        """Free a seat; False: its holder had changed in the meantime, and nothing was done."""
        if seat.device_id is None:
            return False
        statement = (
            update(seat_slots)
            .where(
                *_of(seat.org_id, seat.subscription_id),
                seat_slots.c.slot_no == seat.slot_no,
                seat_slots.c.device_id == seat.device_id,
            )
            .values(device_id=None, held_since=None)
            .returning(seat_slots.c.slot_no)
        )
        if (await uow.connection.execute(statement)).one_or_none() is None:
            return False
        await self._remember(uow, seat, seat.device_id, RELEASED, change)
        return True

    async def _remember(self, uow: UnitOfWork, seat: Seat, device_id: str, what: str, change: SeatChange) -> None:
        await uow.connection.execute(
            insert(seat_changes).values(
                org_id=seat.org_id,
                entry_id=new_id(self._randomness, "sch"),
                subscription_id=seat.subscription_id,
                seat_id=seat.seat_id,
                device_id=device_id,
                change=what,
                actor=change.actor,
                reason=change.reason,
                happened_at=change.at,
            )
        )

    async def held_by(self, connection: AsyncConnection, org_id: str, device_ids: Collection[str]) -> Sequence[Seat]:
        """The seats of devices; one at most for each, unless it is being moved between subscriptions."""
        query = select(*seat_slots.columns).where(seat_slots.c.org_id == org_id, seat_slots.c.device_id.in_(device_ids))
        return [_seat(row) for row in await connection.execute(query)]

    async def held_in(self, connection: AsyncConnection, org_id: str) -> Sequence[Seat]:
        """Every seat of an organisation that is taken."""
        query = select(*seat_slots.columns).where(seat_slots.c.org_id == org_id, seat_slots.c.device_id.is_not(None))
        return [_seat(row) for row in await connection.execute(query)]

    async def find(self, connection: AsyncConnection, org_id: str, seat_or_device_id: str) -> Seat | None:
        """A seat by its id or its holder's."""
        query = select(*seat_slots.columns).where(
            seat_slots.c.org_id == org_id,
            or_(seat_slots.c.seat_id == seat_or_device_id, seat_slots.c.device_id == seat_or_device_id),
        )
        row = (await connection.execute(query.limit(1))).one_or_none()
        return None if row is None else _seat(row)

    async def of_subscription(self, connection: AsyncConnection, org_id: str, subscription_id: str) -> Sequence[Seat]:
        """Every slot, in order."""
        query = select(*seat_slots.columns).where(*_of(org_id, subscription_id)).order_by(seat_slots.c.slot_no)
        return [_seat(row) for row in await connection.execute(query)]

    async def holders(self, connection: AsyncConnection, org_id: str, of_seats: Sequence[Seat]) -> Sequence[Holder]:
        """Who holds these seats, free ones left out."""
        contacts = await self._registry.contacts_of(
            connection, org_id, [seat.device_id for seat in of_seats if seat.device_id is not None]
        )
        return [
            Holder(
                seat_id=seat.seat_id,
                device_id=seat.device_id,
                device_name=contacts[seat.device_id].name,
                held_since=seat.held_since,
                last_seen=contacts[seat.device_id].last_seen,
            )
            for seat in of_seats
            if seat.device_id is not None and seat.held_since is not None
        ]


def _of(org_id: str, subscription_id: str) -> tuple[Any, Any]:
    return seat_slots.c.org_id == org_id, seat_slots.c.subscription_id == subscription_id


def _free(wish: SeatWish) -> tuple[Any, ...]:
    return (
        *_of(wish.org_id, wish.subscription_id),
        seat_slots.c.device_id.is_(None),
        seat_slots.c.slot_no <= wish.seats,
    )


def _seat(row: Row[Any]) -> Seat:
    return Seat(
        org_id=row.org_id,
        subscription_id=row.subscription_id,
        slot_no=row.slot_no,
        seat_id=row.seat_id,
        device_id=row.device_id,
        held_since=row.held_since,
    )
