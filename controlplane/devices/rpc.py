"""DeviceService and FleetService on the wire: validate, call one use case, translate.

Calls that belong to licensing or detections are handed on to them through the ports of this room.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc

from controlplane.catalog.wire_names import ACCESS_LEVEL_ON_THE_WIRE
from controlplane.devices.check_ins.desk import CheckInDesk
from controlplane.devices.fleet.expiry import ExpirySetting, HostExpiry
from controlplane.devices.fleet.overview import DEVICE_KEY, DeviceFilter, DeviceView, FleetReader
from controlplane.devices.model import ProtectionState
from controlplane.devices.ports import DetectionCalls, DiagnosticCalls, EntitlementCalls
from controlplane.devices.revocation import Revocation
from controlplane.devices.service import DeviceService
from controlplane.devices.stream import DeviceStreams
from controlplane.runtime.fields import invalid, text
from controlplane.runtime.paging import page_token, read_page
from controlplane.runtime.principal import current_device, current_person
from controlplane.storage.types import to_microseconds
from wire.v1 import common_pb2, device_pb2, diagnostics_pb2, fleet_pb2
from wire.v1.device_pb2_grpc import DeviceServiceServicer
from wire.v1.fleet_pb2_grpc import FleetServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]

MAX_ID_CHARACTERS = 96
MAX_NAME_CHARACTERS = 255
MAX_REASON_CHARACTERS = 500
MAX_REASONS = 32
_MAX_CODE_CHARACTERS = 64

_STATE_ON_THE_WIRE = {
    ProtectionState.PROTECTED: common_pb2.PROTECTION_STATE_PROTECTED,
    ProtectionState.AT_RISK: common_pb2.PROTECTION_STATE_AT_RISK,
    ProtectionState.UNPROTECTED: common_pb2.PROTECTION_STATE_UNPROTECTED,
    ProtectionState.OFFLINE: common_pb2.PROTECTION_STATE_OFFLINE,
    ProtectionState.NEVER_SEEN: common_pb2.PROTECTION_STATE_NEVER_SEEN,
    ProtectionState.EXPIRED: common_pb2.PROTECTION_STATE_EXPIRED,
}
_STATE_FROM_THE_WIRE = {number: state for state, number in _STATE_ON_THE_WIRE.items()}


class DeviceRpc(DeviceServiceServicer):
    """The servicer of devices.

    Args:
        service: The use cases of devices.
        check_ins: Answers check-ins.
        entitlements: The call that belongs to licensing.
        detections: The call that belongs to detections.
        diagnostics: The call that belongs to diagnostics.
        streams: Serves `Connect`.
    """

    def __init__(
        self,
        *,
        service: DeviceService,
        check_ins: CheckInDesk,
        entitlements: EntitlementCalls,
        detections: DetectionCalls,
        diagnostics: DiagnosticCalls,
        streams: DeviceStreams,
    ) -> None:
        self._service = service
        self._check_ins = check_ins
        self._entitlements = entitlements
        self._detections = detections
        self._diagnostics = diagnostics
        self._streams = streams

    async def CheckIn(  # noqa: N802 -- the name is the protocol's
        self, request: device_pb2.CheckInRequest, _context: Context
    ) -> device_pb2.CheckInResponse:
        """Keeps what the device says, tells it whether its entitlement changed, and what it should do."""
        return await self._check_ins.answer(request, current_device())

    async def Connect(  # type: ignore[override]  # noqa: N802 -- the protocol's name; it writes its answers itself
        self, request_iterator: AsyncIterator[device_pb2.ConnectRequest], context: Context
    ) -> None:
        """Hints and commands as soon as they are there, until one side ends it."""
        await self._streams.serve(current_device(), request_iterator, context.write)

    async def ReportEvents(  # noqa: N802 -- the name is the protocol's
        self, request: device_pb2.ReportEventsRequest, _context: Context
    ) -> device_pb2.ReportEventsResponse:
        """Stores incidents, each once."""
        return await self._detections.report_events(request, current_device())

    async def RefreshEntitlement(  # noqa: N802 -- the name is the protocol's
        self, request: device_pb2.RefreshEntitlementRequest, _context: Context
    ) -> device_pb2.RefreshEntitlementResponse:
        """The entitlement that the device should have now."""
        return await self._entitlements.refresh(request, current_device())

    async def RotateCertificate(  # noqa: N802 -- the name is the protocol's
        self, request: device_pb2.RotateCertificateRequest, _context: Context
    ) -> device_pb2.RotateCertificateResponse:
        """A fresh certificate for the same key."""
        certificate = await self._service.rotate_certificate(current_device(), request.certificate_request_der)
        return device_pb2.RotateCertificateResponse(
            device_certificate_pem=certificate, authorities_pem=self._service.authorities_pem()
        )

    async def UploadDiagnostics(  # noqa: N802 -- the name is the protocol's
        self, request: diagnostics_pb2.UploadDiagnosticsRequest, _context: Context
    ) -> diagnostics_pb2.UploadDiagnosticsResponse:
        """Keeps a piece of a bundle that this device was asked for."""
        return await self._diagnostics.upload(request, current_device())

    async def Deactivate(  # noqa: N802 -- the name is the protocol's
        self, request: device_pb2.DeactivateRequest, _context: Context
    ) -> device_pb2.DeactivateResponse:
        """Gives the seat back."""
        reason = text("reason", request.reason, limit=MAX_REASON_CHARACTERS)
        await self._service.deactivate(current_device(), reason)
        return device_pb2.DeactivateResponse()


class FleetRpc(FleetServiceServicer):
    """The servicer of the fleet, for people.

    Args:
        fleet: Answers about devices.
        expiry: Hides those that nobody has seen for long.
        devices: Names them, releases and revokes them.
        detections: The calls that belong to detections.
    """

    def __init__(
        self, *, fleet: FleetReader, expiry: HostExpiry, devices: DeviceService, detections: DetectionCalls
    ) -> None:
        self._fleet = fleet
        self._expiry = expiry
        self._devices = devices
        self._detections = detections

    async def GetFleetStatus(  # noqa: N802 -- the name is the protocol's
        self, _request: fleet_pb2.GetFleetStatusRequest, _context: Context
    ) -> fleet_pb2.FleetStatus:
        """Is everyone protected?"""
        org_id = current_person().org_id
        summary = await self._fleet.summary(org_id)
        counts = summary.counts
        return fleet_pb2.FleetStatus(
            devices=sum(counts.values()) - counts[ProtectionState.EXPIRED],
            expired=counts[ProtectionState.EXPIRED],
            protected=counts[ProtectionState.PROTECTED],
            at_risk=counts[ProtectionState.AT_RISK],
            unprotected=counts[ProtectionState.UNPROTECTED],
            offline=counts[ProtectionState.OFFLINE],
            never_seen=counts[ProtectionState.NEVER_SEEN],
            detections_last_24_h=await self._detections.count_last_24_h(org_id),
            as_of_at_us=to_microseconds(summary.as_of),
            attention=[_device(view) for view in summary.attention],
            reasons=[
                fleet_pb2.ReasonCount(code=code, devices=number)
                for code, number in sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0]))
            ],
            unsettled=summary.unsettled,
        )

    async def ListDevices(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.ListDevicesRequest, _context: Context
    ) -> fleet_pb2.ListDevicesResponse:
        """Devices by name, a page at a time."""
        page = read_page(request.page.page_size, request.page.page_token, DEVICE_KEY)
        unknown = [number for number in request.states if number not in _STATE_FROM_THE_WIRE]
        if unknown:
            raise invalid("states", "names a state that does not exist")
        if len(request.reasons) > MAX_REASONS:
            raise invalid("reasons", f"has more than {MAX_REASONS} entries")
        wanted = DeviceFilter(
            states=frozenset(_STATE_FROM_THE_WIRE[number] for number in request.states),
            reasons=frozenset(text("reasons", code, limit=_MAX_CODE_CHARACTERS) for code in request.reasons),
        )
        found = await self._fleet.page(current_person().org_id, page, wanted)
        return fleet_pb2.ListDevicesResponse(
            devices=[_device(view) for view in found.views],
            next_page_token=page_token(found.next_key) if found.next_key else "",
        )

    async def GetDevice(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.GetDeviceRequest, _context: Context
    ) -> fleet_pb2.Device:
        """One device."""
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS, required=True)
        return _device(await self._fleet.get(current_person().org_id, device_id))

    async def RenameDevice(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.RenameDeviceRequest, _context: Context
    ) -> fleet_pb2.Device:
        """Gives a device a name that stays."""
        person = current_person()
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS, required=True)
        name = text("name", request.name, limit=MAX_NAME_CHARACTERS, required=True)
        await self._devices.rename(person, device_id, name, request.idempotency_key)
        return _device(await self._fleet.get(person.org_id, device_id))

    async def ReleaseHold(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.ReleaseHoldRequest, _context: Context
    ) -> fleet_pb2.Device:
        """Holds a device no longer that was copied."""
        person = current_person()
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS, required=True)
        await self._devices.release_hold(person, device_id)
        return _device(await self._fleet.get(person.org_id, device_id))

    async def RevokeDevice(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.RevokeDeviceRequest, _context: Context
    ) -> fleet_pb2.Device:
        """Refuses a device for good."""
        person = current_person()
        device_id = text("device_id", request.device_id, limit=MAX_ID_CHARACTERS, required=True)
        reason = text("reason", request.reason, limit=MAX_REASON_CHARACTERS, required=True)
        await self._devices.revoke(person, device_id, reason)
        return _device(await self._fleet.get(person.org_id, device_id))

    async def GetFleetSettings(  # noqa: N802 -- the name is the protocol's
        self, _request: fleet_pb2.GetFleetSettingsRequest, _context: Context
    ) -> fleet_pb2.FleetSettings:
        """What the organisation wants of its fleet."""
        return _settings(await self._expiry.setting(current_person().org_id))

    async def SetFleetSettings(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.SetFleetSettingsRequest, _context: Context
    ) -> fleet_pb2.FleetSettings:
        """Changes it."""
        return _settings(await self._expiry.set_days(current_person(), request.expire_after_days))

    async def ListDetections(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.ListDetectionsRequest, _context: Context
    ) -> fleet_pb2.ListDetectionsResponse:
        """Detections, the newest first, a page at a time."""
        return await self._detections.list_detections(request, current_person().org_id)

    async def GetDetection(  # noqa: N802 -- the name is the protocol's
        self, request: fleet_pb2.GetDetectionRequest, _context: Context
    ) -> fleet_pb2.Detection:
        """One detection."""
        return await self._detections.get_detection(request, current_person().org_id)


# ---------------------------------------------------------------- answering


def _settings(setting: ExpirySetting) -> fleet_pb2.FleetSettings:
    return fleet_pb2.FleetSettings(expire_after_days=setting.days, is_default=setting.is_default)


def _device(view: DeviceView) -> fleet_pb2.Device:
    device = view.device
    return fleet_pb2.Device(
        device_id=device.device_id,
        name=device.name,
        platform=common_pb2.Platform(
            os=device.platform.os,
            os_version=device.platform.os_version,
            architecture=device.platform.architecture,
            agent_version=device.platform.agent_version,
        ),
        protection=_STATE_ON_THE_WIRE[view.verdict.state],
        reasons=[
            fleet_pb2.ProtectionReason(code=reason.code, message=reason.message) for reason in view.verdict.reasons
        ],
        access=ACCESS_LEVEL_ON_THE_WIRE[view.licence.access],
        seat_id=view.licence.seat_id,
        activated_at_us=to_microseconds(device.activated_at),
        last_seen_at_us=to_microseconds(view.status.last_seen) if view.status else 0,
        status=device_pb2.DeviceStatus.FromString(view.status.report.raw) if view.status else None,
        revocation=_revocation(view.revocation) if view.revocation else None,
    )


def _revocation(revocation: Revocation) -> fleet_pb2.DeviceRevocation:
    return fleet_pb2.DeviceRevocation(
        at_us=to_microseconds(revocation.at),
        actor=revocation.actor,
        actor_email=revocation.actor_email,
        reason=revocation.reason,
    )
