from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from controlplane.commands.kinds.register import KINDS
from controlplane.commands.model import CommandState
from controlplane.commands.service import CommandWish
from controlplane.detections.model import DetectionOutcome
from controlplane.devices.tables import active_threats
from controlplane.runtime.principal import DevicePrincipal
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.commands.test_service import report
from tests.unit.controlplane.detections.test_incidents import found

LEFT = replace(found(1, "Eicar"), action="reported", quarantine_id="")


async def _found(world: World) -> tuple[Customer, DevicePrincipal]:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.detections.report(device, [LEFT], {})
    return customer, device


async def _ask(world: World, customer: Customer, device: DevicePrincipal, kind: str = "quarantine", **more: str) -> str:
    arguments = more if kind != "quarantine" else {"detection": LEFT.uuid.hex(), **more}
    wish = CommandWish(KINDS[kind], arguments, "", f"wish-{kind}-{len(more)}")
    return (await world.commands.request(customer.person, device.device_id, wish)).command.command_id


async def _outcome(world: World, customer: Customer) -> DetectionOutcome | None:
    return (await world.detections.get(customer.org_id, LEFT.uuid)).outcome


async def _is_active(world: World, customer: Customer, device: DevicePrincipal) -> bool:
    mine = active_threats.c.org_id == customer.org_id, active_threats.c.device_id == device.device_id
    async with world.database.reading() as connection:
        return bool(await connection.scalar(select(func.count()).select_from(active_threats).where(*mine)))


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ({"outcome": "quarantined", "quarantine_id": "q_1"}, "quarantined"),
        ({"outcome": "gone"}, "gone"),
    ],
)
async def test_what_came_of_it_is_kept_with_the_detection(world: World, told: dict[str, str], outcome: str) -> None:
    customer, device = await _found(world)
    command_id = await _ask(world, customer, device)
    assert await _outcome(world, customer) is None
    assert await _is_active(world, customer, device)
    await world.commands.exchange(device, [report(command_id, CommandState.SUCCEEDED, **told)])
    kept = await _outcome(world, customer)
    assert kept is not None
    assert (kept.outcome, kept.by, kept.quarantine_id) == (
        outcome,
        customer.person.actor,
        told.get("quarantine_id", ""),
    )
    assert not await _is_active(world, customer, device)


async def test_a_device_that_cannot_or_does_not_come_leaves_the_threat_where_it_is(world: World) -> None:
    customer, device = await _found(world)
    command_id = await _ask(world, customer, device)
    await world.commands.exchange(device, [report(command_id, CommandState.FAILED, "FILE_CHANGED")])
    kept = await _outcome(world, customer)
    assert kept is not None
    assert (kept.outcome, kept.code) == ("failed", "FILE_CHANGED")
    await _ask(world, customer, device, again="yes")
    world.clock.advance(timedelta(days=31))
    await world.commands.end_overdue()
    kept = await _outcome(world, customer)
    assert kept is not None
    assert (kept.outcome, kept.kind) == ("failed", "quarantine")
    assert await _is_active(world, customer, device)


async def test_a_copy_is_known_until_it_is_brought_back_or_destroyed(world: World) -> None:
    customer, device = await _found(world)
    taken = await _ask(world, customer, device)
    told = {"outcome": "quarantined", "quarantine_id": "q_1"}
    await world.commands.exchange(device, [report(taken, CommandState.SUCCEEDED, **told)])
    for kind, state, copy in (
        ("restore", CommandState.FAILED, "q_1"),
        ("delete", CommandState.SUCCEEDED, ""),
    ):
        command_id = await _ask(world, customer, device, kind, quarantine_id="q_1")
        await world.commands.exchange(device, [report(command_id, state)])
        kept = await _outcome(world, customer)
        assert kept is not None
        assert kept.quarantine_id == copy


async def test_a_command_to_another_device_says_nothing_of_it(world: World) -> None:
    customer, _ = await _found(world)
    other = principal_of(await world.activate(customer))
    command_id = await _ask(world, customer, other)
    await world.commands.exchange(other, [report(command_id, CommandState.SUCCEEDED)])
    assert await _outcome(world, customer) is None
