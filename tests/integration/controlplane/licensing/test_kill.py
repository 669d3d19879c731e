"""`kill -9` at every step of an activation: one seat and one statement after the restart."""

import signal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from controlplane.licensing.tables import activation_key_uses, entitlements, seat_changes, seats
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, activation
from tests.integration.controlplane.licensing.dying_process import activate
from tests.integration.controlplane.mortals import lived
from wire.entitlement_codec import decode_claims

#: Nothing is promised before the first commit.
NOTHING_YET = "commit:1:before"
STEPS = (NOTHING_YET, "commit:1:after", "sign:before", "sign:after", "commit:2:before", "commit:2:after")


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    return World(database, tmp_path)


async def _die(world: World, customer: Customer, device_key: DeviceKey, step: str) -> None:
    request = device_key.certificate_request().hex()
    ended = await lived(activate, world.database.url, str(world.folder), customer.raw_key, request, step)
    assert ended == -signal.SIGKILL


async def _counts(world: World) -> tuple[int, ...]:
    queries = (
        select(func.count()).where(seats.c.device_id.is_not(None)),
        select(func.count()).select_from(seat_changes),
        select(func.count()).select_from(activation_key_uses),
        select(func.count()).select_from(entitlements),
    )
    async with world.database.reading() as connection:
        return tuple([(await connection.execute(query)).scalar_one() for query in queries])


@pytest.mark.parametrize("step", STEPS)
async def test_an_activation_that_was_killed_is_one_seat_after_its_retry(world: World, step: str) -> None:
    customer, device_key = await world.customer(seats=2), DeviceKey()
    await _die(world, customer, device_key, step)
    assert await _counts(world) == ((0, 0, 0, 0) if step == NOTHING_YET else (1, 1, 1, 1))
    activated = await world.licensing.activate(activation(customer.raw_key, device_key))
    claims = decode_claims(activated.entitlement.claims)
    assert (claims.serial, claims.seat_id.endswith("_1")) == (1, True)
    assert await _counts(world) == (1, 1, 1, 1)


@pytest.mark.parametrize("step", STEPS[1:])
async def test_what_was_promised_is_signed_by_the_sweeper_when_nobody_retries(world: World, step: str) -> None:
    customer, device_key = await world.customer(seats=1), DeviceKey()
    await _die(world, customer, device_key, step)
    assert await world.issuer.sweep() == (0 if step == "commit:2:after" else 1)
    async with world.database.reading() as connection:
        row = (await connection.execute(select(entitlements.c.state, entitlements.c.claims))).one()
    activated = await world.licensing.activate(activation(customer.raw_key, device_key))
    assert (row.state, row.claims) == ("issued", activated.entitlement.claims)
