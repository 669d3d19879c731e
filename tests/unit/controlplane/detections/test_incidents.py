from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from controlplane.accounts.tables import audit
from controlplane.detections.incidents import IncidentView
from controlplane.detections.model import Finding, IncidentStatus, ReportedIncident
from controlplane.detections.service import SETTLES_WITHIN, DetectionFilter
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.detections.test_service import incident


def found(number: int, threat: str, severity: str = "high") -> ReportedIncident:
    return replace(incident(number), findings=(Finding("Rule", "default", severity, (), threat),))


async def _device(world: World, customer: Customer, name: str) -> DevicePrincipal:
    return principal_of(await world.activate(customer, name=name))


async def _incidents(world: World, customer: Customer) -> Mapping[str, IncidentView]:
    page = await world.incidents.page(customer.org_id, Page(size=100))
    return {view.incident.threat: view for view in page.views}


async def test_the_same_threat_on_many_devices_is_one_incident(world: World) -> None:
    customer = await world.customer()
    one, two = await _device(world, customer, "one"), await _device(world, customer, "two")
    await world.detections.report(one, [found(1, "Eicar"), found(2, "Other", "low")], {})
    world.clock.advance(timedelta(minutes=1))
    await world.detections.report(two, [found(3, "Eicar", "critical"), found(4, "Eicar")], {})
    # A repeat counts nothing twice.
    await world.detections.report(two, [found(3, "Eicar", "critical"), found(1, "Eicar")], {})

    eicar = (await _incidents(world, customer))["Eicar"]
    assert (eicar.devices, eicar.detections) == (2, 3)
    assert (eicar.incident.severity, eicar.incident.last_at) == ("critical", world.clock.now())
    shown = await world.incidents.get(customer.org_id, eicar.incident.incident_id)
    assert [(each.device_name, each.detections) for each in shown.on] == [("two", 2), ("one", 1)]
    of_it = DetectionFilter(incident_id=eicar.incident.incident_id)
    page = await world.detections.page(customer.org_id, Page(size=10), of_it)
    assert {int.from_bytes(each.incident.uuid, "big") for each in page.detections} == {1, 3, 4}


async def test_a_resolved_incident_is_new_again_with_the_next_detection(world: World) -> None:
    customer = await world.customer()
    device = await _device(world, customer, "one")
    await world.detections.report(device, [found(1, "Eicar")], {})
    incident_id = (await _incidents(world, customer))["Eicar"].incident.incident_id
    resolved = await world.incidents.set_status(customer.person, incident_id, IncidentStatus.RESOLVED, "re-installed")
    assert (resolved.incident.status_by, resolved.incident.note) == (customer.person.actor, "re-installed")
    await world.detections.report(device, [found(1, "Eicar")], {})
    assert (await _incidents(world, customer))["Eicar"].incident.status is IncidentStatus.RESOLVED
    await world.detections.report(device, [found(2, "Eicar")], {})
    again = (await _incidents(world, customer))["Eicar"].incident
    assert (again.status, again.reopened, again.status_by) == (IncidentStatus.NEW, 1, "")


async def test_a_false_positive_is_questioned_only_by_a_device_that_did_not_have_it(world: World) -> None:
    customer = await world.customer()
    one, two = await _device(world, customer, "one"), await _device(world, customer, "two")
    await world.detections.report(one, [found(1, "Tool")], {})
    incident_id = (await _incidents(world, customer))["Tool"].incident.incident_id
    await world.incidents.set_status(customer.person, incident_id, IncidentStatus.FALSE_POSITIVE, "ours")
    await world.detections.report(one, [found(2, "Tool")], {})
    assert (await _incidents(world, customer))["Tool"].incident.status is IncidentStatus.FALSE_POSITIVE
    await world.detections.report(two, [found(3, "Tool")], {})
    assert (await _incidents(world, customer))["Tool"].incident.status is IncidentStatus.NEW


async def test_every_judgement_is_audited_once(world: World) -> None:
    customer = await world.customer()
    await world.detections.report(await _device(world, customer, "one"), [found(1, "Eicar")], {})
    incident_id = (await _incidents(world, customer))["Eicar"].incident.incident_id
    for status in (IncidentStatus.ACKNOWLEDGED, IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED):
        await world.incidents.set_status(customer.person, incident_id, status, "")
    async with world.database.reading() as connection:
        query = select(audit.c.details).where(audit.c.subject == incident_id).order_by(audit.c.at)
        details = list((await connection.execute(query)).scalars())
    assert len(details) == 2


async def test_other_tenants_incidents_do_not_exist(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    await world.detections.report(await _device(world, customer, "one"), [found(1, "Eicar")], {})
    incident_id = (await _incidents(world, customer))["Eicar"].incident.incident_id
    assert await _incidents(world, other) == {}
    with pytest.raises(Refusal, match="no such incident"):
        await world.incidents.set_status(other.person, incident_id, IncidentStatus.RESOLVED, "")


async def test_pages_of_incidents_have_each_once(world: World) -> None:
    customer = await world.customer()
    device = await _device(world, customer, "one")
    for number in range(5):
        await world.detections.report(device, [found(number, f"T{number}")], {})
        world.clock.advance(timedelta(minutes=number % 2))
    threats: list[str] = []
    page = await world.incidents.page(customer.org_id, Page(size=2))
    while True:
        threats += [view.incident.threat for view in page.views]
        if page.next_key is None:
            break
        page = await world.incidents.page(customer.org_id, Page(size=2, after=page.next_key))
    assert sorted(threats) == ["T0", "T1", "T2", "T3", "T4"]


async def test_an_export_goes_on_where_the_last_one_ended(world: World) -> None:
    customer = await world.customer()
    device = await _device(world, customer, "one")
    oldest = DetectionFilter(oldest_first=True)
    await world.detections.report(device, [found(1, "A"), found(2, "A")], {})
    assert (await world.detections.page(customer.org_id, Page(size=10), oldest)).detections == ()
    world.clock.advance(SETTLES_WITHIN)
    first = await world.detections.page(customer.org_id, Page(size=10), oldest)
    assert [each.incident.uuid[-1] for each in first.detections] == [1, 2]
    await world.detections.report(device, [found(3, "B")], {})
    world.clock.advance(SETTLES_WITHIN)
    assert first.next_key is not None
    then = await world.detections.page(customer.org_id, Page(size=10, after=first.next_key), oldest)
    assert [each.incident.uuid[-1] for each in then.detections] == [3]
