"""Seats and access as the devices capability asks for them (its port `Licences`)."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.model import AccessLevel
from controlplane.devices.model import Device, DeviceLicence
from controlplane.devices.ports import Outlook
from controlplane.licensing.issuing import Entitlement, EntitlementIssuer
from controlplane.licensing.model import Basis, basis_of, needs_new
from controlplane.licensing.ports import Terms
from controlplane.licensing.seat_rules import REASON_OF_LOSS, Change
from controlplane.licensing.seats import Seat, SeatChange, Seats
from controlplane.runtime.clock import Clock
from controlplane.storage.database import UnitOfWork


class DeviceLicences:
    """Answers what a device may do now, from its seat and its subscription.

    Args:
        seats: Who holds which.
        terms: What a subscription gives.
        issuer: What was last said to a device.
        clock: Business time.
    """

    def __init__(self, *, seats: Seats, terms: Terms, issuer: EntitlementIssuer, clock: Clock) -> None:
        self._seats = seats
        self._terms = terms
        self._issuer = issuer
        self._clock = clock

    async def licences_of(
        self, connection: AsyncConnection, org_id: str, device_ids: Collection[str] | None
    ) -> Mapping[str, DeviceLicence]:
        """Licences by device id; None asks for every device of the organisation. Who is missing holds no seat."""
        held = await self._held(connection, org_id, device_ids)
        terms = {
            subscription_id: await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)
            for subscription_id in {seat.subscription_id for seat in held}
        }
        return {
            seat.device_id: DeviceLicence(
                access=terms[seat.subscription_id].access,
                reason=terms[seat.subscription_id].access_reason,
                seat_id=seat.seat_id,
            )
            for seat in held
            if seat.device_id is not None
        }

    async def accesses_of(
        self, connection: AsyncConnection, org_id: str, subscription_ids: Collection[str]
    ) -> Mapping[str, AccessLevel]:
        """What these subscriptions give now, by id."""
        return {
            subscription_id: (await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)).access
            for subscription_id in subscription_ids
        }

    async def _held(
        self, connection: AsyncConnection, org_id: str, device_ids: Collection[str] | None
    ) -> Sequence[Seat]:
        if device_ids is None:
            return await self._seats.held_in(connection, org_id)
        return await self._seats.held_by(connection, org_id, device_ids)

    async def current_basis(
        self, connection: AsyncConnection, device: Device, latest: Entitlement | None
    ) -> Basis | None:
        """What should be said to a device now; None: it never had anything to do with a subscription.

        Args:
            connection: A reading one, or that of a unit of work.
            device: The device.
            latest: Its newest entitlement: names the subscription of a device that lost its seat.
        """
        return (await self._basis_until(connection, device, latest))[0]

    async def _basis_until(
        self, connection: AsyncConnection, device: Device, latest: Entitlement | None
    ) -> tuple[Basis | None, datetime | None]:
        """What should be said to a device now, and when its subscription comes to its next step by itself."""
        held = await self._seats.held_by(connection, device.org_id, [device.device_id])
        if held:
            seat_id, subscription_id, lost = held[0].seat_id, held[0].subscription_id, Change.RELEASED
        elif latest is not None:
            seat_id, subscription_id = "", latest.subscription_id
            lost = await self._seats.last_loss_of(connection, device.org_id, device.device_id)
        else:
            return None, None
        terms = await self._terms.of(
            connection, org_id=device.org_id, subscription_id=subscription_id, platform_os=device.platform.os
        )
        basis = basis_of(
            terms,
            seat_id=seat_id,
            device_id=device.device_id,
            device_public_key_sha256=device.public_key_sha256,
            reason_of_loss=REASON_OF_LOSS[lost],
        )
        return basis, terms.access_until

    async def entitlement_outlook(self, connection: AsyncConnection, device: Device, trusted_serial: int) -> Outlook:
        """Whether the device should ask for a new entitlement now, and until when that holds."""
        latest = await self._issuer.latest_of(connection, device.org_id, device.device_id)
        basis, access_until = await self._basis_until(connection, device, latest)
        if basis is None:
            return Outlook(changed=False, until=None)
        if latest is None or trusted_serial != latest.serial or latest.kid in self._issuer.revoked_kids():
            return Outlook(changed=True, until=None)
        turns = [turn for turn in (latest.refresh_after, access_until) if turn is not None]
        return Outlook(needs_new(latest.latest, basis, self._clock.now()), min(turns, default=None))

    async def refusal_of(self, connection: AsyncConnection, device: Device, feature: str) -> str:
        """Why a device's access does not hold a feature now, e.g. `SEAT_RELEASED`; empty: it does."""
        latest = await self._issuer.latest_of(connection, device.org_id, device.device_id)
        basis = await self.current_basis(connection, device, latest)
        if basis is None:
            return "NOT_ACTIVATED"
        weakest = dict(basis.features).get(feature)
        if weakest is None:
            return "NOT_IN_PLAN"
        return "" if basis.access.rank <= weakest.rank else basis.access_reason

    async def give_seat_back(self, uow: UnitOfWork, device: Device, *, actor: str, reason: str) -> None:
        """Free the seat that a device gives up or loses with its identity; nothing happens if it holds none."""
        change = SeatChange(actor=actor, reason=reason, at=self._clock.now())
        for seat in await self._seats.held_by(uow.connection, device.org_id, [device.device_id]):
            await self._seats.release(uow, seat, change)
