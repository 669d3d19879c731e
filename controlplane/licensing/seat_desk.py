"""What people do with seats: look, release, transfer, pin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from controlplane.accounts.audit import AuditLog
from controlplane.devices.errors import device_deactivated, device_revoked
from controlplane.licensing.allotments import Allotment
from controlplane.licensing.errors import (
    seat_changed_hands,
    seat_free,
    seat_has_device,
    seat_not_found,
    subscription_expired,
)
from controlplane.licensing.model import may_take_new_seat
from controlplane.licensing.parts import LicensingParts
from controlplane.licensing.seats import PastChange, Seat, SeatChange
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import PersonPrincipal
from controlplane.runtime.refusal import Holder
from controlplane.runtime.repeatable import Repeatable
from controlplane.storage.database import Database, UnitOfWork


@dataclass(frozen=True, slots=True)
class SeatView:
    """A slot and who holds it; None: it is free."""

    seat: Seat
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class SeatList:
    """The seats of a subscription, and how many of them its plan covers."""

    views: Sequence[SeatView]
    allotment: Allotment


@dataclass(frozen=True, slots=True)
class SeatWish:
    """What a person wants done with a seat.

    Attributes:
        seat_or_device_id: Which: by its id or its holder's.
        reason: For history and audit.
        idempotency_key: Names the wish; a repeat gets the first answer.
    """

    seat_or_device_id: str
    reason: str
    idempotency_key: str


class SeatDesk:
    """The use cases.

    Args:
        database: The database.
        parts: The rooms of licensing.
        audit: Records every change but those that `parts.seats` does.
        clock: Business time.
    """

    def __init__(self, *, database: Database, parts: LicensingParts, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._allotments = parts.allotments
        self._seats = parts.seats
        self._seating = parts.seating
        self._registry = parts.registry
        self._terms = parts.terms
        self._audit = audit
        self._clock = clock

    async def list_seats(self, org_id: str, subscription_id: str) -> SeatList:
        """Every slot of a subscription; an empty id asks for the only subscription there is.

        Raises:
            Refusal: As the subscriptions capability says it.
        """
        async with self._database.reading() as connection:
            terms = await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)
            shown = await self._seats.open_of(connection, org_id, terms.subscription_id)
            holders = {holder.seat_id: holder for holder in await self._seats.holders(connection, org_id, shown)}
            allotment = await self._allotments.get(connection, org_id, terms.subscription_id)
        return SeatList([SeatView(seat, holders.get(seat.seat_id)) for seat in shown], allotment)

    async def history(self, org_id: str, seat_or_device_id: str, limit: int) -> Sequence[PastChange]:
        """What happened to a seat or a device's seats, the newest first; an empty id asks for all.

        Raises:
            Refusal: `SEAT_NOT_FOUND`: nothing ever happened to it here.
        """
        async with self._database.reading() as connection:
            found = await self._seats.history(connection, org_id, seat_or_device_id, limit)
            known = found or not seat_or_device_id or await self._seats.find(connection, org_id, seat_or_device_id)
            if not known:
                raise seat_not_found()
        return found

    async def release(self, person: PersonPrincipal, wish: SeatWish) -> Seat:
        """Free a seat; its device keeps the floor, and its next entitlement says `SEAT_RELEASED`.

        Returns:
            The seat as it was, with the device that held it.

        Raises:
            Refusal: `SEAT_NOT_FOUND`, `SEAT_FREE`, or about the idempotency key.
        """
        request = Repeatable(
            person, "licensing.release_seat", wish.idempotency_key, wish.seat_or_device_id, wish.reason
        )
        async with self._database.transaction() as uow:
            now = self._clock.now()
            answered = await request.answered(uow, now)
            if answered is not None:
                return await self._as_it_was(uow, person.org_id, answered["seat_id"], answered["device_id"])
            seat, device_id = await self._held(uow, person.org_id, wish.seat_or_device_id)
            if not await self._seats.release(uow, seat, SeatChange(person.actor, wish.reason, now)):
                raise seat_changed_hands()
            await request.remember(uow, seat_id=seat.seat_id, device_id=device_id)
        return seat

    async def transfer(self, person: PersonPrincipal, wish: SeatWish, to_device_id: str) -> Seat:
        """Hand a seat to another device of the organisation, in one transaction.

        The other device is entitled from its next contact on; the one that had the seat is told `SEAT_TRANSFERRED`
        and keeps the floor.

        Returns:
            The seat as it was, with the device that held it.

        Raises:
            Refusal: `SEAT_NOT_FOUND`, `SEAT_FREE`, `SEAT_CHANGED`, `SEAT_COOL_DOWN`, `DEVICE_NOT_FOUND`,
                `DEVICE_REVOKED`, `DEVICE_DEACTIVATED`, `DEVICE_HAS_SEAT`, `SUBSCRIPTION_EXPIRED`, or about the
                idempotency key.
        """
        parts = (wish.seat_or_device_id, to_device_id, wish.reason)
        request = Repeatable(person, "licensing.transfer_seat", wish.idempotency_key, *parts)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            answered = await request.answered(uow, now)
            if answered is not None:
                return await self._as_it_was(uow, person.org_id, answered["seat_id"], answered["device_id"])
            other = await self._registry.lock(uow, person.org_id, to_device_id)
            if other.revoked_at is not None:
                raise device_revoked()
            if other.deactivated_at is not None:
                raise device_deactivated()
            seat, device_id = await self._held(uow, person.org_id, wish.seat_or_device_id)
            terms = await self._terms.of(uow.connection, org_id=person.org_id, subscription_id=seat.subscription_id)
            if not may_take_new_seat(terms.access):
                raise subscription_expired(terms.access_reason)
            if await self._seats.held_by(uow.connection, person.org_id, [to_device_id]):
                raise seat_has_device(to_device_id)
            await self._seating.refuse_rotation(uow, terms, to_device_id, now)
            change = SeatChange(person.actor, wish.reason, now)
            if not await self._seats.transfer(uow, seat, to_device_id, change):
                raise seat_changed_hands()
            await request.remember(uow, seat_id=seat.seat_id, device_id=device_id)
            details = {"from_device_id": device_id, "to_device_id": to_device_id, "reason": wish.reason}
            await self._audit.record(
                uow, org_id=person.org_id, action="seat.transferred", subject=seat.seat_id, details=details
            )
        return seat

    async def pin(self, person: PersonPrincipal, wish: SeatWish, *, pinned: bool) -> SeatView:
        """Pin a seat to its device, or take the pin away.

        Raises:
            Refusal: `SEAT_NOT_FOUND`, `SEAT_FREE`, `SEAT_CHANGED`, or about the idempotency key.
        """
        parts = (wish.seat_or_device_id, str(pinned))
        request = Repeatable(person, "licensing.pin_seat", wish.idempotency_key, *parts)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            answered = await request.answered(uow, now)
            seat, device_id = await self._held(uow, person.org_id, wish.seat_or_device_id)
            if answered is None:
                pinned_at = (seat.pinned_at or now) if pinned else None
                if not await self._seats.pin(uow, seat, pinned_at):
                    raise seat_changed_hands()
                seat = replace(seat, pinned_at=pinned_at)
                await request.remember(uow, seat_id=seat.seat_id, device_id=device_id)
                await self._audit.record(
                    uow,
                    org_id=person.org_id,
                    action="seat.pinned" if pinned else "seat.unpinned",
                    subject=seat.seat_id,
                    details={"device_id": device_id},
                )
            holders = await self._seats.holders(uow.connection, person.org_id, [seat])
        return SeatView(seat, holders[0])

    async def _held(self, uow: UnitOfWork, org_id: str, seat_or_device_id: str) -> tuple[Seat, str]:
        """A seat that somebody holds, and who."""
        seat = await self._seats.find(uow.connection, org_id, seat_or_device_id)
        if seat is None:
            raise seat_not_found()
        if seat.device_id is None:
            raise seat_free()
        return seat, seat.device_id

    async def _as_it_was(self, uow: UnitOfWork, org_id: str, seat_id: str, device_id: str) -> Seat:
        """The seat of a first answer, with the device it speaks of."""
        seat = await self._seats.find(uow.connection, org_id, seat_id)
        if seat is None:
            raise seat_not_found()
        return replace(seat, device_id=device_id)
