"""Guessing is slow, also after a restart, and nobody else pays for it."""

from datetime import timedelta
from pathlib import Path

import pytest

from controlplane.licensing.attempts import RATES, Guessing
from controlplane.runtime.attempts import forget_full, wait_of
from controlplane.runtime.principal import calling
from controlplane.runtime.rate_limit import Rate
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.clock import SOME_MONDAY as NOW
from tests.fakes.world import World, activation
from wire.activation_key import generate_activation_key

MINUTE = timedelta(minutes=1)
UNKNOWN = generate_activation_key(b"never given")


async def attempt(world: World, key: str, device_key: DeviceKey, peer: str = "") -> str:
    with calling(request_id="req_12345678", peer=peer, principal=None):
        try:
            await world.licensing.activate(activation(key, device_key))
        except Refusal as refusal:
            return refusal.reason
    return "ACTIVATED"


def test_a_bucket_gives_its_burst_and_then_one_attempt_at_a_time() -> None:
    rate = Rate(burst=2, every=MINUTE)
    assert wait_of(None, rate, NOW) is None
    assert wait_of(NOW + MINUTE, rate, NOW) is None
    assert wait_of(NOW + 2 * MINUTE, rate, NOW) == MINUTE
    assert wait_of(NOW + 2 * MINUTE, rate, NOW + MINUTE) is None


async def test_an_address_that_guesses_is_slowed_down_and_others_are_not(world: World, tmp_path: Path) -> None:
    customer = await world.customer()
    rate = RATES[Guessing.ADDRESS]
    for _ in range(rate.burst):
        assert await attempt(world, UNKNOWN, DeviceKey(), "192.0.2.1") == "KEY_UNKNOWN"
    folder = tmp_path / "restarted"
    folder.mkdir(mode=0o700)
    restarted = World(world.database, folder)
    for server in (world, restarted):
        assert await attempt(server, UNKNOWN, DeviceKey(), "192.0.2.1") == "RATE_LIMITED"
        assert await attempt(server, customer.raw_key, DeviceKey(), "192.0.2.1") == "RATE_LIMITED"
    assert await attempt(world, customer.raw_key, DeviceKey(), "192.0.2.2") == "ACTIVATED"
    world.clock.advance(rate.every)
    assert await attempt(world, UNKNOWN, DeviceKey(), "192.0.2.1") == "KEY_UNKNOWN"
    assert await attempt(world, UNKNOWN, DeviceKey(), "192.0.2.1") == "RATE_LIMITED"


async def test_a_device_that_hammers_is_slowed_down_wherever_it_calls_from(world: World) -> None:
    customer, device_key = await world.customer(seats=0), DeviceKey()
    for number in range(RATES[Guessing.DEVICE].burst):
        assert await attempt(world, customer.raw_key, device_key, f"192.0.2.{number}") == "SEAT_LIMIT"
    assert await attempt(world, customer.raw_key, device_key, "198.51.100.1") == "RATE_LIMITED"
    assert await attempt(world, customer.raw_key, DeviceKey(), "198.51.100.1") == "SEAT_LIMIT"


async def test_what_works_costs_nothing(world: World) -> None:
    customer, device_key = await world.customer(), DeviceKey()
    for _ in range(2 * RATES[Guessing.DEVICE].burst):
        assert await attempt(world, customer.raw_key, device_key, "192.0.2.1") == "ACTIVATED"


async def test_an_organisation_full_of_refusals_still_knows_its_devices(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RATES, Guessing.ORGANISATION, Rate(burst=3, every=MINUTE))
    customer, known = await world.customer(seats=1), DeviceKey()
    assert await attempt(world, customer.raw_key, known) == "ACTIVATED"
    for _ in range(3):
        assert await attempt(world, customer.raw_key, DeviceKey()) == "SEAT_LIMIT"
    assert await attempt(world, customer.raw_key, DeviceKey()) == "RATE_LIMITED"
    assert await attempt(world, customer.raw_key, known) == "ACTIVATED"


async def test_buckets_that_are_full_again_are_forgotten(world: World) -> None:
    await attempt(world, UNKNOWN, DeviceKey(), "192.0.2.1")
    async with world.database.transaction() as uow:
        assert await forget_full(uow, world.clock.now()) == 0
        assert await forget_full(uow, world.clock.now() + timedelta(days=1)) == 2
