"""Every call of the fleet's services, over real TLS and mutual TLS."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from controlplane.runtime.clock import SystemClock
from tests.fakes.certificate_requests import DeviceKey
from tests.integration.controlplane.served import Served, detail_of, served_control_plane
from wire.entitlement_codec import decode_claims, decode_key_set, signing_input
from wire.instants import to_us
from wire.v1 import common_pb2, device_pb2, enrollment_pb2, fleet_pb2, licensing_pb2, subscription_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.entitlement_pb2 import SignedEntitlement

HEALTHY = device_pb2.DeviceStatus(
    real_time_protection_enabled=True,
    real_time_protection_proven_at_us=1_700_000_000_000_000,
    real_time_protection_subsystem="fanotify",
    engine="yara",
    watched_roots=2,
)


@pytest.fixture
async def served(server_database: str | None, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_control_plane(tmp_path, server_database) as running:
        yield running


async def _refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, common_pb2.ErrorDetail]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), detail_of(caught.value)


async def _reason(call: Awaitable[object]) -> str:
    return (await _refused(call))[1].reason


def _verified(entitlement: SignedEntitlement, activated: enrollment_pb2.ActivateResponse) -> bytes:
    keys = {key.kid: key.public_key for key in decode_key_set(activated.key_set.key_set).keys}
    Ed25519PublicKey.from_public_bytes(keys[entitlement.kid]).verify(
        entitlement.signature, signing_input(entitlement.claims)
    )
    return entitlement.claims


async def test_a_device_lives_its_life(served: Served) -> None:
    greeting = await served.enrollment.Greet(enrollment_pb2.GreetRequest())
    assert greeting.version == version("buckler")
    assert abs(greeting.server_time_at_us - to_us(SystemClock().now())) < 60_000_000
    owner = await served.sign_in()
    device = await served.activate("Anna's laptop")
    claims = decode_claims(_verified(device.activated.entitlement, device.activated))
    assert (claims.serial, claims.access) == (1, common_pb2.ACCESS_LEVEL_FULL)
    assert device.activated.device_address == f":{served.mtls.port}"
    assert device.activated.check_in_interval_s == 60

    checked_in = await device.calls.CheckIn(device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1))
    assert (checked_in.entitlement_changed, checked_in.check_in_interval_s) == (False, 60)
    status = await served.fleet.GetFleetStatus(fleet_pb2.GetFleetStatusRequest(), metadata=owner)
    assert (status.devices, status.protected, len(status.attention)) == (1, 1, 0)

    refreshed = await device.calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest(trusted_serial=1))
    assert refreshed.entitlement == device.activated.entitlement
    rotated = await device.calls.RotateCertificate(
        device_pb2.RotateCertificateRequest(certificate_request_der=device.key.certificate_request())
    )
    fresh = DeviceServiceStub(served.channel(served.mtls, device.key.pem, rotated.device_certificate_pem))
    await fresh.CheckIn(device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1))

    await served.advance(timedelta(days=400))
    assert (
        await device.calls.CheckIn(device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=1))
    ).entitlement_changed
    expired = await device.calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest(trusted_serial=1))
    limited = decode_claims(_verified(expired.entitlement, device.activated))
    assert (limited.serial, limited.access, limited.access_reason) == (
        2,
        common_pb2.ACCESS_LEVEL_LIMITED,
        "SUBSCRIPTION_EXPIRED",
    )
    shown = await served.fleet.GetDevice(
        fleet_pb2.GetDeviceRequest(device_id=device.activated.device_id), metadata=owner
    )
    assert shown.protection == common_pb2.PROTECTION_STATE_UNPROTECTED
    assert shown.status == HEALTHY
    await served.subscriptions.Renew(subscription_pb2.RenewRequest(idempotency_key="renewal-1"), metadata=owner)
    renewed = await device.calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest(trusted_serial=2))
    assert decode_claims(renewed.entitlement.claims).access == common_pb2.ACCESS_LEVEL_FULL

    await device.calls.Deactivate(device_pb2.DeactivateRequest(reason="sold"))
    code, detail = await _refused(device.calls.CheckIn(device_pb2.CheckInRequest(status=HEALTHY)))
    assert (code, detail.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "DEVICE_DEACTIVATED")


async def test_a_fourth_device_is_refused_with_the_holders_and_gets_a_released_seat(served: Served) -> None:
    owner = await served.sign_in()
    devices = [await served.activate(f"device {number}") for number in range(3)]
    fourth = served.activation(DeviceKey(), "device 3")
    code, detail = await _refused(served.enrollment.Activate(fourth))
    assert (code, detail.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "SEAT_LIMIT")
    assert [holder.device_name for holder in detail.seat_holders] == ["device 0", "device 1", "device 2"]

    seats = await served.licensing.ListSeats(licensing_pb2.ListSeatsRequest(), metadata=owner)
    assert [seat.slot for seat in seats.seats] == [1, 2, 3]
    released = await served.licensing.ReleaseSeat(
        licensing_pb2.ReleaseSeatRequest(
            seat_or_device_id=seats.seats[1].seat_id, reason="broken", idempotency_key="release-1"
        ),
        metadata=owner,
    )
    assert released.released_device_id == devices[1].activated.device_id
    activated = await served.enrollment.Activate(fourth)
    assert decode_claims(activated.entitlement.claims).seat_id == seats.seats[1].seat_id
    refreshed = await devices[1].calls.RefreshEntitlement(device_pb2.RefreshEntitlementRequest(trusted_serial=1))
    assert decode_claims(refreshed.entitlement.claims).access_reason == "SEAT_RELEASED"


async def test_keys_are_issued_listed_and_revoked(served: Served) -> None:
    owner = await served.sign_in()
    issued = await served.licensing.IssueKey(
        licensing_pb2.IssueKeyRequest(max_devices=1, idempotency_key="issue-key-1"), metadata=owner
    )
    assert issued.activation_key.endswith(issued.key.hint)
    listed = await served.licensing.ListKeys(licensing_pb2.ListKeysRequest(), metadata=owner)
    assert {key.key_id for key in listed.keys} > {issued.key.key_id}
    await served.licensing.RevokeKey(licensing_pb2.RevokeKeyRequest(key_id=issued.key.key_id), metadata=owner)
    request = served.activation(DeviceKey())
    request.activation_key = issued.activation_key
    code, detail = await _refused(served.enrollment.Activate(request))
    assert (code, detail.reason) == (grpc.StatusCode.PERMISSION_DENIED, "KEY_REVOKED")


async def test_detections_are_stored_once_and_listed_newest_first(served: Served) -> None:
    owner = await served.sign_in()
    device = await served.activate("Anna's laptop")
    incidents = [
        device_pb2.Incident(
            uuid=bytes([number]) * 16,
            detected_at_us=1_700_000_000_000_000 + number,
            path=b"/home/anna/\xff",
            findings=[device_pb2.Finding(rule="Test_File", severity="high", member_path=["a.zip"])],
            action=device_pb2.INCIDENT_ACTION_QUARANTINED,
            origin="real_time",
        )
        for number in range(5)
    ]
    request = device_pb2.ReportEventsRequest(incidents=[*incidents, device_pb2.Incident(uuid=b"bad")])
    reports = await asyncio.gather(*(device.calls.ReportEvents(request) for _ in range(4)))
    assert all(len(report.accepted_uuids) == 5 and len(report.rejected) == 1 for report in reports)
    first = await served.fleet.ListDetections(
        fleet_pb2.ListDetectionsRequest(page=common_pb2.PageRequest(page_size=3)), metadata=owner
    )
    second = await served.fleet.ListDetections(
        fleet_pb2.ListDetectionsRequest(page=common_pb2.PageRequest(page_size=3, page_token=first.next_page_token)),
        metadata=owner,
    )
    shown = [detection.incident.uuid[0] for page in (first, second) for detection in page.detections]
    assert shown == [4, 3, 2, 1, 0]
    assert second.next_page_token == ""
    one = await served.fleet.GetDetection(fleet_pb2.GetDetectionRequest(uuid=incidents[2].uuid), metadata=owner)
    assert one.incident == incidents[2]
    assert one.device_name == "Anna's laptop"
    status = await served.fleet.GetFleetStatus(fleet_pb2.GetFleetStatusRequest(), metadata=owner)
    assert status.detections_last_24_h == 5


async def test_the_same_device_may_ask_many_times_at_once(served: Served) -> None:
    key = DeviceKey()
    answers = await asyncio.gather(*(served.enrollment.Activate(served.activation(key)) for _ in range(8)))
    assert len({(answer.device_id, answer.entitlement.SerializeToString()) for answer in answers}) == 1


async def test_a_device_with_several_interfaces_and_unknown_evidence_gets_its_seat(served: Served) -> None:
    request = served.activation(DeviceKey())
    request.fingerprint.extend(
        enrollment_pb2.FingerprintComponent(kind=kind, digest=bytes([number]) * 32)
        for number, kind in enumerate(["mac_address", "mac_address", "made_by_a_newer_agent"])
    )
    assert (await served.enrollment.Activate(request)).device_id
    assert (await served.enrollment.Activate(request)).device_id


async def test_without_the_right_certificate_or_token_nothing_is_answered(served: Served) -> None:
    stranger = DeviceServiceStub(served.channel(served.mtls))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stranger.CheckIn(device_pb2.CheckInRequest())
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    code, detail = await _refused(served.fleet.ListDevices(fleet_pb2.ListDevicesRequest()))
    assert (code, detail.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")


async def test_bad_requests_are_told_what_is_wrong_and_change_nothing(served: Served) -> None:
    owner = await served.sign_in()
    device = await served.activate()

    def activation(**changes: Any) -> Awaitable[object]:
        request = served.activation(DeviceKey())
        # The stubs list field names as literals; which of them a test changes is its parameter.
        clear: Callable[[Any], None] = request.ClearField
        for name in changes:
            clear(name)
        request.MergeFrom(enrollment_pb2.ActivateRequest(**changes))
        return served.enrollment.Activate(request)

    many = [enrollment_pb2.FingerprintComponent(kind="mac_address", digest=bytes(32))] * 65
    key = served.customer.activation_key
    assert await _reason(activation(activation_key="x" * 300)) == "INVALID_REQUEST"
    assert await _reason(activation(activation_key=key[:-1] + ("0" if key[-1] != "0" else "1"))) == "KEY_MISTYPED"
    assert await _reason(activation(certificate_request_der=b"junk")) == "BAD_CERTIFICATE_REQUEST"
    assert await _reason(activation(device_name="")) == "INVALID_REQUEST"
    assert await _reason(activation(device_name="x" * 256)) == "INVALID_REQUEST"
    assert await _reason(activation(device_name="a\x1b[2Jb")) == "INVALID_REQUEST"
    assert await _reason(activation(platform=common_pb2.Platform(os="plan9"))) == "INVALID_REQUEST"
    assert await _reason(activation(fingerprint=many)) == "INVALID_REQUEST"
    assert await _reason(activation(fingerprint=[enrollment_pb2.FingerprintComponent(kind="x")])) == "INVALID_REQUEST"
    too_high = device_pb2.CheckInRequest(status=HEALTHY, entitlement_serial=2**64 - 1)
    assert await _reason(device.calls.CheckIn(too_high)) == "INVALID_REQUEST"
    huge = device_pb2.DeviceStatus(engine="x" * 70_000)
    assert await _reason(device.calls.CheckIn(device_pb2.CheckInRequest(status=huge))) == "INVALID_REQUEST"
    unknown_state = fleet_pb2.ListDevicesRequest(states=[common_pb2.PROTECTION_STATE_UNSPECIFIED])
    assert await _reason(served.fleet.ListDevices(unknown_state, metadata=owner)) == "INVALID_REQUEST"
    for wrong in ("dev_unknown", "x' OR '1'='1"):
        lookup = served.fleet.GetDevice(fleet_pb2.GetDeviceRequest(device_id=wrong), metadata=owner)
        assert await _reason(lookup) == "DEVICE_NOT_FOUND"
        release = licensing_pb2.ReleaseSeatRequest(seat_or_device_id=wrong, idempotency_key="release-x")
        assert await _reason(served.licensing.ReleaseSeat(release, metadata=owner)) == "SEAT_NOT_FOUND"
        revoke = licensing_pb2.RevokeKeyRequest(key_id=wrong)
        assert await _reason(served.licensing.RevokeKey(revoke, metadata=owner)) == "KEY_NOT_FOUND"
    seats = await served.licensing.ListSeats(licensing_pb2.ListSeatsRequest(), metadata=owner)
    assert [bool(seat.HasField("holder")) for seat in seats.seats] == [True, False, False]
