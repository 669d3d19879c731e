"""Seats. This is the file where a seat is claimed: see `Seats.claim`.

A seat is a slot row; it is free when its `device_id` is NULL. Claiming is one conditional update of one row, so that
more devices than slots cannot be said, on either database and from any number of server processes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.accounts.audit import AuditLog
from controlplane.devices.registry import DeviceContact, DeviceRegistry
from controlplane.licensing.allotments import FREE, Allotment, Allotments
from controlplane.licensing.seat_rules import REASON_OF_LOSS, ROTATION_WINDOW, Change, Standing
from controlplane.licensing.tables import seat_changes
from controlplane.licensing.tables import seats as seat_slots
from controlplane.runtime.randomness import Randomness, new_id
from controlplane.runtime.refusal import Holder
from controlplane.storage.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class Seat:
    """A slot of a subscription; free when nobody holds it."""

    org_id: str
    subscription_id: str
    slot_no: int
    seat_id: str
    device_id: str | None
    held_since: datetime | None
    pinned_at: datetime | None
    closed_at: datetime | None


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
class PastChange:
    """One entry of the history."""

    seat_id: str
    device_id: str
    change: Change
    why: SeatChange


class Seats:
    """Reads and changes seats.

    Args:
        allotments: How many there are.
        registry: Names the holders.
        audit: Records every seat that is freed, whoever frees it.
        randomness: For ids of history entries.
    """

    def __init__(
        self, allotments: Allotments, registry: DeviceRegistry, audit: AuditLog, randomness: Randomness
    ) -> None:
        self._allotments = allotments
        self._registry = registry
        self._audit = audit
        self._randomness = randomness

    # ------------------------------------------------------------ changing

    async def claim(self, uow: UnitOfWork, allotment: Allotment, device_id: str, change: SeatChange) -> Seat | None:
        """Take the first free slot for a device; None: every slot is taken.

        The caller holds the locks of the device's row and of the allotment, and the device holds no slot of this
        subscription.
        """
        mine = _of(allotment.org_id, allotment.subscription_id)
        first = select(func.min(seat_slots.c.slot_no)).where(*mine, *FREE).scalar_subquery()
        statement = (
            update(seat_slots)
            .where(*mine, *FREE, seat_slots.c.slot_no == first)
            .values(device_id=device_id, held_since=change.at)
            .returning(*seat_slots.columns)
        )
        row = (await uow.connection.execute(statement)).one_or_none()
        if row is None:
            return None
        seat = _seat(row)
        await self._tell(uow, allotment.org_id, device_id)
        await self.remember(uow, seat, device_id, Change.CLAIMED, change)
        return seat

    async def release(self, uow: UnitOfWork, seat: Seat, change: SeatChange, how: Change = Change.RELEASED) -> bool:
        """Free a seat, and close it if the plan does not cover it any more.

        Returns:
            False: its holder had changed in the meantime, and nothing was done.
        """
        if seat.device_id is None:
            return False
        allotment = await self._allotments.lock(uow, seat.org_id, seat.subscription_id)
        closed_at = change.at if allotment.surplus else None
        freed = {"device_id": None, "held_since": None, "pinned_at": None, "closed_at": closed_at}
        if not await self._changed(uow, seat, freed):
            return False
        if allotment.surplus:
            await self._allotments.one_closed(uow, allotment)
        await self._tell(uow, seat.org_id, seat.device_id)
        await self.remember(uow, seat, seat.device_id, how, change)
        facts = {"device_id": seat.device_id, "reason": change.reason}
        await self._audit.record(
            uow, org_id=seat.org_id, action=f"seat.{how.value}", subject=seat.seat_id, details=facts
        )
        return True

    async def transfer(self, uow: UnitOfWork, seat: Seat, to_device_id: str, change: SeatChange) -> bool:
        """Hand a held seat to a device that holds none, in one statement; False as with `release`.

        The caller holds the locks of the other device's row and of the allotment.
        """
        if seat.device_id is None:
            return False
        handed = {"device_id": to_device_id, "held_since": change.at, "pinned_at": None}
        if not await self._changed(uow, seat, handed):
            return False
        for device_id in sorted([seat.device_id, to_device_id]):
            await self._tell(uow, seat.org_id, device_id)
        await self.remember(uow, seat, seat.device_id, Change.TRANSFERRED, change)
        await self.remember(uow, seat, to_device_id, Change.CLAIMED, change)
        return True

    async def pin(self, uow: UnitOfWork, seat: Seat, pinned_at: datetime | None) -> bool:
        """Pin a held seat, or take the pin away; False as with `release`."""
        return seat.device_id is not None and await self._changed(uow, seat, {"pinned_at": pinned_at})

    async def _changed(self, uow: UnitOfWork, seat: Seat, values: Mapping[str, Any]) -> bool:
        """Change a slot, provided that its holder is still who it was."""
        statement = (
            update(seat_slots)
            .where(
                *_of(seat.org_id, seat.subscription_id),
                seat_slots.c.slot_no == seat.slot_no,
                seat_slots.c.device_id == seat.device_id,
            )
            .values(**values)
            .returning(seat_slots.c.slot_no)
        )
        return (await uow.connection.execute(statement)).one_or_none() is not None

    async def _tell(self, uow: UnitOfWork, org_id: str, device_id: str) -> None:
        """Have a device count as what it is after its seat changed."""
        held = await self.held_by(uow.connection, org_id, [device_id])
        await self._registry.seated(uow, org_id, device_id, held[-1].subscription_id if held else "")

    async def remember(self, uow: UnitOfWork, seat: Seat, device_id: str, how: Change, change: SeatChange) -> None:
        """Write an entry of the history."""
        await uow.connection.execute(
            insert(seat_changes).values(
                org_id=seat.org_id,
                entry_id=new_id(self._randomness, "sch"),
                subscription_id=seat.subscription_id,
                seat_id=seat.seat_id,
                device_id=device_id,
                change=how.value,
                actor=change.actor,
                reason=change.reason,
                happened_at=change.at,
            )
        )

    # ------------------------------------------------------------ reading

    async def held_by(self, connection: AsyncConnection, org_id: str, device_ids: Collection[str]) -> Sequence[Seat]:
        """The seats of devices; one at most for each, unless it is being moved; the newest last."""
        query = (
            select(*seat_slots.columns)
            .where(seat_slots.c.org_id == org_id, seat_slots.c.device_id.in_(device_ids))
            .order_by(seat_slots.c.held_since, seat_slots.c.subscription_id)
        )
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

    async def open_of(self, connection: AsyncConnection, org_id: str, subscription_id: str) -> Sequence[Seat]:
        """Every slot that is held or can be taken, in order."""
        query = (
            select(*seat_slots.columns)
            .where(*_of(org_id, subscription_id), seat_slots.c.closed_at.is_(None))
            .order_by(seat_slots.c.slot_no)
        )
        return [_seat(row) for row in await connection.execute(query)]

    async def holders(self, connection: AsyncConnection, org_id: str, of_seats: Sequence[Seat]) -> Sequence[Holder]:
        """Who holds these seats, free ones left out."""
        contacts = await self._contacts(connection, org_id, of_seats)
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

    async def standings(
        self, connection: AsyncConnection, org_id: str, of_seats: Sequence[Seat]
    ) -> Mapping[Standing, Seat]:
        """How the holders of these seats stand, free ones left out."""
        contacts = await self._contacts(connection, org_id, of_seats)
        return {
            Standing(
                slot_no=seat.slot_no,
                held_since=seat.held_since,
                last_seen=contacts[seat.device_id].last_seen,
                pinned=seat.pinned_at is not None,
            ): seat
            for seat in of_seats
            if seat.device_id is not None and seat.held_since is not None
        }

    async def _contacts(
        self, connection: AsyncConnection, org_id: str, of_seats: Sequence[Seat]
    ) -> Mapping[str, DeviceContact]:
        held = [seat.device_id for seat in of_seats if seat.device_id is not None]
        return await self._registry.contacts_of(connection, org_id, held)

    async def first_claims(
        self, connection: AsyncConnection, allotment: Allotment, now: datetime
    ) -> Mapping[str, datetime]:
        """Devices that took a seat within `ROTATION_WINDOW`, and when each did first."""
        changes = seat_changes.c
        query = (
            select(changes.device_id, func.min(changes.happened_at).label("at"))
            .where(
                changes.org_id == allotment.org_id,
                changes.subscription_id == allotment.subscription_id,
                changes.happened_at > now - ROTATION_WINDOW,
                changes.change == Change.CLAIMED.value,
            )
            .group_by(changes.device_id)
        )
        return {row.device_id: row.at for row in await connection.execute(query)}

    async def last_loss_of(self, connection: AsyncConnection, org_id: str, device_id: str) -> Change:
        """How a device that holds no seat lost it; a plain release if it never held one."""
        changes = seat_changes.c
        query = (
            select(changes.change)
            .where(
                changes.org_id == org_id,
                changes.device_id == device_id,
                changes.change.in_([change.value for change in REASON_OF_LOSS]),
            )
            .order_by(changes.happened_at.desc())
            .limit(1)
        )
        found = (await connection.execute(query)).scalar_one_or_none()
        return Change.RELEASED if found is None else Change(found)

    async def history(
        self, connection: AsyncConnection, org_id: str, seat_or_device_id: str, limit: int
    ) -> Sequence[PastChange]:
        """What happened, the newest first; an empty id asks for every seat of the organisation."""
        changes = seat_changes.c
        query = select(*changes).where(changes.org_id == org_id)
        if seat_or_device_id:
            query = query.where(or_(changes.seat_id == seat_or_device_id, changes.device_id == seat_or_device_id))
        # Of changes in one instant the claim came last; ids are random.
        query = query.order_by(changes.happened_at.desc(), changes.change, changes.entry_id).limit(limit)
        return [
            PastChange(
                seat_id=row.seat_id,
                device_id=row.device_id,
                change=Change(row.change),
                why=SeatChange(row.actor, row.reason, row.happened_at),
            )
            for row in await connection.execute(query)
        ]


def _of(org_id: str, subscription_id: str) -> tuple[Any, Any]:
    return seat_slots.c.org_id == org_id, seat_slots.c.subscription_id == subscription_id


def _seat(row: Row[Any]) -> Seat:
    return Seat(
        org_id=row.org_id,
        subscription_id=row.subscription_id,
        slot_no=row.slot_no,
        seat_id=row.seat_id,
        device_id=row.device_id,
        held_since=row.held_since,
        pinned_at=row.pinned_at,
        closed_at=row.closed_at,
    )
