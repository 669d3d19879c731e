"""A device that is revoked while it is connected, over real TLS and mutual TLS: every call of its is refused."""

from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import pytest

from tests.integration.controlplane.served import Device, Served, detail_of, served_control_plane
from wire.entitlement_codec import decode_claims
from wire.v1 import command_pb2, device_pb2, diagnostics_pb2, enrollment_pb2, fleet_pb2, licensing_pb2


@pytest.fixture
async def served(database_url: str, tmp_path: Path) -> AsyncIterator[Served]:
    url = database_url if database_url.startswith("postgresql") else None
    async with served_control_plane(tmp_path, url) as running:
        yield running


async def _refusals(served: Served, device: Device) -> dict[str, str]:
    """Why each call of a device is refused, by its name."""
    request, names = device.key.certificate_request(), device.activated
    calls: dict[str, Awaitable[object]] = {
        "CheckIn": device.calls.CheckIn(device_pb2.CheckInRequest(entitlement_serial=1)),
        "CheckIn with reports": device.calls.CheckIn(
            device_pb2.CheckInRequest(
                command_reports=[
                    command_pb2.CommandReport(command_id="cmd_1", state=command_pb2.COMMAND_STATE_SUCCEEDED)
                ]
            )
        ),
        "Connect": device.calls.Connect().read(),
        "ReportEvents": device.calls.ReportEvents(device_pb2.ReportEventsRequest()),
        "RefreshEntitlement": device.calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest()),
        "RotateCertificate": device.calls.RotateCertificate(
            device_pb2.RotateCertificateRequest(certificate_request_der=request)
        ),
        "UploadDiagnostics": device.calls.UploadDiagnostics(
            diagnostics_pb2.UploadDiagnosticsRequest(command_id="cmd_1", total_bytes=1, sha256=bytes(32), content=b"x")
        ),
        "Deactivate": device.calls.Deactivate(device_pb2.DeactivateRequest()),
        "RenewCertificate": served.enrollment.RenewCertificate(
            enrollment_pb2.RenewCertificateRequest(
                org_id=names.org_id, device_id=names.device_id, certificate_request_der=request
            )
        ),
        "Activate": served.enrollment.Activate(served.activation(device.key)),
    }
    reasons = {}
    for name, call in calls.items():
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED, name
        reasons[name] = detail_of(refused.value).reason
    called = {name.partition(" ")[0] for name in calls}
    assert called >= {method.name for method in device_pb2.DESCRIPTOR.services_by_name["DeviceService"].methods}
    return reasons


async def test_a_revoked_device_loses_its_stream_and_every_call(served: Served) -> None:
    owner = await served.sign_in()
    device = await served.activate("laptop")
    # As the second time: it is answered from memory.
    for _ in range(3):
        await device.calls.CheckIn(device_pb2.CheckInRequest(entitlement_serial=1))
    stream = device.calls.Connect()
    welcome = await stream.read()
    assert isinstance(welcome, device_pb2.ConnectResponse)
    assert welcome.HasField("welcome")

    request = fleet_pb2.RevokeDeviceRequest(device_id=device.activated.device_id, reason="stolen from a car")
    revoked = await served.fleet.RevokeDevice(request, metadata=owner)

    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()
    assert detail_of(ended.value).reason == "DEVICE_REVOKED"
    assert set((await _refusals(served, device)).values()) == {"DEVICE_REVOKED"}
    assert (revoked.seat_id, revoked.revocation.actor_email) == ("", "anna@example.com")
    assert revoked.revocation.reason == "stolen from a car"
    assert revoked.revocation.at_us > 0
    again = await served.fleet.RevokeDevice(request, metadata=owner)
    assert again.revocation == revoked.revocation
    assert not (await served.fleet.ListDevices(fleet_pb2.ListDevicesRequest(), metadata=owner)).devices
    seats = await served.licensing.ListSeats(licensing_pb2.ListSeatsRequest(), metadata=owner)
    assert [seat.HasField("holder") for seat in seats.seats] == [False] * 3
    successor = await served.activate("its successor")
    assert decode_claims(successor.activated.entitlement.claims).seat_id == seats.seats[0].seat_id


async def test_a_reason_has_to_be_given(served: Served) -> None:
    device = await served.activate("laptop")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await served.fleet.RevokeDevice(
            fleet_pb2.RevokeDeviceRequest(device_id=device.activated.device_id), metadata=await served.sign_in()
        )
    assert detail_of(refused.value).reason == "INVALID_REQUEST"
    await device.calls.CheckIn(device_pb2.CheckInRequest(entitlement_serial=1))
