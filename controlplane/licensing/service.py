"""The use cases of licensing. `LicensingService.activate` is the path of DESIGN section 4, steps 3 and 4."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from controlplane.accounts.audit import AuditLog
from controlplane.catalog.model import AccessLevel
from controlplane.devices.identity import read_certificate_request
from controlplane.devices.model import Device, FingerprintComponent, Platform
from controlplane.devices.registry import DeviceRegistry, NewDevice
from controlplane.licensing.errors import (
    key_mistyped,
    not_activated,
    seat_free,
    seat_limit,
    seat_not_found,
    subscription_ended,
    subscription_expired,
)
from controlplane.licensing.issuing import EntitlementIssuer, SignedStatement
from controlplane.licensing.keys import ActivationKey, ActivationKeys, IssuedKey, key_digest
from controlplane.licensing.licences import DeviceLicences
from controlplane.licensing.model import SubscriptionTerms, basis_of, may_take_new_seat
from controlplane.licensing.ports import CertificateAuthority
from controlplane.licensing.seats import Seat, SeatChange, Seats, SeatWish
from controlplane.licensing.terms import TermsReader
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import invalid
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal
from controlplane.runtime.refusal import Holder
from controlplane.storage.database import Database, UnitOfWork
from wire.activation_key import MistypedKeyError, parse_activation_key


@dataclass(frozen=True, slots=True)
class Activation:
    """What a device asks for: its fields are checked in shape, the key and the certificate request are not yet."""

    untrusted_key: str
    untrusted_certificate_request: bytes
    device_name: str
    platform: Platform
    fingerprint: frozenset[FingerprintComponent]


@dataclass(frozen=True, slots=True)
class Activated:
    """What the device gets."""

    device: Device
    device_certificate_pem: bytes
    entitlement: SignedStatement


@dataclass(frozen=True, slots=True)
class SeatView:
    """A slot and who holds it; None: it is free."""

    seat: Seat
    holder: Holder | None


@dataclass(frozen=True, slots=True)
class LicensingParts:
    """The rooms of licensing, built in `app.py`."""

    registry: DeviceRegistry
    keys: ActivationKeys
    seats: Seats
    terms: TermsReader
    issuer: EntitlementIssuer
    licences: DeviceLicences


class LicensingService:
    """Activates devices, refreshes what they may do, manages keys and seats.

    Args:
        database: The database.
        parts: The rooms of licensing.
        authority: Certifies device keys.
        audit: Records every change, in its transaction.
        clock: Business time.
    """

    def __init__(
        self,
        *,
        database: Database,
        parts: LicensingParts,
        authority: CertificateAuthority,
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._database = database
        self._registry = parts.registry
        self._keys = parts.keys
        self._seats = parts.seats
        self._terms = parts.terms
        self._issuer = parts.issuer
        self._licences = parts.licences
        self._authority = authority
        self._audit = audit
        self._clock = clock

    # ------------------------------------------------------------ devices

    async def activate(self, activation: Activation) -> Activated:
        """Give a device its seat, its certificate and its entitlement.

        Idempotent by the device's public key: the same device gets its seat back and, until something changed, the
        same serial. What a crash leaves behind is either nothing or a seat with a planned entitlement, which a retry
        or the sweeper finishes.

        Raises:
            Refusal: `KEY_MISTYPED`, `KEY_UNKNOWN`, `KEY_REVOKED`, `KEY_EXPIRED`, `KEY_USED_UP`,
                `BAD_CERTIFICATE_REQUEST`, `DEVICE_REVOKED`, `SUBSCRIPTION_ENDED`, `SUBSCRIPTION_EXPIRED`,
                `SEAT_LIMIT` or `SIGNING_UNAVAILABLE`.
        """
        digest = _digest_of(activation.untrusted_key)
        request = read_certificate_request(activation.untrusted_certificate_request)
        new = NewDevice(activation.device_name, activation.platform, request.public_key_sha256, activation.fingerprint)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            key = await self._keys.lock_by_digest(uow, digest)
            terms = await self._terms.of(
                uow.connection,
                org_id=key.org_id,
                subscription_id=key.subscription_id,
                platform_os=activation.platform.os,
            )
            if terms.access is AccessLevel.ENDED:
                raise subscription_ended()
            device = await self._registry.register(uow, key.org_id, new, now)
            seat = await self._seat_for(uow, device, key, terms, now)
            basis = basis_of(
                terms,
                seat_id=seat.seat_id,
                device_id=device.device_id,
                device_public_key_sha256=device.public_key_sha256,
            )
            planned = await self._issuer.plan(uow, basis)
        entitlement = await self._issuer.finish(planned)
        certificate = self._authority.issue_device(request.der, device_id=device.device_id, org_id=device.org_id)
        return Activated(device, certificate, entitlement)

    async def _seat_for(
        self, uow: UnitOfWork, device: Device, key: ActivationKey, terms: SubscriptionTerms, now: datetime
    ) -> Seat:
        """The device's seat: the one it has, or a free one."""
        held = await self._seats.held_by(uow.connection, device.org_id, [device.device_id])
        for seat in held:
            if seat.subscription_id == terms.subscription_id:
                return seat
        if not may_take_new_seat(terms.access):
            raise subscription_expired(terms.access_reason)
        await self._keys.use(uow, key, device.device_id, now)
        actor = DevicePrincipal(device.device_id, device.org_id).actor
        wish = SeatWish(
            org_id=device.org_id,
            subscription_id=terms.subscription_id,
            device_id=device.device_id,
            seats=terms.seats,
            change=SeatChange(actor, f"activated with key {key.key_id}", now),
        )
        claimed = await self._seats.claim(uow, wish)
        if claimed is None:
            raise await self._no_seat_left(uow, terms)
        for seat in held:
            await self._seats.release(uow, seat, SeatChange(actor, f"moved to {terms.subscription_id}", now))
        await self._audit.record(
            uow,
            org_id=device.org_id,
            action="seat.claimed",
            subject=claimed.seat_id,
            details={"device_id": device.device_id, "device_name": device.name, "key_id": key.key_id},
        )
        return claimed

    async def _no_seat_left(self, uow: UnitOfWork, terms: SubscriptionTerms) -> Exception:
        taken = await self._seats.of_subscription(uow.connection, terms.org_id, terms.subscription_id)
        return seat_limit(terms.seats, await self._seats.holders(uow.connection, terms.org_id, taken))

    async def refresh(self, principal: DevicePrincipal, trusted_serial: int) -> SignedStatement:
        """The entitlement that a device should have now; a new serial only if there is something new to say.

        Args:
            principal: The device that asks.
            trusted_serial: What it trusts.

        Raises:
            Refusal: `NOT_ACTIVATED`, `SIGNING_UNAVAILABLE`, or what the registry says about the device.
        """
        async with self._database.transaction() as uow:
            device = await self._registry.lock_calling(uow, principal)
            latest = await self._issuer.latest_of(uow.connection, device.org_id, device.device_id)
            basis = await self._licences.current_basis(uow.connection, device, latest)
            if basis is None:
                raise not_activated()
            planned = await self._issuer.plan(uow, basis, trusted_serial=trusted_serial)
        return await self._issuer.finish(planned)

    # ------------------------------------------------------------ seats

    async def list_seats(self, org_id: str, subscription_id: str) -> Sequence[SeatView]:
        """Every slot of a subscription; an empty id asks for the only subscription there is.

        Raises:
            Refusal: As the subscriptions capability says it.
        """
        async with self._database.reading() as connection:
            terms = await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)
            seats = await self._seats.of_subscription(connection, org_id, terms.subscription_id)
            shown = [seat for seat in seats if seat.slot_no <= terms.seats or seat.device_id is not None]
            holders = {holder.seat_id: holder for holder in await self._seats.holders(connection, org_id, shown)}
        return [SeatView(seat, holders.get(seat.seat_id)) for seat in shown]

    async def release_seat(self, person: PersonPrincipal, seat_or_device_id: str, reason: str) -> Seat:
        """Free a seat; its device keeps the floor, and its next entitlement says `SEAT_RELEASED`.

        Returns:
            The seat as it was, with the device that held it.

        Raises:
            Refusal: `SEAT_NOT_FOUND` or `SEAT_FREE`.
        """
        async with self._database.transaction() as uow:
            seat = await self._seats.find(uow.connection, person.org_id, seat_or_device_id)
            if seat is None:
                raise seat_not_found()
            change = SeatChange(person.actor, reason, self._clock.now())
            if seat.device_id is None or not await self._seats.release(uow, seat, change):
                raise seat_free()
            await self._audit.record(
                uow,
                org_id=person.org_id,
                action="seat.released",
                subject=seat.seat_id,
                details={"device_id": seat.device_id, "reason": reason},
            )
        return seat

    # ------------------------------------------------------------ keys

    async def issue_key(
        self, org_id: str, *, subscription_id: str, max_devices: int, expires_at: datetime | None
    ) -> IssuedKey:
        """Make an activation key; an empty id means the only subscription there is.

        Raises:
            Refusal: `INVALID_REQUEST`, `SUBSCRIPTION_ENDED`, or as the subscriptions capability says it.
        """
        async with self._database.transaction() as uow:
            return await self.issue_key_within(
                uow, org_id, subscription_id=subscription_id, max_devices=max_devices, expires_at=expires_at
            )

    async def issue_key_within(
        self,
        uow: UnitOfWork,
        org_id: str,
        *,
        subscription_id: str,
        max_devices: int = 0,
        expires_at: datetime | None = None,
    ) -> IssuedKey:
        """`issue_key` as part of a larger change."""
        now = self._clock.now()
        if expires_at is not None and expires_at <= now:
            raise invalid("expires_at_us", "is not in the future")
        terms = await self._terms.of(uow.connection, org_id=org_id, subscription_id=subscription_id)
        if terms.access is AccessLevel.ENDED:
            raise subscription_ended()
        issued = await self._keys.issue(
            uow,
            org_id=org_id,
            subscription_id=terms.subscription_id,
            max_devices=max_devices,
            expires_at=expires_at,
            now=now,
        )
        await self._audit.record(
            uow,
            org_id=org_id,
            action="key.issued",
            subject=issued.key.key_id,
            details={"hint": issued.key.hint, "subscription_id": terms.subscription_id},
        )
        return issued

    async def list_keys(self, org_id: str, subscription_id: str) -> Sequence[ActivationKey]:
        """Every key of a subscription, the newest first; an empty id asks for the only subscription there is.

        Raises:
            Refusal: As the subscriptions capability says it.
        """
        async with self._database.reading() as connection:
            terms = await self._terms.of(connection, org_id=org_id, subscription_id=subscription_id)
            return await self._keys.of_subscription(connection, org_id, terms.subscription_id)

    async def revoke_key(self, org_id: str, key_id: str) -> ActivationKey:
        """Revoke a key for good. Devices it brought in keep their seats. A repeat changes nothing.

        Raises:
            Refusal: `KEY_NOT_FOUND`.
        """
        async with self._database.transaction() as uow:
            revoked = await self._keys.revoke(uow, org_id, key_id, self._clock.now())
            key = await self._keys.find(uow.connection, org_id, key_id)
            if revoked:
                await self._audit.record(
                    uow, org_id=org_id, action="key.revoked", subject=key_id, details={"hint": key.hint}
                )
        return key


def _digest_of(untrusted_key: str) -> bytes:
    try:
        return key_digest(parse_activation_key(untrusted_key))
    except MistypedKeyError as error:
        raise key_mistyped(str(error), error.group) from error
