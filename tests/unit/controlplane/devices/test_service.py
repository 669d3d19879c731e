from datetime import timedelta

import pytest
from cryptography import x509
from sqlalchemy import select

from controlplane.devices.model import DeviceReport, HealthIssue, Platform, ProtectionState
from controlplane.devices.tables import device_fingerprints
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import LINUX, World, principal_of


def report(*, events_lost: int = 0, platform: Platform | None = None) -> DeviceReport:
    return DeviceReport(
        real_time_enabled=True,
        proven_at=None,
        health_issues=(HealthIssue("root_unreadable", "one root cannot be read"),),
        signatures_made_at=None,
        events_lost=events_lost,
        platform=platform,
        raw=b"",
    )


async def test_a_check_in_is_remembered_with_the_servers_time(world: World) -> None:
    activated = await world.activate(await world.customer())
    device = principal_of(activated)
    world.clock.advance(timedelta(minutes=3))
    checked_in = await world.check_ins.take(device, report(), 1)
    assert (checked_in.now, checked_in.entitlement_changed) == (world.clock.now(), False)
    view = await world.fleet.get(device.org_id, device.device_id)
    assert view.status is not None
    assert view.status.last_seen == world.clock.now()
    assert view.status.report == report()


async def test_a_check_in_tells_when_the_entitlement_changed(world: World) -> None:
    customer = await world.customer()
    activated = await world.activate(customer)
    device = principal_of(activated)
    assert (await world.check_ins.take(device, report(), 0)).entitlement_changed
    assert not (await world.check_ins.take(device, report(), 1)).entitlement_changed
    await world.release(customer, device.device_id, "")
    assert (await world.check_ins.take(device, report(), 1)).entitlement_changed
    assert (await world.licensing.refresh(device, 1)).serial == 2
    assert not (await world.check_ins.take(device, report(), 2)).entitlement_changed
    world.clock.advance(timedelta(hours=12))
    assert (await world.check_ins.take(device, report(), 2)).entitlement_changed


async def test_lost_events_are_dated_when_the_counter_grows(world: World) -> None:
    device = principal_of(await world.activate(await world.customer()))

    async def lost_at(count: int) -> object:
        await world.check_ins.take(device, report(events_lost=count), 1)
        status = (await world.fleet.get(device.org_id, device.device_id)).status
        assert status is not None
        return status.events_lost_at

    assert await lost_at(0) is None
    world.clock.advance(timedelta(minutes=1))
    first = world.clock.now()
    assert await lost_at(3) == first
    world.clock.advance(timedelta(minutes=1))
    assert await lost_at(3) == first
    assert await lost_at(0) == first
    assert await lost_at(1) == world.clock.now()


async def test_an_update_of_the_operating_system_is_noticed(world: World) -> None:
    device = principal_of(await world.activate(await world.customer()))
    newer = Platform("linux", "Debian GNU/Linux 13", "x86_64", "0.2.0")
    await world.check_ins.take(device, report(platform=newer), 1)
    assert (await world.fleet.get(device.org_id, device.device_id)).device.platform == newer


async def test_a_certificate_is_renewed_for_the_same_key_only(world: World) -> None:
    device_key = DeviceKey()
    device = principal_of(await world.activate(await world.customer(), device_key))
    pem = await world.devices.rotate_certificate(device, device_key.certificate_request())
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [
        f"urn:buckler:org:{device.org_id}:device:{device.device_id}"
    ]
    with pytest.raises(Refusal) as caught:
        await world.devices.rotate_certificate(device, DeviceKey().certificate_request())
    assert caught.value.reason == "BAD_CERTIFICATE_REQUEST"


async def test_deactivation_frees_the_seat_and_ends_contact_until_the_next_activation(world: World) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    device = principal_of(await world.activate(customer, device_key))
    await world.devices.deactivate(device, "sold")
    for refused in (
        world.check_ins.take(device, report(), 1),
        world.licensing.refresh(device, 1),
        world.devices.deactivate(device, ""),
    ):
        with pytest.raises(Refusal) as caught:
            await refused
        assert caught.value.reason == "DEVICE_DEACTIVATED"
    other = await world.activate(customer, name="other")
    await world.devices.deactivate(principal_of(other), "")
    again = await world.activate(customer, device_key)
    assert again.device.device_id == device.device_id
    await world.check_ins.take(device, report(), 2)


async def test_foreign_devices_are_refused(world: World) -> None:
    customer, device_key = await world.customer(), DeviceKey()
    device = principal_of(await world.activate(customer, device_key))
    other = await world.customer()
    with pytest.raises(Refusal) as caught:
        await world.check_ins.take(
            DevicePrincipal(device.device_id, other.org_id, device_key.public_key_sha256), report(), 1
        )
    assert caught.value.reason == "DEVICE_NOT_FOUND"


async def test_the_evidence_for_rebinding_is_kept(world: World) -> None:
    device_key = DeviceKey()
    customer = await world.customer()
    await world.activate(customer, device_key)
    activated = await world.activate(customer, device_key)
    async with world.database.reading() as connection:
        rows = (await connection.execute(select(device_fingerprints.c.device_id, device_fingerprints.c.kind))).all()
    assert [tuple(row) for row in rows] == [(activated.device.device_id, "machine_id")]


async def test_a_device_that_never_checked_in_says_so(world: World) -> None:
    activated = await world.activate(await world.customer())
    view = await world.fleet.get(activated.device.org_id, activated.device.device_id)
    assert view.verdict.state is ProtectionState.NEVER_SEEN
    assert view.device.platform == LINUX


async def test_a_device_that_proves_its_key_is_certified_again_and_nobody_else_is(world: World) -> None:
    customer, key = await world.customer(), DeviceKey()
    device = principal_of(await world.activate(customer, key))
    other = principal_of(await world.activate(customer))

    async def certified(org_id: str, device_id: str, csr: bytes) -> str:
        try:
            pem = await world.devices.certify_again(org_id, device_id, csr)
        except Refusal as refused:
            return refused.reason
        return x509.load_pem_x509_certificate(pem).subject.rfc4514_string()

    request = key.certificate_request()
    assert device.device_id in await certified(device.org_id, device.device_id, request)
    assert await certified(device.org_id, other.device_id, request) == "DEVICE_REPLACED"
    assert await certified("org_0", device.device_id, request) == "DEVICE_NOT_FOUND"
    assert await certified(device.org_id, device.device_id, b"junk") == "BAD_CERTIFICATE_REQUEST"
    await world.devices.deactivate(device, "")
    assert await certified(device.org_id, device.device_id, request) == "DEVICE_DEACTIVATED"
