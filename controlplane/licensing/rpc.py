"""EnrollmentService and LicensingService on the wire: validate, call one use case, translate."""

from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Protocol

import grpc

from controlplane.devices.model import FingerprintComponent
from controlplane.devices.reading import read_platform, read_serial
from controlplane.devices.rpc import MAX_ID_CHARACTERS, MAX_NAME_CHARACTERS, MAX_REASON_CHARACTERS
from controlplane.devices.service import DeviceService
from controlplane.licensing.errors import licence_days_invalid, licence_request_invalid
from controlplane.licensing.issuing import SignedStatement
from controlplane.licensing.key_desk import KeyDesk, KeyWish
from controlplane.licensing.keys import ActivationKey, IssuedKey
from controlplane.licensing.model import LONGEST_LICENCE, USUAL_LICENCE
from controlplane.licensing.ports import CertificateAuthority, EntitlementSigner
from controlplane.licensing.seat_desk import SeatDesk, SeatView, SeatWish
from controlplane.licensing.seats import PastChange
from controlplane.licensing.service import Activated, Activation, LicenceWish, LicensingService
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import instant, invalid, text
from controlplane.runtime.principal import DevicePrincipal, current_person
from controlplane.runtime.rpc_errors import seat_holder
from controlplane.storage.types import optional_microseconds, to_microseconds
from wire.activation_key import MAX_TEXT_LENGTH, format_activation_key
from wire.v1 import device_pb2, enrollment_pb2, entitlement_pb2, licensing_pb2
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceServicer
from wire.v1.licensing_pb2_grpc import LicensingServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_DEVICES_OF_A_KEY = 1_000_000
FINGERPRINT_KINDS = frozenset({"machine_id", "disk_serial", "board_serial", "mac_address"})
DIGEST_BYTES = 32
#: Entries of the history in one answer.
USUAL_CHANGES, MOST_CHANGES = 100, 500
#: See enrollment.proto.
LICENCE_FORMAT = 1
#: A server with many network interfaces has some twenty.
MAX_FINGERPRINT_COMPONENTS = 64


@dataclass(frozen=True, slots=True)
class EnrollmentSettings:
    """What a device is told besides its entitlement.

    Attributes:
        check_in_interval_s: Seconds between check-ins that the server wishes for.
        device_address: host:port of DeviceService; without a host (":8444") it is the host that was asked.
    """

    check_in_interval_s: int
    device_address: str


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """What devices are told to trust."""

    signer: EntitlementSigner
    authority: CertificateAuthority

    def key_set(self) -> entitlement_pb2.SignedKeySet:
        """The keys that may sign entitlements, as the root signed them."""
        signed = self.signer.key_set()
        return entitlement_pb2.SignedKeySet(
            key_set=signed.key_set, signature=signed.signature, root_public_key=signed.root_public_key
        )


class EnrollmentRpc(EnrollmentServiceServicer):
    """The servicer that gives devices their seats."""

    def __init__(
        self,
        *,
        service: LicensingService,
        devices: DeviceService,
        anchors: TrustAnchors,
        settings: EnrollmentSettings,
        clock: Clock,
    ) -> None:
        self._service = service
        self._devices = devices
        self._anchors = anchors
        self._settings = settings
        self._clock = clock
        self._version = version("buckler")

    async def Greet(  # noqa: N802 -- the name is the protocol's
        self, _request: enrollment_pb2.GreetRequest, _context: Context
    ) -> enrollment_pb2.GreetResponse:
        """Version and time, for devices that look for what is wrong; every agent there has been is still served."""
        return enrollment_pb2.GreetResponse(server_time_at_us=to_microseconds(self._clock.now()), version=self._version)

    async def Activate(  # noqa: N802 -- the name is the protocol's
        self, request: enrollment_pb2.ActivateRequest, _context: Context
    ) -> enrollment_pb2.ActivateResponse:
        """A seat, a certificate and an entitlement for a device."""
        activated = await self._service.activate(_read_activation(request))
        answer = _grant(activated, self._anchors, self._clock)
        answer.check_in_interval_s = self._settings.check_in_interval_s
        answer.device_address = self._settings.device_address
        return answer

    async def PrepareActivation(  # noqa: N802 -- the name is the protocol's
        self, request: enrollment_pb2.PrepareActivationRequest, _context: Context
    ) -> enrollment_pb2.PrepareActivationResponse:
        """The salt under which a device hashes its hardware facts."""
        salt = await self._service.fingerprint_salt(_read_key(request.activation_key))
        return enrollment_pb2.PrepareActivationResponse(fingerprint_salt=salt)

    async def RenewCertificate(  # noqa: N802 -- the name is the protocol's
        self, request: enrollment_pb2.RenewCertificateRequest, _context: Context
    ) -> enrollment_pb2.RenewCertificateResponse:
        """A certificate for a device that proves its key, because the one that it has is not accepted any more."""
        org_id = text("org_id", request.org_id, limit=MAX_ID_CHARACTERS, required=True)
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS, required=True)
        certificate = await self._devices.certify_again(org_id, device_id, request.certificate_request_der)
        return enrollment_pb2.RenewCertificateResponse(
            device_certificate_pem=certificate, authorities_pem=self._anchors.authority.authorities_pem()
        )


class EntitlementRpc:
    """Implements `devices.ports.EntitlementCalls`."""

    def __init__(self, *, service: LicensingService, anchors: TrustAnchors, clock: Clock) -> None:
        self._service = service
        self._anchors = anchors
        self._clock = clock

    async def refresh(
        self, request: device_pb2.RefreshEntitlementRequest, principal: DevicePrincipal
    ) -> device_pb2.RefreshEntitlementResponse:
        """Answer `RefreshEntitlement`."""
        serial = read_serial("trusted_serial", request.trusted_serial)
        statement = await self._service.refresh(principal, serial)
        return device_pb2.RefreshEntitlementResponse(
            entitlement=_signed(statement),
            key_set=self._anchors.key_set(),
            server_time_at_us=to_microseconds(self._clock.now()),
        )


class LicensingRpc(LicensingServiceServicer):
    """The servicer of keys, seats and licence files, for people.

    Args:
        keys: What people do with keys.
        seats: What people do with seats.
        service: Makes licence files.
        anchors: What devices trust, for licence files.
        clock: Business time.
    """

    def __init__(
        self, *, keys: KeyDesk, seats: SeatDesk, service: LicensingService, anchors: TrustAnchors, clock: Clock
    ) -> None:
        self._keys = keys
        self._seats = seats
        self._service = service
        self._anchors = anchors
        self._clock = clock

    async def ListSeats(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ListSeatsRequest, _context: Context
    ) -> licensing_pb2.ListSeatsResponse:
        """Every slot of a subscription and who holds it."""
        subscription_id = _id("subscription_id", request.subscription_id)
        found = await self._seats.list_seats(current_person().org_id, subscription_id)
        return licensing_pb2.ListSeatsResponse(
            seats=[_seat(view) for view in found.views],
            surplus=found.allotment.surplus,
            choose_until_at_us=optional_microseconds(found.allotment.choose_until),
        )

    async def ReleaseSeat(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ReleaseSeatRequest, _context: Context
    ) -> licensing_pb2.ReleaseSeatResponse:
        """Frees the seat a device holds."""
        seat = await self._seats.release(current_person(), _wish(request, request.reason))
        return licensing_pb2.ReleaseSeatResponse(
            seat=licensing_pb2.Seat(seat_id=seat.seat_id, slot=seat.slot_no), released_device_id=seat.device_id or ""
        )

    async def TransferSeat(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.TransferSeatRequest, _context: Context
    ) -> licensing_pb2.TransferSeatResponse:
        """Hands a seat to another device."""
        to_device_id = _id("to_device_id", request.to_device_id, required=True)
        seat = await self._seats.transfer(current_person(), _wish(request, request.reason), to_device_id)
        return licensing_pb2.TransferSeatResponse(
            seat=licensing_pb2.Seat(seat_id=seat.seat_id, slot=seat.slot_no), from_device_id=seat.device_id or ""
        )

    async def PinSeat(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.PinSeatRequest, _context: Context
    ) -> licensing_pb2.PinSeatResponse:
        """Pins a seat to its device, or takes the pin away."""
        view = await self._seats.pin(current_person(), _wish(request, ""), pinned=request.pinned)
        return licensing_pb2.PinSeatResponse(seat=_seat(view))

    async def ListSeatChanges(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ListSeatChangesRequest, _context: Context
    ) -> licensing_pb2.ListSeatChangesResponse:
        """What happened to seats, the newest first."""
        if request.limit > MOST_CHANGES:
            raise invalid("limit", f"is more than {MOST_CHANGES}")
        about = _id("seat_or_device_id", request.seat_or_device_id)
        changes = await self._seats.history(current_person().org_id, about, request.limit or USUAL_CHANGES)
        return licensing_pb2.ListSeatChangesResponse(changes=[_change(change) for change in changes])

    async def IssueKey(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.IssueKeyRequest, _context: Context
    ) -> licensing_pb2.IssueKeyResponse:
        """Makes an activation key and shows it, once."""
        if request.max_devices > MAX_DEVICES_OF_A_KEY:
            raise invalid("max_devices", f"is more than {MAX_DEVICES_OF_A_KEY}")
        wish = KeyWish(
            subscription_id=_id("subscription_id", request.subscription_id),
            max_devices=request.max_devices,
            expires_at=instant("expires_at_us", request.expires_at_us),
        )
        return _issued(await self._keys.issue(current_person(), wish, request.idempotency_key))

    async def ListKeys(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ListKeysRequest, _context: Context
    ) -> licensing_pb2.ListKeysResponse:
        """Every key of a subscription, without the keys themselves."""
        subscription_id = _id("subscription_id", request.subscription_id)
        keys = await self._keys.list_keys(current_person().org_id, subscription_id)
        return licensing_pb2.ListKeysResponse(keys=[_key(key) for key in keys])

    async def RevokeKey(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.RevokeKeyRequest, _context: Context
    ) -> licensing_pb2.RevokeKeyResponse:
        """Revokes a key for good; its devices keep their seats."""
        key_id = _id("key_id", request.key_id, required=True)
        return licensing_pb2.RevokeKeyResponse(key=_key(await self._keys.revoke(current_person().org_id, key_id)))

    async def ReissueKey(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ReissueKeyRequest, _context: Context
    ) -> licensing_pb2.IssueKeyResponse:
        """Revokes a key and makes one in its place."""
        key_id = _id("key_id", request.key_id, required=True)
        return _issued(await self._keys.reissue(current_person(), key_id, request.idempotency_key))

    async def ExportLicence(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ExportLicenceRequest, _context: Context
    ) -> licensing_pb2.ExportLicenceResponse:
        """Gives a device without network its seat and a long licence."""
        activated = await self._service.export_licence(current_person(), _read_licence_wish(request))
        grant = _grant(activated, self._anchors, self._clock)
        return licensing_pb2.ExportLicenceResponse(
            licence=enrollment_pb2.LicenceFile(format=LICENCE_FORMAT, grant=grant)
        )


# ---------------------------------------------------------------- reading


def _read_activation(request: enrollment_pb2.ActivateRequest) -> Activation:
    return Activation(
        untrusted_key=_read_key(request.activation_key),
        untrusted_certificate_request=request.certificate_request_der,
        device_name=text("device_name", request.device_name, limit=MAX_NAME_CHARACTERS, required=True),
        platform=read_platform(request.platform),
        fingerprint=_read_fingerprint(request),
    )


def _read_key(untrusted_key: str) -> str:
    if len(untrusted_key) > MAX_TEXT_LENGTH:
        raise invalid("activation_key", f"is longer than {MAX_TEXT_LENGTH} characters")
    return untrusted_key


def _read_licence_wish(request: licensing_pb2.ExportLicenceRequest) -> LicenceWish:
    wished = request.request
    if wished.format != LICENCE_FORMAT:
        raise licence_request_invalid(f"its format is {wished.format}, this server knows {LICENCE_FORMAT}")
    days = request.valid_days or USUAL_LICENCE.days
    if days > LONGEST_LICENCE.days:
        raise licence_days_invalid(LONGEST_LICENCE.days)
    return LicenceWish(
        untrusted_certificate_request=wished.certificate_request_der,
        device_name=text("device_name", wished.device_name, limit=MAX_NAME_CHARACTERS, required=True),
        platform=read_platform(wished.platform),
        subscription_id=_id("subscription_id", request.subscription_id),
        lasts=timedelta(days=days),
    )


class _AboutASeat(Protocol):
    seat_or_device_id: str
    idempotency_key: str


def _wish(request: _AboutASeat, reason: str) -> SeatWish:
    return SeatWish(
        seat_or_device_id=_id("seat_or_device_id", request.seat_or_device_id, required=True),
        reason=text("reason", reason, limit=MAX_REASON_CHARACTERS),
        idempotency_key=request.idempotency_key,
    )


def _read_fingerprint(request: enrollment_pb2.ActivateRequest) -> frozenset[FingerprintComponent]:
    if len(request.fingerprint) > MAX_FINGERPRINT_COMPONENTS:
        raise invalid("fingerprint", f"has more than {MAX_FINGERPRINT_COMPONENTS} components")
    if any(len(component.digest) != DIGEST_BYTES for component in request.fingerprint):
        raise invalid("fingerprint.digest", f"does not have {DIGEST_BYTES} bytes")
    # A kind that only a newer agent knows is no reason to refuse it a seat.
    return frozenset(
        FingerprintComponent(component.kind, component.digest)
        for component in request.fingerprint
        if component.kind in FINGERPRINT_KINDS
    )


def _id(field: str, untrusted_id: str, *, required: bool = False) -> str:
    return text(field, untrusted_id, limit=MAX_ID_CHARACTERS, required=required)


# ---------------------------------------------------------------- answering


def _signed(statement: SignedStatement) -> entitlement_pb2.SignedEntitlement:
    return entitlement_pb2.SignedEntitlement(claims=statement.claims, signature=statement.signature, kid=statement.kid)


def _grant(activated: Activated, anchors: TrustAnchors, clock: Clock) -> enrollment_pb2.ActivateResponse:
    return enrollment_pb2.ActivateResponse(
        device_id=activated.device.device_id,
        org_id=activated.device.org_id,
        device_certificate_pem=activated.device_certificate_pem,
        authorities_pem=anchors.authority.authorities_pem(),
        entitlement=_signed(activated.entitlement),
        key_set=anchors.key_set(),
        server_time_at_us=to_microseconds(clock.now()),
    )


def _seat(view: SeatView) -> licensing_pb2.Seat:
    seat, holder = view.seat, None if view.holder is None else seat_holder(view.holder)
    return licensing_pb2.Seat(seat_id=seat.seat_id, slot=seat.slot_no, holder=holder, pinned=seat.pinned_at is not None)


def _change(change: PastChange) -> licensing_pb2.SeatChange:
    return licensing_pb2.SeatChange(
        seat_id=change.seat_id,
        device_id=change.device_id,
        change=change.change.value,
        actor=change.why.actor,
        reason=change.why.reason,
        happened_at_us=to_microseconds(change.why.at),
    )


def _issued(issued: IssuedKey) -> licensing_pb2.IssueKeyResponse:
    shown = format_activation_key(issued.raw) if issued.raw else ""
    return licensing_pb2.IssueKeyResponse(key=_key(issued.key), activation_key=shown)


def _key(key: ActivationKey) -> licensing_pb2.ActivationKey:
    return licensing_pb2.ActivationKey(
        key_id=key.key_id,
        subscription_id=key.subscription_id,
        hint=key.hint,
        max_devices=key.max_devices,
        devices_activated=key.devices_activated,
        created_at_us=to_microseconds(key.created_at),
        expires_at_us=optional_microseconds(key.expires_at),
        revoked_at_us=optional_microseconds(key.revoked_at),
        replaces_key_id=key.replaces_key_id,
    )
