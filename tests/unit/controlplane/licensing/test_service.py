from datetime import timedelta

import pytest
from sqlalchemy import func, select

from controlplane.accounts.tables import audit
from controlplane.catalog.model import AccessLevel
from controlplane.licensing.key_desk import KeyWish
from controlplane.licensing.tables import entitlements, seat_changes
from controlplane.runtime.refusal import Refusal
from controlplane.subscriptions.tables import subscriptions
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.signer import KilledError
from tests.fakes.world import Customer, World, activation, principal_of
from wire.activation_key import format_activation_key, generate_activation_key
from wire.entitlement_codec import decode_claims, signing_input
from wire.v1 import common_pb2
from wire.v1.entitlement_pb2 import EntitlementClaims

YEAR = timedelta(days=366)


async def _refusal(world: World, customer: Customer, device_key: DeviceKey | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await world.activate(customer, device_key)
    return caught.value


async def _claims(world: World, customer: Customer, device_key: DeviceKey | None = None) -> EntitlementClaims:
    return decode_claims((await world.activate(customer, device_key)).entitlement.claims)


async def _taken(world: World, customer: Customer) -> int:
    async with world.database.reading() as connection:
        return await world.allotments.count_taken(
            connection, org_id=customer.org_id, subscription_id=customer.subscription_id
        )


async def test_an_activation_gives_a_seat_a_certificate_and_signed_claims_about_this_device(world: World) -> None:
    customer, device_key = await world.customer(seats=3), DeviceKey()
    activated = await world.activate(customer, device_key, name="Anna's laptop")
    claims = decode_claims(activated.entitlement.claims)
    assert claims.serial == 1
    assert claims.org_id == customer.org_id
    assert claims.device_id == activated.device.device_id
    assert claims.device_public_key_sha256 == device_key.public_key_sha256
    assert claims.seat_id.endswith("_1")
    assert claims.access == common_pb2.ACCESS_LEVEL_FULL
    assert {grant.feature for grant in claims.features} == {
        "real_time_protection",
        "blocking_mode",
        "remote_commands",
        "signature_updates",
    }
    assert activated.device_certificate_pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert await _taken(world, customer) == 1


async def test_the_signature_covers_exactly_the_stored_bytes(world: World) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    activated = await world.activate(await world.customer())
    async with world.database.reading() as connection:
        row = (await connection.execute(select(*entitlements.columns))).one()
    (key,) = world.signer.public_keys()
    assert (row.state, row.kid, row.claims) == ("issued", key.kid, activated.entitlement.claims)
    Ed25519PublicKey.from_public_bytes(key.public_key).verify(row.signature, signing_input(row.claims))


async def test_a_retry_gets_the_same_seat_the_same_serial_and_the_same_bytes(world: World) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    first = await world.activate(customer, device_key)
    world.clock.advance(timedelta(minutes=5))
    second = await world.activate(customer, device_key, name="renamed")
    assert second.device.device_id == first.device.device_id
    assert second.device.name == "renamed"
    assert second.entitlement == first.entitlement
    assert await _taken(world, customer) == 1


async def test_a_mistyped_key_is_told_apart_from_an_unknown_one(world: World) -> None:
    customer = await world.customer()
    wrong = "0" if customer.raw_key[7] != "0" else "1"
    mistyped = customer.raw_key[:7] + wrong + customer.raw_key[8:]
    with pytest.raises(Refusal, match="group 2") as caught:
        await world.licensing.activate(activation(mistyped, DeviceKey()))
    assert (caught.value.reason, caught.value.facts) == ("KEY_MISTYPED", {"group": "2"})
    with pytest.raises(Refusal) as caught:
        await world.licensing.activate(activation(generate_activation_key(b"other bytes"), DeviceKey()))
    assert caught.value.reason == "KEY_UNKNOWN"


async def test_no_key_is_stored(world: World) -> None:
    customer = await world.customer()
    stored = b"".join(path.read_bytes() for path in world.folder.glob("server.db*"))
    assert customer.raw_key.encode() not in stored
    assert format_activation_key(customer.raw_key).encode() not in stored


async def test_a_revoked_key_is_refused_even_to_a_device_that_used_it(world: World) -> None:
    customer, device_key = await world.customer(), DeviceKey()
    await world.activate(customer, device_key)
    revoked = await world.key_desk.revoke(customer.org_id, customer.key_id)
    assert (await _refusal(world, customer)).reason == "KEY_REVOKED"
    assert (await _refusal(world, customer, device_key)).reason == "KEY_REVOKED"
    world.clock.advance(timedelta(days=1))
    again = await world.key_desk.revoke(customer.org_id, customer.key_id)
    assert again.revoked_at == revoked.revoked_at
    assert await _taken(world, customer) == 1


async def test_an_expired_key_takes_no_new_device_but_knows_its_old_ones(world: World) -> None:
    customer, device_key = await world.customer(), DeviceKey()
    issued = await world.key_desk.issue(
        customer.person, KeyWish(expires_at=world.clock.now() + timedelta(days=1)), "another-key"
    )
    await world.licensing.activate(activation(issued.raw, device_key))
    world.clock.advance(timedelta(days=1))
    await world.licensing.activate(activation(issued.raw, device_key))
    with pytest.raises(Refusal) as caught:
        await world.licensing.activate(activation(issued.raw, DeviceKey()))
    assert caught.value.reason == "KEY_EXPIRED"


async def test_a_key_is_used_up_by_different_devices_only(world: World) -> None:
    customer, device_key = await world.customer(seats=5, max_devices=2), DeviceKey()
    await world.activate(customer, device_key)
    await world.activate(customer, device_key)
    await world.activate(customer)
    assert (await _refusal(world, customer)).reason == "KEY_USED_UP"
    (key,) = await world.key_desk.list_keys(customer.org_id, customer.subscription_id)
    assert (key.max_devices, key.devices_activated) == (2, 2)


async def test_a_full_subscription_names_the_holders_and_the_ways_out(world: World) -> None:
    customer = await world.customer(seats=2)
    for name in ("one", "two"):
        await world.activate(customer, name=name)
    refusal = await _refusal(world, customer)
    assert refusal.reason == "SEAT_LIMIT"
    assert [holder.device_name for holder in refusal.seat_holders] == ["one", "two"]
    assert "seat release" in refusal.next_step
    assert await _taken(world, customer) == 2


async def test_a_refused_device_leaves_nothing_behind(world: World) -> None:
    customer = await world.customer(seats=1)
    await world.activate(customer)
    await _refusal(world, customer)
    summary = await world.fleet.summary(customer.org_id)
    assert sum(summary.counts.values()) == 1


async def test_a_released_seat_goes_to_the_next_device_and_the_old_one_learns_why(world: World) -> None:
    customer = await world.customer(seats=1)
    old = await world.activate(customer)
    released = await world.release(customer, old.device.device_id, "sold")
    assert released.device_id == old.device.device_id
    new = await world.activate(customer, name="new")
    assert decode_claims(new.entitlement.claims).seat_id == released.seat_id
    claims = decode_claims((await world.licensing.refresh(principal_of(old), 1)).claims)
    assert (claims.serial, claims.access, claims.access_reason, claims.seat_id) == (
        2,
        common_pb2.ACCESS_LEVEL_LIMITED,
        "SEAT_RELEASED",
        "",
    )
    async with world.database.reading() as connection:
        changes = (await connection.execute(select(seat_changes.c.change, seat_changes.c.reason))).all()
        actions = set((await connection.execute(select(audit.c.action))).scalars())
    assert [change for change, _ in changes].count("claimed") == 2
    assert ("released", "sold") in [tuple(change) for change in changes]
    assert {"seat.claimed", "seat.released", "key.issued"} <= actions


async def test_seats_of_nobody_and_of_others_cannot_be_released(world: World) -> None:
    customer, other = await world.customer(seats=2), await world.customer(seats=2)
    activated = await world.activate(other)
    views = (await world.seat_desk.list_seats(customer.org_id, customer.subscription_id)).views
    with pytest.raises(Refusal) as caught:
        await world.release(customer, views[0].seat.seat_id, "")
    assert caught.value.reason == "SEAT_FREE"
    for foreign in (activated.device.device_id, decode_claims(activated.entitlement.claims).seat_id, "seat_x"):
        with pytest.raises(Refusal) as caught:
            await world.release(customer, foreign, "")
        assert caught.value.reason == "SEAT_NOT_FOUND"


async def test_other_tenants_keys_and_subscriptions_do_not_exist(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    with pytest.raises(Refusal) as caught:
        await world.key_desk.revoke(customer.org_id, other.key_id)
    assert caught.value.reason == "KEY_NOT_FOUND"
    with pytest.raises(Refusal) as caught:
        await world.seat_desk.list_seats(customer.org_id, other.subscription_id)
    assert caught.value.reason == "SUBSCRIPTION_UNKNOWN"


async def test_a_limited_subscription_keeps_its_devices_and_takes_no_new_ones(world: World) -> None:
    customer, device_key = await world.customer(seats=3), DeviceKey()
    await world.activate(customer, device_key)
    world.clock.advance(timedelta(days=40))
    claims = await _claims(world, customer, device_key)
    assert (claims.access, claims.access_reason) == (common_pb2.ACCESS_LEVEL_LIMITED, "SUBSCRIPTION_EXPIRED")
    refusal = await _refusal(world, customer)
    assert refusal.reason == "SUBSCRIPTION_EXPIRED"
    assert "renew" in refusal.next_step
    world.clock.advance(YEAR)
    assert (await _refusal(world, customer, device_key)).reason == "SUBSCRIPTION_ENDED"


async def test_a_refresh_has_a_new_serial_only_if_there_is_something_new_to_say(world: World) -> None:
    customer = await world.customer()
    activated = await world.activate(customer)
    device = principal_of(activated)
    world.clock.advance(timedelta(hours=11))
    assert await world.licensing.refresh(device, 1) == activated.entitlement
    world.clock.advance(timedelta(hours=1))
    second = await world.licensing.refresh(device, 1)
    assert second.serial == 2
    assert await world.licensing.refresh(device, 2) == second
    await world.subscriptions.renew(
        org_id=customer.org_id, subscription_id=customer.subscription_id, idempotency_key="renewal-1"
    )
    assert (await world.licensing.refresh(device, 2)).serial == 3


async def test_a_restored_database_goes_on_above_the_serial_that_a_device_trusts(world: World) -> None:
    activated = await world.activate(await world.customer())
    assert (await world.licensing.refresh(principal_of(activated), 41)).serial == 42


async def test_a_device_that_was_killed_between_plan_and_signature_is_finished_by_the_sweeper(world: World) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    world.signer.kills_the_process = True
    with pytest.raises(KilledError):
        await world.activate(customer, device_key)
    async with world.database.reading() as connection:
        planned = (await connection.execute(select(*entitlements.columns))).one()
    assert (planned.state, planned.signature) == ("planned", None)
    assert await _taken(world, customer) == 1

    world.signer.kills_the_process = False
    assert await world.issuer.sweep() == 1
    assert await world.issuer.sweep() == 0
    assert world.signer.signed == [planned.claims]
    retried = await world.activate(customer, device_key)
    assert retried.entitlement.claims == planned.claims
    assert retried.entitlement.serial == 1
    assert await _taken(world, customer) == 1


async def test_a_retry_finishes_the_plan_as_well_as_the_sweeper(world: World) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    world.signer.unavailable = True
    refusal = await _refusal(world, customer, device_key)
    assert (refusal.reason, refusal.retry_after_s) == ("SIGNING_UNAVAILABLE", 60)
    world.signer.unavailable = False
    assert (await world.activate(customer, device_key)).entitlement.serial == 1
    async with world.database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(entitlements))).scalar_one() == 1


async def test_a_device_that_moves_to_another_subscription_gives_its_old_seat_back(world: World) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    await world.activate(customer, device_key)
    async with world.database.transaction() as uow:
        state = await world.subscriptions.create(
            uow,
            org_id=customer.org_id,
            plan_id="test-1",
            term=(await world.subscriptions.get(uow.connection, org_id=customer.org_id)).plan.terms[0],
            renewal=(await world.subscriptions.get(uow.connection, org_id=customer.org_id)).subscription.renewal,
        )
    issued = await world.key_desk.issue(customer.person, KeyWish(state.subscription.subscription_id), "another-key")
    moved = await world.licensing.activate(activation(issued.raw, device_key))
    assert decode_claims(moved.entitlement.claims).subscription_id == state.subscription.subscription_id
    assert await _taken(world, customer) == 0
    async with world.database.reading() as connection:
        actions = list((await connection.execute(select(audit.c.action))).scalars())
    assert actions.count("seat.released") == 1


async def test_keys_with_a_past_end_and_keys_of_ended_subscriptions_are_not_issued(world: World) -> None:
    customer = await world.customer()
    with pytest.raises(Refusal) as caught:
        await world.key_desk.issue(customer.person, KeyWish(expires_at=world.clock.now()), "too-late-key")
    assert caught.value.reason == "INVALID_REQUEST"
    world.clock.advance(2 * YEAR)
    with pytest.raises(Refusal) as caught:
        await world.key_desk.issue(customer.person, KeyWish(), "another-key")
    assert caught.value.reason == "SUBSCRIPTION_ENDED"


async def test_access_of_a_revoked_subscription_ends(world: World) -> None:
    customer, device_key = await world.customer(), DeviceKey()
    activated = await world.activate(customer, device_key)
    async with world.database.transaction() as uow:
        await uow.connection.execute(subscriptions.update().values(revoked_at=world.clock.now(), revocation_epoch=1))
    claims = decode_claims((await world.licensing.refresh(principal_of(activated), 1)).claims)
    assert (claims.access, claims.revocation_epoch) == (common_pb2.ACCESS_LEVEL_ENDED, 1)
    async with world.database.reading() as connection:
        licences = await world.licences.licences_of(connection, customer.org_id, None)
    assert licences[activated.device.device_id].access is AccessLevel.ENDED
