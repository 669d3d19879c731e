"""Finds a seat for a device: a free one, or that of a device that nobody has seen for long; and settles a surplus."""

from collections.abc import Sequence
from datetime import datetime

from controlplane.devices.model import Device
from controlplane.licensing.allotments import Allotments
from controlplane.licensing.errors import seat_cool_down, seat_limit
from controlplane.licensing.model import SubscriptionTerms
from controlplane.licensing.ports import Notice, NoticeKind, Notices
from controlplane.licensing.seat_rules import Change, cools_until, intake_allowance, reclaimable, who_loses
from controlplane.licensing.seats import Seat, SeatChange, Seats
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import SYSTEM_ACTOR
from controlplane.storage.database import Database, UnitOfWork


class Seating:
    """Gives seats and takes them.

    Args:
        database: For the job that settles a surplus.
        allotments: How many seats there are.
        seats: The rows.
        notices: Tells the owner.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        database: Database,
        allotments: Allotments,
        seats: Seats,
        notices: Notices,
        clock: Clock,
    ) -> None:
        self._database = database
        self._allotments = allotments
        self._seats = seats
        self._notices = notices
        self._clock = clock

    async def take(
        self,
        uow: UnitOfWork,
        device: Device,
        terms: SubscriptionTerms,
        change: SeatChange,
        *,
        leaving: Sequence[Seat] = (),
    ) -> Seat:
        """A seat for a device that has none of this subscription; its row is locked.

        Args:
            uow: The transaction.
            device: Who wants it.
            terms: Of the subscription.
            change: For the history.
            leaving: Seats of other subscriptions that the device gives up for it.

        Raises:
            Refusal: `SEAT_LIMIT` or `SEAT_COOL_DOWN`.
        """
        # In one order for everybody, so that two devices that swap subscriptions do not wait for each other.
        for subscription_id in sorted({terms.subscription_id, *(seat.subscription_id for seat in leaving)}):
            await self._allotments.lock(uow, device.org_id, subscription_id)
        for seat in leaving:
            moved = SeatChange(change.actor, f"moved to {terms.subscription_id}", change.at)
            await self._seats.release(uow, seat, moved)
        await self.refuse_rotation(uow, terms, device.device_id, change.at)
        free = await self.take_free(uow, device, terms, change)
        if free is None and await self._reclaim_one(uow, terms, device, change.at):
            free = await self.take_free(uow, device, terms, change)
        if free is None:
            taken = await self._seats.open_of(uow.connection, terms.org_id, terms.subscription_id)
            raise seat_limit(terms.seats, await self._seats.holders(uow.connection, terms.org_id, taken))
        return free

    async def take_free(
        self, uow: UnitOfWork, device: Device, terms: SubscriptionTerms, change: SeatChange
    ) -> Seat | None:
        """The first free seat; None: there is none."""
        allotment = await self._allotments.lock(uow, device.org_id, terms.subscription_id)
        return await self._seats.claim(uow, allotment, device.device_id, change)

    async def refuse_rotation(self, uow: UnitOfWork, terms: SubscriptionTerms, device_id: str, now: datetime) -> None:
        """Refuse a device if too many others took a seat recently.

        Raises:
            Refusal: `SEAT_COOL_DOWN`.
        """
        allotment = await self._allotments.lock(uow, terms.org_id, terms.subscription_id)
        claims = await self._seats.first_claims(uow.connection, allotment, now)
        until = cools_until(claims, device_id, allotment.seats, now)
        if until is not None:
            raise seat_cool_down(until, intake_allowance(allotment.seats))

    async def _reclaim_one(self, uow: UnitOfWork, terms: SubscriptionTerms, device: Device, now: datetime) -> bool:
        """Take the seat of the device that was not seen for longest, if any was not for long enough.

        Not while there is a surplus: what becomes free then is closed.
        """
        if (await self._allotments.lock(uow, terms.org_id, terms.subscription_id)).surplus:
            return False
        held = await self._seats.open_of(uow.connection, terms.org_id, terms.subscription_id)
        standings = await self._seats.standings(uow.connection, terms.org_id, held)
        for standing in reclaimable(list(standings), now):
            seat = standings[standing]
            reason = f"not seen since {standing.last_sign:%Y-%m-%d}; {device.device_id} needed the seat"
            if await self._lose(uow, seat, Change.RECLAIMED, NoticeKind.SEAT_RECLAIMED, reason, now):
                return True
        return False

    async def settle_surplus(self, org_id: str, subscription_id: str) -> int:
        """Take what is held beyond the plan, if the time to choose is over; a durable job calls this.

        Returns:
            How many devices lost their seat.
        """
        now = self._clock.now()
        async with self._database.transaction() as uow:
            allotment = await self._allotments.lock(uow, org_id, subscription_id)
            if allotment.choose_until is None or now < allotment.choose_until:
                return 0
            held = await self._seats.open_of(uow.connection, org_id, subscription_id)
            standings = await self._seats.standings(uow.connection, org_id, held)
            losers = [standings[each] for each in who_loses(list(standings), allotment.seats)]
            reason = f"the plan covers {allotment.seats} device(s) since the last change"
            for seat in losers:
                await self._lose(uow, seat, Change.SURPLUS, NoticeKind.SEAT_LOST, reason, now)
        return len(losers)

    async def _lose(
        self, uow: UnitOfWork, seat: Seat, how: Change, kind: NoticeKind, reason: str, now: datetime
    ) -> bool:
        if not await self._seats.release(uow, seat, SeatChange(SYSTEM_ACTOR, reason, now), how):
            return False
        facts = {"device_id": seat.device_id or "", "reason": reason}
        await self._notices.tell_owner(uow, Notice(seat.org_id, kind, seat.seat_id, facts))
        return True
