"""Machines that come back, and copies of machines."""

from dataclasses import replace
from datetime import timedelta

import pytest

from controlplane.devices.identity.evidence import REBINDS_ALLOWED
from controlplane.devices.model import FingerprintComponent
from controlplane.licensing.ports import NoticeKind
from controlplane.licensing.seat_rules import Change
from controlplane.licensing.service import Activated
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, activation, principal_of
from wire.entitlement_codec import decode_claims

HOUR = timedelta(hours=1)


def machine(name: str, **changed: str) -> frozenset[FingerprintComponent]:
    facts = {kind: f"{name} {kind}" for kind in ("machine_id", "board_serial", "mac_address")} | changed
    return frozenset(FingerprintComponent(kind, value.encode().ljust(32)) for kind, value in facts.items())


async def activate(
    world: World, customer: Customer, key: DeviceKey, fingerprint: frozenset[FingerprintComponent]
) -> Activated:
    return await world.licensing.activate(activation(customer.raw_key, key, fingerprint=fingerprint))


async def test_a_reinstalled_machine_is_the_same_device_in_the_same_seat(world: World) -> None:
    customer = await world.customer(seats=1)
    first = await activate(world, customer, DeviceKey(), machine("pc"))
    world.clock.advance(HOUR)
    second_key = DeviceKey()
    second = await activate(world, customer, second_key, machine("pc", machine_id="new"))
    assert second.device.device_id == first.device.device_id
    before, after = decode_claims(first.entitlement.claims), decode_claims(second.entitlement.claims)
    assert (after.seat_id, after.serial) == (before.seat_id, before.serial + 1)
    assert after.device_public_key_sha256 == second_key.public_key_sha256
    assert world.notices.kinds == [NoticeKind.DEVICE_REBOUND]
    history = await world.seat_desk.history(customer.org_id, after.seat_id, 10)
    assert [entry.change for entry in history] == [Change.REBOUND, Change.CLAIMED]


async def test_the_key_that_a_machine_had_before_is_refused_from_then_on(world: World) -> None:
    customer = await world.customer(seats=1)
    first = await activate(world, customer, DeviceKey(), machine("pc"))
    world.clock.advance(HOUR)
    second = await activate(world, customer, DeviceKey(), machine("pc"))
    with pytest.raises(Refusal) as refused:
        await world.licensing.refresh(principal_of(first), 1)
    assert refused.value.reason == "DEVICE_REPLACED"
    await world.licensing.refresh(principal_of(second), 2)


async def test_a_retry_of_a_return_changes_nothing_more(world: World) -> None:
    customer, key = await world.customer(seats=1), DeviceKey()
    await activate(world, customer, DeviceKey(), machine("pc"))
    world.clock.advance(HOUR)
    first = await activate(world, customer, key, machine("pc"))
    assert (await activate(world, customer, key, machine("pc"))).entitlement == first.entitlement
    assert len(world.notices.told) == 1


async def test_a_copy_of_a_machine_that_is_in_contact_takes_nothing_over_and_is_told(world: World) -> None:
    customer = await world.customer(seats=2)
    original = await activate(world, customer, DeviceKey(), machine("pc"))
    world.clock.advance(timedelta(minutes=1))
    copy = await activate(world, customer, DeviceKey(), machine("pc"))
    assert copy.device.device_id != original.device.device_id
    assert world.notices.kinds == [NoticeKind.DEVICE_COPIED]
    assert world.notices.told[0].facts["resembles"] == original.device.device_id
    await world.licensing.refresh(principal_of(original), 1)


async def test_a_copy_is_refused_like_any_device_when_there_is_no_seat_and_leaves_no_trace(world: World) -> None:
    customer = await world.customer(seats=1)
    original = await activate(world, customer, DeviceKey(), machine("pc"))
    with pytest.raises(Refusal) as refused:
        await activate(world, customer, DeviceKey(), machine("pc"))
    assert refused.value.reason == "SEAT_LIMIT"
    assert world.notices.told == []
    await world.licensing.refresh(principal_of(original), 1)


async def test_two_copies_cannot_take_the_seat_from_each_other_for_ever(world: World) -> None:
    customer = await world.customer(seats=1)
    await activate(world, customer, DeviceKey(), machine("pc"))
    for _ in range(REBINDS_ALLOWED):
        world.clock.advance(HOUR)
        await activate(world, customer, DeviceKey(), machine("pc"))
    world.clock.advance(HOUR)
    with pytest.raises(Refusal) as refused:
        await activate(world, customer, DeviceKey(), machine("pc"))
    assert refused.value.reason == "SEAT_LIMIT"


async def test_machines_made_from_one_image_are_different_devices(world: World) -> None:
    customer = await world.customer(seats=2)
    first = await activate(world, customer, DeviceKey(), machine("a", machine_id="image"))
    world.clock.advance(HOUR)
    second = await activate(world, customer, DeviceKey(), machine("b", machine_id="image"))
    assert first.device.device_id != second.device.device_id
    assert world.notices.told == []


async def test_evidence_of_another_organisation_says_nothing(world: World) -> None:
    first, second = await world.customer(seats=1), await world.customer(seats=1)
    here = await activate(world, first, DeviceKey(), machine("pc"))
    world.clock.advance(HOUR)
    there = await activate(world, second, DeviceKey(), machine("pc"))
    assert here.device.device_id != there.device.device_id
    salts = [await world.licensing.fingerprint_salt(customer.raw_key) for customer in (first, second, first)]
    assert (len(salts[0]), salts[0]) == (32, salts[2])
    assert salts[0] != salts[1]


async def test_a_revoked_machine_does_not_come_back_by_being_reinstalled(world: World) -> None:
    customer = await world.customer(seats=2)
    first = await activate(world, customer, DeviceKey(), machine("pc"))
    await world.devices.revoke(customer.person, first.device.device_id, "stolen")
    # At once too, when it would be taken for a copy of a device that is still there.
    for _ in range(2):
        with pytest.raises(Refusal) as refused:
            await activate(world, customer, DeviceKey(), machine("pc"))
        assert refused.value.reason == "DEVICE_REVOKED"
        world.clock.advance(HOUR)


async def test_a_revoked_machine_comes_back_as_a_new_device_with_a_key_that_was_made_since(world: World) -> None:
    customer, old_key = await world.customer(seats=2), DeviceKey()
    first = await activate(world, customer, old_key, machine("pc"))
    await world.devices.revoke(customer.person, first.device.device_id, "stolen")
    world.clock.advance(HOUR)
    issued = await world.key_desk.reissue(customer.person, customer.key_id, "reissue-1")
    customer = replace(customer, raw_key=issued.raw)
    second = await activate(world, customer, DeviceKey(), machine("pc"))
    assert second.device.device_id != first.device.device_id
    with pytest.raises(Refusal) as refused:
        await activate(world, customer, old_key, machine("pc"))
    assert refused.value.reason == "DEVICE_REVOKED"
    # From then on it is the new device that comes back.
    world.clock.advance(HOUR)
    assert (await activate(world, customer, DeviceKey(), machine("pc"))).device.device_id == second.device.device_id


async def test_a_name_that_a_person_gave_stays_when_the_machine_comes_back(world: World) -> None:
    customer = await world.customer(seats=1)
    device = (await activate(world, customer, DeviceKey(), machine("pc"))).device
    await world.devices.rename(customer.person, device.device_id, "Reception", "rename-1")
    world.clock.advance(HOUR)
    assert (await activate(world, customer, DeviceKey(), machine("pc"))).device.name == "Reception"
