from datetime import timedelta

import pytest

from controlplane.devices.fleet.overview import ATTENTION_LIMIT, DeviceFilter
from controlplane.devices.model import OFFLINE_AFTER, DeviceReport, ProtectionState
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.world import Customer, World, principal_of


async def _device(world: World, customer: Customer, name: str) -> DevicePrincipal:
    return principal_of(await world.activate(customer, name=name))


async def _check_in(world: World, device: DevicePrincipal, *, watching: bool = True) -> None:
    report = DeviceReport(
        real_time_enabled=watching,
        proven_at=SOME_MONDAY,
        health_issues=(),
        signatures_made_at=world.clock.now(),
        events_lost=0,
        platform=None,
        raw=b"",
    )
    await world.check_ins.take(device, report, 1)


async def test_the_summary_counts_every_device_once_and_names_the_worst_first(world: World) -> None:
    customer = await world.customer(seats=5)
    offline = await _device(world, customer, "offline")
    await _check_in(world, offline)
    world.clock.advance(OFFLINE_AFTER + timedelta(seconds=1))
    await _check_in(world, await _device(world, customer, "protected"))
    await _check_in(world, await _device(world, customer, "at risk"), watching=False)
    await _device(world, customer, "never")
    lost = await _device(world, customer, "lost its seat")
    await _check_in(world, lost)
    await world.release(customer, lost.device_id, "")
    other = await world.customer()
    await _device(world, other, "of somebody else")

    summary = await world.fleet.summary(customer.org_id)
    assert dict(summary.counts) == {**dict.fromkeys(ProtectionState, 1), ProtectionState.EXPIRED: 0}
    assert [view.device.name for view in summary.attention] == ["lost its seat", "at risk", "never", "offline"]
    assert summary.as_of == world.clock.now()


async def test_attention_is_limited_to_the_worst(world: World) -> None:
    customer = await world.customer(seats=ATTENTION_LIMIT + 2)
    for number in range(ATTENTION_LIMIT + 2):
        await _device(world, customer, f"never {number:02}")
    summary = await world.fleet.summary(customer.org_id)
    assert summary.counts[ProtectionState.NEVER_SEEN] == ATTENTION_LIMIT + 2
    assert [view.device.name for view in summary.attention] == [f"never {number:02}" for number in range(20)]


async def test_pages_by_name_show_every_device_once(world: World) -> None:
    customer = await world.customer(seats=7)
    for name in ("b", "a", "c", "a", "d", "b", "e"):
        await _device(world, customer, name)
    names: list[str] = []
    ids: set[str] = set()
    key: tuple[str, ...] | None = ()
    while key is not None:
        page = await world.fleet.page(customer.org_id, Page(size=3, after=key))
        assert len(page.views) <= 3
        names += [view.device.name for view in page.views]
        ids |= {view.device.device_id for view in page.views}
        key = page.next_key
    assert names == sorted(names)
    assert (len(names), len(ids)) == (7, 7)


async def test_a_filtered_list_has_only_devices_in_the_wanted_states(world: World) -> None:
    customer = await world.customer(seats=4)
    for name in ("a", "b", "c"):
        await _device(world, customer, name)
    await _check_in(world, await _device(world, customer, "d"))
    page = await world.fleet.page(customer.org_id, Page(size=1), DeviceFilter(frozenset({ProtectionState.PROTECTED})))
    assert [view.device.name for view in page.views] == ["d"]
    assert page.next_key is None
    none = await world.fleet.page(customer.org_id, Page(size=1), DeviceFilter(frozenset({ProtectionState.OFFLINE})))
    assert none.views == ()


async def test_deactivated_devices_leave_the_list_but_can_be_looked_up(world: World) -> None:
    customer = await world.customer()
    device = await _device(world, customer, "old")
    await world.devices.deactivate(device, "")
    assert (await world.fleet.page(customer.org_id, Page(size=10))).views == ()
    assert (await world.fleet.get(customer.org_id, device.device_id)).device.deactivated_at == world.clock.now()


async def test_other_tenants_devices_do_not_exist(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    device = await _device(world, customer, "mine")
    with pytest.raises(Refusal) as caught:
        await world.fleet.get(other.org_id, device.device_id)
    assert caught.value.reason == "DEVICE_NOT_FOUND"
