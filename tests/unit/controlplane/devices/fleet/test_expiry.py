from datetime import timedelta

import pytest

from controlplane.devices.fleet.expiry import DEFAULT_DAYS, FEWEST_DAYS, ExpirySetting
from controlplane.devices.fleet.overview import DeviceFilter
from controlplane.devices.model import ProtectionState
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.runtime.tenant_time import make_sandbox
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.devices.test_clones import REPORT

HIDDEN = DeviceFilter(frozenset({ProtectionState.EXPIRED}))


async def _silent(world: World, days: int) -> tuple[Customer, DevicePrincipal]:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.check_ins.take(device, REPORT, 1)
    world.clock.advance(timedelta(days=days))
    return customer, device


async def _listed(world: World, customer: Customer, wanted: DeviceFilter | None = None) -> int:
    pages = world.fleet.page(customer.org_id, Page(size=5), wanted or DeviceFilter())
    return len((await pages).views)


async def test_a_device_that_nobody_has_seen_for_long_is_hidden_and_back_when_it_calls(world: World) -> None:
    customer, device = await _silent(world, DEFAULT_DAYS)
    assert await world.expiry.sweep() == 0
    world.clock.advance(timedelta(seconds=1))
    assert await world.expiry.sweep() == 1
    summary = await world.fleet.summary(customer.org_id)
    assert (summary.counts[ProtectionState.EXPIRED], sum(summary.counts.values())) == (1, 1)
    assert (summary.attention, dict(summary.reasons)) == ((), {})
    assert (await _listed(world, customer), await _listed(world, customer, HIDDEN)) == (0, 1)
    seat = (await world.fleet.get(customer.org_id, device.device_id)).licence.seat_id
    assert seat
    await world.check_ins.take(device, REPORT, 1)
    assert (await _listed(world, customer), await _listed(world, customer, HIDDEN)) == (1, 0)
    back = await world.fleet.get(customer.org_id, device.device_id)
    assert (back.licence.seat_id, back.status is not None and back.status.expired_at) == (seat, None)


async def test_each_organisation_says_how_long_it_waits_or_that_it_always_does(world: World) -> None:
    customer, _ = await _silent(world, DEFAULT_DAYS + 1)
    assert await world.expiry.setting(customer.org_id) == ExpirySetting(DEFAULT_DAYS, is_default=True)
    await world.expiry.set_days(customer.person, 0)
    assert await world.expiry.sweep() == 0
    await world.expiry.set_days(customer.person, FEWEST_DAYS)
    assert await _listed(world, customer, HIDDEN) == 1
    # Whoever waits longer sees again what was hidden.
    await world.expiry.set_days(customer.person, DEFAULT_DAYS * 2)
    assert (await _listed(world, customer), await world.expiry.sweep()) == (1, 0)
    assert await world.expiry.setting(customer.org_id) == ExpirySetting(DEFAULT_DAYS * 2, is_default=False)


@pytest.mark.parametrize("days", [1, 6, 3_653])
async def test_a_holiday_is_no_end(world: World, days: int) -> None:
    customer = await world.customer()
    with pytest.raises(Refusal) as refused:
        await world.expiry.set_days(customer.person, days)
    assert refused.value.reason == "INVALID_REQUEST"


async def test_what_a_sandbox_hid_at_its_own_time_stays_hidden(world: World) -> None:
    customer, _ = await _silent(world, 0)
    present = world.clock.now()
    async with world.database.transaction() as uow:
        await make_sandbox(uow, customer.org_id)
    world.clock.advance(timedelta(days=DEFAULT_DAYS + 1))
    assert await world.expiry.sweep(customer.org_id) == 1
    # Everybody else lives half a year before.
    world.clock.set_wall(present)
    assert await world.expiry.sweep() == 0


async def test_a_deactivated_device_is_not_hidden_again(world: World) -> None:
    customer, device = await _silent(world, DEFAULT_DAYS + 1)
    await world.devices.deactivate(device, "")
    assert await world.expiry.sweep() == 0
    assert await _listed(world, customer, HIDDEN) == 0
