import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from controlplane.accounts.tables import audit
from controlplane.detections import service
from controlplane.detections.incidents import Incidents
from controlplane.detections.model import MAX_INCIDENTS, Finding, ReportedIncident
from controlplane.detections.service import SETTLES_WITHIN, DetectionFilter
from controlplane.runtime.paging import KeyPart, Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.storage.outages import DatabaseUnavailableError
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.world import Customer, World, principal_of


def incident(number: int, *, seconds: int = 0) -> ReportedIncident:
    return ReportedIncident(
        uuid=number.to_bytes(16, "big"),
        detected_at=SOME_MONDAY + timedelta(seconds=seconds),
        path=b"/home/anna/\xff.zip",
        sha256="0" * 64,
        size_bytes=68,
        findings=(Finding("Test_File", "default", "high", ("a.zip", "b/c.txt"), "Test file"),),
        action="quarantined",
        action_detail="",
        origin="real_time",
        engine="yara",
        signatures_version="2026.3.1",
        quarantine_id="q1",
    )


async def _device(world: World, customer: Customer, name: str = "laptop") -> DevicePrincipal:
    return principal_of(await world.activate(customer, name=name))


async def _uuids(world: World, org_id: str, wanted: DetectionFilter = DetectionFilter()) -> list[int]:  # noqa: B008 -- a frozen value
    page = await world.detections.page(org_id, Page(size=100), wanted)
    return [int.from_bytes(detection.incident.uuid, "big") for detection in page.detections]


async def test_a_detection_comes_back_as_it_was_reported(world: World) -> None:
    device = await _device(world, await world.customer(), "Anna's laptop")
    await world.detections.report(device, [incident(1)], {})
    found = await world.detections.get(device.org_id, incident(1).uuid)
    assert found.incident == incident(1)
    assert (found.device_id, found.device_name) == (device.device_id, "Anna's laptop")
    assert found.received_at == world.clock.now()


async def test_a_repeated_report_changes_nothing(world: World) -> None:
    device = await _device(world, await world.customer())
    await world.detections.report(device, [incident(1), incident(2)], {})
    first = await world.detections.get(device.org_id, incident(1).uuid)
    world.clock.advance(timedelta(minutes=1))
    await world.detections.report(device, [incident(2), incident(1), incident(3)], {})
    assert await world.detections.get(device.org_id, incident(1).uuid) == first
    assert await _uuids(world, device.org_id) == [3, 2, 1]


async def test_a_report_that_had_to_wait_for_the_database_is_dated_when_it_got_it(world: World) -> None:
    """An export goes on from its last row: what is dated before that and seen after it would be missed."""
    device = await _device(world, await world.customer())
    async with asyncio.TaskGroup() as tasks, world.database.transaction():
        tasks.create_task(world.detections.report(device, [incident(1)], {}))
        await asyncio.sleep(0)
        world.clock.advance(2 * SETTLES_WITHIN)
    found = await world.detections.get(device.org_id, incident(1).uuid)
    assert found.received_at == world.clock.now()


async def test_a_report_that_others_hold_up_is_given_up_before_an_export_could_miss_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = await _device(world, await world.customer())

    async def held_up(*_: object) -> None:
        await asyncio.Event().wait()

    assert timedelta(seconds=service.STORED_WITHIN_S) < SETTLES_WITHIN
    with monkeypatch.context() as patched:
        patched.setattr(service, "STORED_WITHIN_S", 0.05)
        patched.setattr(Incidents, "add", held_up)
        with pytest.raises(DatabaseUnavailableError):
            await world.detections.report(device, [incident(1)], {})
    assert await _uuids(world, device.org_id) == []
    await world.detections.report(device, [incident(1)], {})
    assert await _uuids(world, device.org_id) == [1]


async def test_the_newest_come_first_and_pages_show_each_once(world: World) -> None:
    device = await _device(world, await world.customer())
    for batch in range(3):
        world.clock.advance(timedelta(minutes=1))
        await world.detections.report(device, [incident(batch * 10 + n, seconds=n // 2) for n in range(4)], {})
    seen: list[int] = []
    key: tuple[KeyPart, ...] | None = ()
    while key is not None:
        page = await world.detections.page(device.org_id, Page(size=5, after=key), DetectionFilter())
        seen += [int.from_bytes(detection.incident.uuid, "big") for detection in page.detections]
        key = page.next_key
    assert seen == [23, 22, 21, 20, 13, 12, 11, 10, 3, 2, 1, 0]


async def test_filters_by_device_and_time(world: World) -> None:
    customer = await world.customer()
    one, two = await _device(world, customer), await _device(world, customer)
    await world.detections.report(one, [incident(1)], {})
    world.clock.advance(timedelta(hours=25))
    await world.detections.report(two, [incident(2)], {})
    assert await _uuids(world, customer.org_id, DetectionFilter(device_id=one.device_id)) == [1]
    assert await _uuids(world, customer.org_id, DetectionFilter(since=world.clock.now())) == [2]
    assert await world.detections.count_recent(customer.org_id) == 1


async def test_other_tenants_detections_do_not_exist(world: World) -> None:
    device = await _device(world, await world.customer())
    other = await world.customer()
    await world.detections.report(device, [incident(1)], {})
    assert await _uuids(world, other.org_id) == []
    with pytest.raises(Refusal) as caught:
        await world.detections.get(other.org_id, incident(1).uuid)
    assert caught.value.reason == "DETECTION_NOT_FOUND"
    with pytest.raises(Refusal) as caught:
        await _uuids(world, other.org_id, DetectionFilter(device_id=device.device_id))
    assert caught.value.reason == "DEVICE_NOT_FOUND"
    await world.detections.report(await _device(world, other), [incident(1)], {})
    assert await _uuids(world, other.org_id) == [1]


async def test_a_batch_that_is_too_large_stores_nothing(world: World) -> None:
    device = await _device(world, await world.customer())
    with pytest.raises(Refusal) as caught:
        await world.detections.report(device, [incident(number) for number in range(MAX_INCIDENTS + 1)], {})
    assert caught.value.reason == "TOO_MANY_INCIDENTS"
    assert await _uuids(world, device.org_id) == []


async def test_what_a_device_had_to_drop_is_in_the_audit(world: World) -> None:
    device = await _device(world, await world.customer())
    await world.detections.report(device, [], {"low": 7})
    async with world.database.reading() as connection:
        query = select(audit.c.details).where(audit.c.action == "device.reports_dropped")
        assert (await connection.execute(query)).scalars().all() == ['{"low": "7"}']


@pytest.mark.parametrize("key", [(1, 1, "not hex"), (10**30, 1, "00"), (-(10**30), 1, "00")])
async def test_a_made_up_page_token_is_refused(world: World, key: tuple[KeyPart, ...]) -> None:
    customer = await world.customer()
    with pytest.raises(Refusal) as caught:
        await world.detections.page(customer.org_id, Page(size=5, after=key), DetectionFilter())
    assert caught.value.reason == "PAGE_TOKEN_INVALID"
