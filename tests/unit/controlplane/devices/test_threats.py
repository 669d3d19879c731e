from dataclasses import replace

from controlplane.detections.incidents import incident_id_of
from controlplane.detections.model import IncidentStatus, left_behind
from controlplane.devices.fleet.overview import DeviceFilter
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.detections.test_incidents import found
from tests.unit.controlplane.devices.test_clones import REPORT

EICAR = found(1, "Eicar")


async def _device(world: World) -> tuple[Customer, DevicePrincipal]:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.check_ins.take(device, REPORT, 1)
    return customer, device


async def _at_risk(world: World, device: DevicePrincipal) -> bool:
    """Whether the device has an active threat; summary and list must say the same."""
    codes = {reason.code for reason in (await world.fleet.get(device.org_id, device.device_id)).verdict.reasons}
    counted = dict((await world.fleet.summary(device.org_id)).reasons)
    assert counted == dict.fromkeys(codes, 1)
    wanted = DeviceFilter(reasons=frozenset({"ACTIVE_THREAT"}))
    listed = (await world.fleet.page(device.org_id, Page(size=5), wanted)).views
    assert len(listed) == len(codes)
    return bool(codes)


async def _judge(world: World, customer: Customer, status: IncidentStatus) -> None:
    await world.incidents.set_status(customer.person, incident_id_of(customer.org_id, "Eicar"), status, "")


async def test_a_file_that_was_found_and_left_is_a_threat_until_it_is_taken(world: World) -> None:
    _, device = await _device(world)
    await world.detections.report(device, [replace(EICAR, action="quarantine_failed")], {})
    assert await _at_risk(world, device)
    taken = replace(found(2, "Eicar"), action="quarantined", path=b"/elsewhere")
    await world.detections.report(device, [taken], {})
    assert await _at_risk(world, device)
    await world.detections.report(device, [replace(taken, uuid=found(3, "Eicar").uuid, path=EICAR.path)], {})
    assert not await _at_risk(world, device)


async def test_people_end_a_threat_with_its_incident_and_may_change_their_mind(world: World) -> None:
    customer, device = await _device(world)
    await world.detections.report(device, [replace(EICAR, action="reported")], {})
    for status in IncidentStatus:
        await _judge(world, customer, status)
        assert await _at_risk(world, device) is not status.is_over


async def test_what_is_found_again_counts_as_its_incident_is_judged(world: World) -> None:
    customer, device = await _device(world)
    again = replace(found(2, "Eicar"), action="reported")
    await world.detections.report(device, [replace(EICAR, action="reported")], {})
    await _judge(world, customer, IncidentStatus.FALSE_POSITIVE)
    await world.detections.report(device, [again], {})
    assert not await _at_risk(world, device)
    await _judge(world, customer, IncidentStatus.RESOLVED)
    await world.detections.report(device, [replace(again, uuid=found(3, "Eicar").uuid)], {})
    assert await _at_risk(world, device)


async def test_a_threat_that_was_told_before_the_first_check_in_is_not_forgotten(world: World) -> None:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.detections.report(device, [replace(EICAR, action="reported")], {})
    await world.check_ins.take(device, REPORT, 1)
    assert await _at_risk(world, device)


def test_the_newest_word_on_a_place_counts_and_what_is_not_malicious_says_nothing() -> None:
    left = replace(EICAR, action="reported")
    taken = replace(found(2, "Eicar"), action="quarantined", detected_at=left.detected_at.replace(year=2027))
    assert left_behind([taken, left]) == {EICAR.path: None}
    assert left_behind([replace(found(3, "Toolbar", "low"), action="reported")]) == {}
