"""Keys that are re-issued, revoked for good, and shown once."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from controlplane.licensing.key_desk import KeyWish
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import World, activation


async def test_a_key_is_shown_once_however_often_it_is_asked_for(world: World) -> None:
    customer = await world.customer()
    first = await world.key_desk.issue(customer.person, KeyWish(max_devices=2), "issue-one")
    again = await world.key_desk.issue(customer.person, KeyWish(max_devices=2), "issue-one")
    assert (again.key, again.raw) == (first.key, "")
    stored = b"".join(path.read_bytes() for path in world.folder.glob("server.db*"))
    assert first.raw.encode() not in stored


async def test_a_reissued_key_takes_the_place_of_the_old_one_with_what_is_left_of_it(world: World) -> None:
    customer, device_key = await world.customer(seats=5, max_devices=2), DeviceKey()
    await world.activate(customer, device_key)
    issued = await world.key_desk.reissue(customer.person, customer.key_id, "reissue-1")
    assert (issued.key.replaces_key_id, issued.key.devices_activated) == (customer.key_id, 1)
    with pytest.raises(Refusal) as old:
        await world.activate(customer, device_key)
    assert old.value.reason == "KEY_REVOKED"
    await world.licensing.activate(activation(issued.raw, device_key))
    await world.licensing.activate(activation(issued.raw, DeviceKey()))
    with pytest.raises(Refusal) as used_up:
        await world.licensing.activate(activation(issued.raw, DeviceKey()))
    assert used_up.value.reason == "KEY_USED_UP"
    again = await world.key_desk.reissue(customer.person, customer.key_id, "reissue-1")
    assert (again.key.key_id, again.raw) == (issued.key.key_id, "")


async def test_a_revoked_key_is_not_reissued(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    await world.key_desk.revoke(customer.org_id, customer.key_id)
    for person, reason in ((customer.person, "KEY_REVOKED"), (other.person, "KEY_NOT_FOUND")):
        with pytest.raises(Refusal) as refused:
            await world.key_desk.reissue(person, customer.key_id, f"reissue-{reason}")
        assert refused.value.reason == reason


async def test_nothing_makes_a_revoked_key_good_again(world: World) -> None:
    customer = await world.customer()
    await world.key_desk.revoke(customer.org_id, customer.key_id)
    for value in ("NULL", "1"):
        with pytest.raises(DatabaseError, match="stays revoked"):
            async with world.database.transaction() as uow:
                await uow.connection.execute(text(f"UPDATE activation_keys SET revoked_at = {value}"))
    async with world.database.transaction() as uow:
        await uow.connection.execute(text("UPDATE activation_keys SET max_devices = 99"))
    with pytest.raises(Refusal) as refused:
        await world.activate(customer)
    assert refused.value.reason == "KEY_REVOKED"
