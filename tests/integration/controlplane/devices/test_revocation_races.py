"""A device is revoked while it, and everybody who may, does something with it."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path

from controlplane.commands.model import OPEN, CommandReport, CommandState
from controlplane.commands.rows import CommandFilter
from controlplane.runtime.paging import Page
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import World, principal_of, wish_for
from tests.unit.controlplane.commands.test_service import wish
from tests.unit.controlplane.detections.test_incidents import found
from tests.unit.controlplane.devices.test_clones import REPORT

ROUNDS = 12


async def test_whatever_happens_meanwhile_it_is_refused_and_holds_nothing(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path)
    customer = await world.customer(seats=ROUNDS + 1)
    other = principal_of(await world.activate(customer))
    for number in range(ROUNDS):
        key = DeviceKey()
        device = principal_of(await world.activate(customer, key))
        await world.check_ins.take(device, REPORT, 1)
        asked = [
            await world.commands.request(customer.person, device.device_id, wish(f"wish-{number}-{each}"))
            for each in range(3)
        ]
        done = [CommandReport(each.command.command_id, CommandState.SUCCEEDED, "", "", {}) for each in asked[:1]]
        meanwhile: list[Awaitable[object]] = [
            world.activate(customer, key),
            world.check_ins.take(device, REPORT, 2),
            world.licensing.refresh(device, 1),
            world.release(customer, device.device_id),
            world.seat_desk.transfer(customer.person, wish_for(other.device_id), device.device_id),
            world.commands.exchange(device, done),
            world.commands.request(customer.person, device.device_id, wish(f"wish-{number}-late")),
            world.detections.report(device, [found(number, "Eicar")], {}),
            world.devices.rename(customer.person, device.device_id, "mine", f"rename-{number}"),
            world.freshness.write(),
        ]
        async with asyncio.TaskGroup() as group:
            for place, call in enumerate(meanwhile):
                if place == number % len(meanwhile):
                    group.create_task(world.devices.revoke(customer.person, device.device_id, "stolen"))
                group.create_task(_tried(call))
        view = await world.fleet.get(customer.org_id, device.device_id)
        assert view.revocation is not None
        assert view.licence.seat_id == ""
        page = await world.commands.page(customer.org_id, Page(10), CommandFilter(device_id=device.device_id))
        assert OPEN.isdisjoint(named.command.state for named in page.commands)
        assert sum((await world.fleet.summary(customer.org_id)).counts.values()) == 1


async def _tried(call: Awaitable[object]) -> None:
    with suppress(Refusal):
        await call
