"""EnrollmentService and LicensingService on the wire: validate, call one use case, translate."""

from dataclasses import dataclass
from typing import Any

import grpc

from controlplane.devices.model import FingerprintComponent
from controlplane.devices.rpc import MAX_ID_CHARACTERS, MAX_REASON_CHARACTERS, read_platform, read_serial
from controlplane.licensing.issuing import SignedStatement
from controlplane.licensing.keys import ActivationKey
from controlplane.licensing.ports import CertificateAuthority, EntitlementSigner
from controlplane.licensing.service import Activation, LicensingService, SeatView
from controlplane.runtime.clock import Clock
from controlplane.runtime.fields import instant, invalid, text
from controlplane.runtime.principal import DevicePrincipal, current_person
from controlplane.runtime.rpc_errors import seat_holder
from controlplane.storage.types import to_microseconds
from wire.activation_key import MAX_TEXT_LENGTH, format_activation_key
from wire.v1 import device_pb2, enrollment_pb2, entitlement_pb2, licensing_pb2
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceServicer
from wire.v1.licensing_pb2_grpc import LicensingServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_DEVICE_NAME_CHARACTERS = 255
MAX_DEVICES_OF_A_KEY = 1_000_000
FINGERPRINT_KINDS = frozenset({"machine_id", "disk_serial", "board_serial", "mac_address"})
DIGEST_BYTES = 32
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

    def signing_keys(self) -> list[entitlement_pb2.SigningKey]:
        """Keys that may sign entitlements."""
        return [
            entitlement_pb2.SigningKey(
                kid=key.kid,
                public_key=key.public_key,
                not_before_at_us=to_microseconds(key.not_before),
                not_after_at_us=0 if key.not_after is None else to_microseconds(key.not_after),
            )
            for key in self.signer.public_keys()
        ]


class EnrollmentRpc(EnrollmentServiceServicer):
    """The servicer that gives devices their seats."""

    def __init__(
        self, *, service: LicensingService, anchors: TrustAnchors, settings: EnrollmentSettings, clock: Clock
    ) -> None:
        self._service = service
        self._anchors = anchors
        self._settings = settings
        self._clock = clock

    async def Activate(  # noqa: N802 -- the name is the protocol's
        self, request: enrollment_pb2.ActivateRequest, _context: Context
    ) -> enrollment_pb2.ActivateResponse:
        """A seat, a certificate and an entitlement for a device."""
        activated = await self._service.activate(_read_activation(request))
        return enrollment_pb2.ActivateResponse(
            device_id=activated.device.device_id,
            org_id=activated.device.org_id,
            device_certificate_pem=activated.device_certificate_pem,
            authorities_pem=self._anchors.authority.authorities_pem(),
            entitlement=_signed(activated.entitlement),
            signing_keys=self._anchors.signing_keys(),
            check_in_interval_s=self._settings.check_in_interval_s,
            server_time_at_us=to_microseconds(self._clock.now()),
            device_address=self._settings.device_address,
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
            signing_keys=self._anchors.signing_keys(),
            server_time_at_us=to_microseconds(self._clock.now()),
        )


class LicensingRpc(LicensingServiceServicer):
    """The servicer of keys and seats, for people."""

    def __init__(self, service: LicensingService) -> None:
        self._service = service

    async def ListSeats(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ListSeatsRequest, _context: Context
    ) -> licensing_pb2.ListSeatsResponse:
        """Every slot of a subscription and who holds it."""
        subscription_id = _id("subscription_id", request.subscription_id)
        views = await self._service.list_seats(current_person().org_id, subscription_id)
        return licensing_pb2.ListSeatsResponse(seats=[_seat(view) for view in views])

    async def ReleaseSeat(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ReleaseSeatRequest, _context: Context
    ) -> licensing_pb2.ReleaseSeatResponse:
        """Frees the seat a device holds."""
        seat_or_device_id = _id("seat_or_device_id", request.seat_or_device_id, required=True)
        reason = text("reason", request.reason, limit=MAX_REASON_CHARACTERS)
        seat = await self._service.release_seat(current_person(), seat_or_device_id, reason)
        return licensing_pb2.ReleaseSeatResponse(
            seat=licensing_pb2.Seat(seat_id=seat.seat_id, slot=seat.slot_no), released_device_id=seat.device_id or ""
        )

    async def IssueKey(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.IssueKeyRequest, _context: Context
    ) -> licensing_pb2.IssueKeyResponse:
        """Makes an activation key and shows it, once."""
        if request.max_devices > MAX_DEVICES_OF_A_KEY:
            raise invalid("max_devices", f"is more than {MAX_DEVICES_OF_A_KEY}")
        issued = await self._service.issue_key(
            current_person().org_id,
            subscription_id=_id("subscription_id", request.subscription_id),
            max_devices=request.max_devices,
            expires_at=instant("expires_at_us", request.expires_at_us),
        )
        return licensing_pb2.IssueKeyResponse(key=_key(issued.key), activation_key=format_activation_key(issued.raw))

    async def ListKeys(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.ListKeysRequest, _context: Context
    ) -> licensing_pb2.ListKeysResponse:
        """Every key of a subscription, without the keys themselves."""
        subscription_id = _id("subscription_id", request.subscription_id)
        keys = await self._service.list_keys(current_person().org_id, subscription_id)
        return licensing_pb2.ListKeysResponse(keys=[_key(key) for key in keys])

    async def RevokeKey(  # noqa: N802 -- the name is the protocol's
        self, request: licensing_pb2.RevokeKeyRequest, _context: Context
    ) -> licensing_pb2.RevokeKeyResponse:
        """Revokes a key for good; its devices keep their seats."""
        key_id = _id("key_id", request.key_id, required=True)
        return licensing_pb2.RevokeKeyResponse(
            key=_key(await self._service.revoke_key(current_person().org_id, key_id))
        )


# ---------------------------------------------------------------- reading


def _read_activation(request: enrollment_pb2.ActivateRequest) -> Activation:
    if len(request.activation_key) > MAX_TEXT_LENGTH:
        raise invalid("activation_key", f"is longer than {MAX_TEXT_LENGTH} characters")
    return Activation(
        untrusted_key=request.activation_key,
        untrusted_certificate_request=request.certificate_request_der,
        device_name=text("device_name", request.device_name, limit=MAX_DEVICE_NAME_CHARACTERS, required=True),
        platform=read_platform(request.platform),
        fingerprint=_read_fingerprint(request),
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


def _seat(view: SeatView) -> licensing_pb2.Seat:
    holder = None if view.holder is None else seat_holder(view.holder)
    return licensing_pb2.Seat(seat_id=view.seat.seat_id, slot=view.seat.slot_no, holder=holder)


def _key(key: ActivationKey) -> licensing_pb2.ActivationKey:
    return licensing_pb2.ActivationKey(
        key_id=key.key_id,
        subscription_id=key.subscription_id,
        hint=key.hint,
        max_devices=key.max_devices,
        devices_activated=key.devices_activated,
        created_at_us=to_microseconds(key.created_at),
        expires_at_us=0 if key.expires_at is None else to_microseconds(key.expires_at),
        revoked_at_us=0 if key.revoked_at is None else to_microseconds(key.revoked_at),
    )
