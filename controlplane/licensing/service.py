"""How devices get their seats. `LicensingService.activate` is steps 4 to 6 of docs/paths/activation.md."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from controlplane.accounts.audit import AuditLog
from controlplane.catalog.model import AccessLevel
from controlplane.devices.identity.certificate_request import CertificateRequest, read_certificate_request
from controlplane.devices.identity.evidence import Resemblance
from controlplane.devices.model import Device, FingerprintComponent, Platform
from controlplane.devices.registry import NewDevice, Registered
from controlplane.licensing.attempts import Guessing, guesses, refuse_guessing
from controlplane.licensing.errors import key_mistyped, not_activated, subscription_ended, subscription_expired
from controlplane.licensing.issuing import SignedStatement
from controlplane.licensing.keys import ActivationKey, key_digest
from controlplane.licensing.model import Basis, SubscriptionTerms, basis_of, may_take_new_seat
from controlplane.licensing.parts import LicensingParts
from controlplane.licensing.ports import CertificateAuthority, Notice, NoticeKind
from controlplane.licensing.seat_rules import Change
from controlplane.licensing.seats import Seat, SeatChange
from controlplane.runtime.attempts import Bucket, count
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal, PersonPrincipal, current_peer
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tenant_time import TenantTimes
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
class LicenceWish:
    """What a person asks for a device that reaches no control plane.

    Attributes:
        subscription_id: Empty: the only one there is.
        lasts: How long it goes on without contact.
    """

    untrusted_certificate_request: bytes
    device_name: str
    platform: Platform
    subscription_id: str
    lasts: timedelta


@dataclass(frozen=True, slots=True)
class Activated:
    """What the device gets."""

    device: Device
    device_certificate_pem: bytes
    entitlement: SignedStatement


class LicensingService:
    """Activates devices and refreshes what they may do.

    Args:
        database: The database.
        parts: The rooms of licensing.
        authority: Certifies device keys.
        audit: Records every change, in its transaction.
        clock: Business time.
        wall: The machine's clock; guesses are counted by it, also those at the keys of a sandbox.
        times: Whoever activates is nobody yet; the key says at whose time it happens.
    """

    def __init__(
        self,
        *,
        database: Database,
        parts: LicensingParts,
        authority: CertificateAuthority,
        audit: AuditLog,
        clock: Clock,
        wall: Clock,
        times: TenantTimes,
    ) -> None:
        self._database = database
        self._registry = parts.registry
        self._keys = parts.keys
        self._seats = parts.seats
        self._seating = parts.seating
        self._terms = parts.terms
        self._issuer = parts.issuer
        self._licences = parts.licences
        self._notices = parts.notices
        self._authority = authority
        self._audit = audit
        self._clock = clock
        self._wall = wall
        self._times = times

    async def fingerprint_salt(self, untrusted_key: str) -> bytes:
        """Under which a device that has this key hashes its hardware facts.

        Raises:
            Refusal: `KEY_MISTYPED`, `KEY_UNKNOWN`, `KEY_REVOKED` or `RATE_LIMITED`.
        """
        callers = _callers()
        try:
            digest = _digest_of(untrusted_key)
            async with self._database.transaction() as uow:
                await refuse_guessing(uow.connection, callers, self._wall.now())
                key = await self._keys.lock_by_digest(uow, digest)
                return await self._registry.fingerprint_salt(uow, key.org_id)
        except Refusal as refusal:
            await self._count(refusal, callers)
            raise

    async def activate(self, activation: Activation) -> Activated:
        """Give a device its seat, its certificate and its entitlement.

        Idempotent by the device's public key: the same device gets its seat back and, until something changed, the
        same serial. What a crash leaves behind is either nothing or a seat with a planned entitlement, which a retry
        or the sweeper finishes.

        Raises:
            Refusal: `KEY_MISTYPED`, `KEY_UNKNOWN`, `KEY_REVOKED`, `KEY_EXPIRED`, `KEY_USED_UP`,
                `BAD_CERTIFICATE_REQUEST`, `DEVICE_REVOKED`, `SUBSCRIPTION_ENDED`, `SUBSCRIPTION_EXPIRED`,
                `SEAT_LIMIT`, `SEAT_COOL_DOWN`, `RATE_LIMITED` or `SIGNING_UNAVAILABLE`.
        """
        callers = _callers()
        try:
            digest = _digest_of(activation.untrusted_key)
            request = read_certificate_request(activation.untrusted_certificate_request)
            callers.append(guesses(Guessing.DEVICE, request.public_key_sha256.hex()))
            async with self._database.transaction() as uow:
                await refuse_guessing(uow.connection, callers, self._wall.now())
                key = await self._keys.lock_by_digest(uow, digest)
                # From here on the key is a real one: what is refused is the organisation's affair, not guessing.
                callers = [*callers[-1:], guesses(Guessing.ORGANISATION, key.org_id)]
                await self._times.enter(uow.connection, key.org_id)
                terms = await self._terms_of(uow, key.org_id, key.subscription_id, activation.platform)
                new = NewDevice(
                    activation.device_name,
                    activation.platform,
                    request.public_key_sha256,
                    activation.fingerprint,
                    admitted_at=key.created_at,
                )
                device = await self._register(uow, key.org_id, new)
                actor = DevicePrincipal(device.device_id, device.org_id, device.public_key_sha256).actor
                change = SeatChange(actor, f"activated with key {key.key_id}", self._clock.now())
                seat = await self._seat_for(uow, device, terms, change, key)
                planned = await self._issuer.plan(uow, _basis(terms, seat, device))
        except Refusal as refusal:
            await self._count(refusal, callers)
            raise
        entitlement = await self._issuer.finish(planned)
        return self._answer(device, request, entitlement)

    async def export_licence(self, person: PersonPrincipal, wish: LicenceWish) -> Activated:
        """Give a device that reaches no control plane its seat, and an entitlement that lasts.

        Idempotent by the device's public key, but each file is a statement of its own. The seat is pinned, because
        such a device is never seen again.

        Raises:
            Refusal: As `activate`, without what is about keys.
        """
        request = read_certificate_request(wish.untrusted_certificate_request)
        async with self._database.transaction() as uow:
            terms = await self._terms_of(uow, person.org_id, wish.subscription_id, wish.platform)
            # Without a salt there is no evidence that could be compared.
            change = SeatChange(person.actor, "licence file", self._clock.now())
            new = NewDevice(
                wish.device_name, wish.platform, request.public_key_sha256, frozenset(), admitted_at=change.at
            )
            device = await self._register(uow, person.org_id, new)
            seat = await self._seat_for(uow, device, terms, change)
            await self._seats.pin(uow, seat, seat.pinned_at or change.at)
            planned = await self._issuer.plan(uow, _basis(terms, seat, device), licence=wish.lasts)
            await self._audit.record(
                uow,
                org_id=person.org_id,
                action="licence.exported",
                subject=device.device_id,
                details={"serial": str(planned.serial), "days": str(wish.lasts.days)},
            )
        return self._answer(device, request, await self._issuer.finish(planned))

    async def refresh(self, principal: DevicePrincipal, trusted_serial: int) -> SignedStatement:
        """The entitlement that a device should have now; a new serial only if there is something new to say.

        A device whose seat was reclaimed while it was away takes a free one, if there is one.

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
            if not basis.seat_id and await self._returned(uow, device, basis.subscription_id):
                basis = await self._licences.current_basis(uow.connection, device, latest) or basis
            planned = await self._issuer.plan(uow, basis, trusted_serial=trusted_serial)
        return await self._issuer.finish(planned)

    async def _returned(self, uow: UnitOfWork, device: Device, subscription_id: str) -> bool:
        lost = await self._seats.last_loss_of(uow.connection, device.org_id, device.device_id)
        if lost is not Change.RECLAIMED:
            return False
        terms = await self._terms_of(uow, device.org_id, subscription_id, device.platform, ended_is_refused=False)
        if not may_take_new_seat(terms.access):
            return False
        actor = DevicePrincipal(device.device_id, device.org_id, device.public_key_sha256).actor
        change = SeatChange(actor, "seen again", self._clock.now())
        return await self._seating.take_free(uow, device, terms, change) is not None

    async def _terms_of(
        self,
        uow: UnitOfWork,
        org_id: str,
        subscription_id: str,
        platform: Platform,
        *,
        ended_is_refused: bool = True,
    ) -> SubscriptionTerms:
        terms = await self._terms.of(
            uow.connection, org_id=org_id, subscription_id=subscription_id, platform_os=platform.os
        )
        if ended_is_refused and terms.access is AccessLevel.ENDED:
            raise subscription_ended()
        return terms

    async def _register(self, uow: UnitOfWork, org_id: str, new: NewDevice) -> Device:
        now = self._clock.now()
        registered = await self._registry.register(uow, org_id, new, now)
        await self._tell_resemblance(uow, registered, now)
        return registered.device

    async def _tell_resemblance(self, uow: UnitOfWork, registered: Registered, now: datetime) -> None:
        """A machine that comes back, or a copy of one, is never silent."""
        device, recognised = registered.device, registered.recognised
        if recognised is None:
            return
        same = recognised.resemblance is Resemblance.SAME_MACHINE
        facts = {
            "device_name": device.name,
            "resembles": recognised.device_id,
            "judged": recognised.resemblance.value,
            "key": device.public_key_sha256.hex()[:16],
        }
        action = "device.rebound" if same else "device.copied"
        await self._audit.record(uow, org_id=device.org_id, action=action, subject=device.device_id, details=facts)
        kind = NoticeKind.DEVICE_REBOUND if same else NoticeKind.DEVICE_COPIED
        await self._notices.tell_owner(uow, Notice(device.org_id, kind, device.device_id, facts))
        if same:
            actor = DevicePrincipal(device.device_id, device.org_id, device.public_key_sha256).actor
            for seat in await self._seats.held_by(uow.connection, device.org_id, [device.device_id]):
                change = SeatChange(actor, "came back under a new key", now)
                await self._seats.remember(uow, seat, device.device_id, Change.REBOUND, change)

    async def _seat_for(
        self,
        uow: UnitOfWork,
        device: Device,
        terms: SubscriptionTerms,
        change: SeatChange,
        key: ActivationKey | None = None,
    ) -> Seat:
        """The device's seat: the one it has, or another."""
        held = await self._seats.held_by(uow.connection, device.org_id, [device.device_id])
        for seat in held:
            if seat.subscription_id == terms.subscription_id:
                return seat
        if not may_take_new_seat(terms.access):
            raise subscription_expired(terms.access_reason)
        if key is not None:
            await refuse_guessing(uow.connection, [guesses(Guessing.ORGANISATION, key.org_id)], self._wall.now())
            await self._keys.use(uow, key, device.device_id, change.at)
        claimed = await self._seating.take(uow, device, terms, change, leaving=held)
        await self._audit.record(
            uow,
            org_id=device.org_id,
            action="seat.claimed",
            subject=claimed.seat_id,
            details={
                "device_id": device.device_id,
                "device_name": device.name,
                **({"key_id": key.key_id} if key is not None else {}),
            },
        )
        return claimed

    async def _count(self, refusal: Refusal, callers: list[Bucket]) -> None:
        """Count a refusal, unless it was the counting itself that refused."""
        if refusal.reason == "RATE_LIMITED" or not callers:
            return
        async with self._database.transaction() as uow:
            await count(uow, callers, self._wall.now())

    def _answer(self, device: Device, request: CertificateRequest, entitlement: SignedStatement) -> Activated:
        certificate = self._authority.issue_device(request.der, device_id=device.device_id, org_id=device.org_id)
        return Activated(device, certificate, entitlement)


def _basis(terms: SubscriptionTerms, seat: Seat, device: Device) -> Basis:
    return basis_of(
        terms,
        seat_id=seat.seat_id,
        device_id=device.device_id,
        device_public_key_sha256=device.public_key_sha256,
    )


def _callers() -> list[Bucket]:
    """Whose attempts are counted before anything is known about the key."""
    address = current_peer()
    return [guesses(Guessing.ADDRESS, address)] if address else []


def _digest_of(untrusted_key: str) -> bytes:
    try:
        return key_digest(parse_activation_key(untrusted_key))
    except MistypedKeyError as error:
        raise key_mistyped(str(error), error.group) from error
