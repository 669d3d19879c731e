"""What devices need from capabilities above them and from the keys; implemented there, wired in `app.py`."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from controlplane.catalog.model import AccessLevel
from controlplane.devices.model import Device, DeviceLicence
from controlplane.runtime.principal import DevicePrincipal
from controlplane.storage.database import UnitOfWork
from wire.v1.device_pb2 import (
    CheckInRequest,
    CheckInResponse,
    RefreshEntitlementRequest,
    RefreshEntitlementResponse,
    ReportEventsRequest,
    ReportEventsResponse,
)
from wire.v1.diagnostics_pb2 import UploadDiagnosticsRequest, UploadDiagnosticsResponse
from wire.v1.fleet_pb2 import Detection, GetDetectionRequest, ListDetectionsRequest, ListDetectionsResponse


@dataclass(frozen=True, slots=True)
class Outlook:
    """How it stands with a device's entitlement.

    Attributes:
        changed: The device should ask for a new one now.
        until: When that may be another answer by time alone; None: never.
    """

    changed: bool
    until: datetime | None


class Licences(Protocol):
    """Seats and access of devices; implemented by licensing."""

    async def licences_of(
        self, connection: AsyncConnection, org_id: str, device_ids: Collection[str] | None
    ) -> Mapping[str, DeviceLicence]:
        """Licences by device id; None asks for every device of the organisation. Who is missing holds no seat."""

    async def accesses_of(
        self, connection: AsyncConnection, org_id: str, subscription_ids: Collection[str]
    ) -> Mapping[str, AccessLevel]:
        """What these subscriptions give now, by id."""

    async def entitlement_outlook(self, connection: AsyncConnection, device: Device, trusted_serial: int) -> Outlook:
        """Whether the device should ask for a new entitlement now, and until when that holds."""

    async def give_seat_back(self, uow: UnitOfWork, device: Device, *, actor: str, reason: str) -> None:
        """Free the seat that a device gives up or loses with its identity; nothing happens if it holds none."""


class OpenCommands(Protocol):
    """What devices were asked for; implemented by commands."""

    async def abandon(self, uow: UnitOfWork, device: Device) -> None:
        """End every open command of a device that is being revoked, given out or not."""


class ContactSeal(Protocol):
    """Marks what only this installation can have made; implemented by the keys room."""

    def contact_seal(self, content: bytes) -> bytes:
        """A message authentication code, 32 bytes."""


class CloneAlarm(Protocol):
    """Told once when a device is held."""

    async def cloned(self, uow: UnitOfWork, device: Device) -> None:
        """Tell whom it concerns, in the transaction that holds the device."""


class RevocationAlarm(Protocol):
    """Told once when a device is revoked."""

    async def revoked(self, uow: UnitOfWork, device: Device, reason: str) -> None:
        """Tell whom it concerns, in the transaction that revokes the device."""


class CertificateAuthority(Protocol):
    """Issues short-lived certificates to devices; implemented by the keys room."""

    def issue_device(self, csr_der: bytes, *, device_id: str, org_id: str) -> bytes:
        """PEM certificate for the key of a checked PKCS#10 request."""

    def authorities_pem(self) -> bytes:
        """PEM: what device and server certificates chain to."""


class EntitlementCalls(Protocol):
    """The calls of DeviceService that belong to licensing."""

    async def refresh(
        self, request: RefreshEntitlementRequest, principal: DevicePrincipal
    ) -> RefreshEntitlementResponse:
        """Answer `RefreshEntitlement`."""


class CommandCalls(Protocol):
    """The part of `CheckIn` that belongs to commands, and to what is told beside them."""

    async def exchange(self, request: CheckInRequest, principal: DevicePrincipal) -> CheckInResponse:
        """An answer in which only the fields about these are set."""


class CheckInCalls(CommandCalls, Protocol):
    """The same, for answers that are remembered."""

    def turn_of(self, org_id: str) -> datetime | None:
        """When an answer to a device of this organisation may become another by time alone; None: never."""


class DiagnosticCalls(Protocol):
    """The call of DeviceService that belongs to diagnostics."""

    async def upload(self, request: UploadDiagnosticsRequest, principal: DevicePrincipal) -> UploadDiagnosticsResponse:
        """Answer `UploadDiagnostics`."""


class DetectionCalls(Protocol):
    """The calls of DeviceService and FleetService that belong to detections."""

    async def report_events(self, request: ReportEventsRequest, principal: DevicePrincipal) -> ReportEventsResponse:
        """Answer `ReportEvents`."""

    async def list_detections(self, request: ListDetectionsRequest, org_id: str) -> ListDetectionsResponse:
        """Answer `ListDetections`."""

    async def get_detection(self, request: GetDetectionRequest, org_id: str) -> Detection:
        """Answer `GetDetection`."""

    async def count_last_24_h(self, org_id: str) -> int:
        """Detections received in the last 24 hours."""
