"""Two machines that call as one device."""

from pathlib import Path

import pytest

from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.devices.check_ins.nonces import NONCE_BYTES
from controlplane.devices.check_ins.quiet import Said
from controlplane.devices.model import DeviceReport, ProtectionState, ScanStanding
from controlplane.licensing.ports import NoticeKind
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.randomness import SystemRandomness, new_id
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.migrated import migrated_sqlite
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.commands.test_service import wish
from tests.unit.controlplane.detections.test_incidents import found

REPORT = DeviceReport(
    real_time_enabled=True,
    proven_at=SOME_MONDAY,
    health_issues=(),
    signatures_made_at=None,
    events_lost=0,
    platform=None,
    raw=b"",
    scans=ScanStanding(SOME_MONDAY, 0),
)


async def _contact(world: World, device: DevicePrincipal, nonce: bytes | None) -> bytes:
    return (await world.check_ins.take(device, REPORT, 1, nonce)).next_nonce


async def forked(world: World, device: DevicePrincipal) -> None:
    """A copy of the device calls, and then the device itself."""
    image = await _contact(world, device, b"")
    theirs = await _contact(world, device, image)
    await _contact(world, device, theirs)
    with pytest.raises(Refusal, match="two machines"):
        await _contact(world, device, image)


async def _device(world: World) -> tuple[Customer, DevicePrincipal]:
    customer = await world.customer()
    return customer, principal_of(await world.activate(customer))


async def test_a_device_that_shows_what_it_was_given_goes_on(world: World) -> None:
    _, device = await _device(world)
    nonce = b""
    for _ in range(5):
        given = await _contact(world, device, nonce)
        # An answer that was lost: the same is shown again.
        again = await _contact(world, device, nonce)
        assert len(given) == len(again) == NONCE_BYTES
        nonce = again


async def test_a_copy_holds_both_machines_and_raises_one_alarm(world: World) -> None:
    customer, device = await _device(world)
    await world.webhooks.add(customer.person, "https://siem.example.com/")
    await forked(world, device)
    for nonce in (b"", b"x"):
        with pytest.raises(Refusal) as caught:
            await _contact(world, device, nonce)
        assert caught.value.reason == "DEVICE_CLONED"
    assert world.notices.kinds == [NoticeKind.DEVICE_CLONED]
    (webhook,) = await world.webhooks.list_all(customer.org_id)
    assert webhook.waiting == 1
    view = await world.fleet.get(customer.org_id, device.device_id)
    assert (view.verdict.state, view.verdict.reasons[0].code) == (ProtectionState.AT_RISK, "DEVICE_CLONED")
    assert (await world.fleet.summary(customer.org_id)).reasons == {"DEVICE_CLONED": 1}
    # What they find is still told.
    await world.detections.report(device, [found(1, "Eicar")], {})


async def test_a_released_device_goes_on_and_a_copy_that_is_still_there_is_seen_again(world: World) -> None:
    customer, device = await _device(world)
    image = await _contact(world, device, b"")
    mine = await _contact(world, device, image)
    mine = await _contact(world, device, mine)
    with pytest.raises(Refusal):
        await _contact(world, device, image)
    await world.devices.release_hold(customer.person, device.device_id)
    mine = await _contact(world, device, mine)
    assert (await world.fleet.summary(customer.org_id)).counts[ProtectionState.PROTECTED] == 1
    with pytest.raises(Refusal):
        await _contact(world, device, image)
    assert world.notices.kinds == [NoticeKind.DEVICE_CLONED] * 2


async def test_a_held_device_is_given_no_command_wherever_it_asks(world: World) -> None:
    customer, device = await _device(world)
    await world.commands.request(customer.person, device.device_id, wish())
    await forked(world, device)
    # As a stream asks, which needs no check-in.
    assert (await world.commands.exchange(device, [])).begin == ()
    await world.devices.release_hold(customer.person, device.device_id)
    assert len((await world.commands.exchange(device, [])).begin) == 1


async def test_nobody_else_releases_a_device(world: World) -> None:
    _, device = await _device(world)
    await forked(world, device)
    other = await world.customer()
    with pytest.raises(Refusal) as caught:
        await world.devices.release_hold(other.person, device.device_id)
    assert caught.value.reason == "DEVICE_NOT_FOUND"


async def test_devices_that_know_nothing_of_nonces_are_left_alone(world: World) -> None:
    _, device = await _device(world)
    assert [await _contact(world, device, None) for _ in range(3)] == [b"", b"", b""]


async def test_what_was_given_to_another_device_or_made_up_counts_as_nothing(world: World) -> None:
    customer, device = await _device(world)
    other = principal_of(await world.activate(customer))
    theirs = await _contact(world, other, b"")
    theirs = await _contact(world, other, theirs)
    mine = await _contact(world, device, theirs)
    mine = await _contact(world, device, mine)
    forged = bytes([mine[0] ^ 0x20]) + mine[1:]
    assert await _contact(world, device, forged) != b""
    await _contact(world, device, mine)


async def test_contacts_that_a_crash_forgot_take_nobody_for_two(world: World) -> None:
    _, device = await _device(world)
    nonce = await _contact(world, device, b"")
    slow = _another_server(world)
    for _ in range(4):
        nonce = (await slow.check_ins.take(device, REPORT, 1, nonce)).next_nonce
    # The other server never wrote: this one knows only the first contact.
    await _contact(world, device, nonce)


async def test_a_copy_that_calls_another_server_is_found_although_both_answer_from_memory(tmp_path: Path) -> None:
    url = await migrated_sqlite(tmp_path / "two.db")
    databases = [Database(url), Database(url)]
    here, there = servers = [_server(each, tmp_path / str(number)) for number, each in enumerate(databases)]
    there.check_ins._nonces = there.remembered._nonces = here.remembered._nonces
    device = principal_of(await here.activate(await here.customer()))
    image = await _remembering(here, device, b"")
    image = await _remembering(here, device, image)
    mine, theirs, refused = image, image, 0
    for _ in range(4):
        for server in servers:
            await server.news.look()
        try:
            mine = await _remembering(here, device, mine)
            await here.freshness.write()
            theirs = await _remembering(there, device, theirs)
            await there.freshness.write()
        except Refusal:
            refused += 1
    assert refused >= 2
    assert here.notices.kinds + there.notices.kinds == [NoticeKind.DEVICE_CLONED]
    for each in databases:
        await each.close()


def _server(database: Database, folder: Path) -> World:
    folder.mkdir(mode=0o700)
    return World(database, folder, write_every=WRITE_EVERY)


async def _remembering(world: World, device: DevicePrincipal, nonce: bytes) -> bytes:
    """A check-in, from memory if that is possible."""
    said = Said(b"", 1, ())
    again = await world.remembered.again(device, said, lambda: REPORT, nonce)
    if again is not None:
        return again.next_nonce
    with world.remembered.looking(device) as look:
        checked_in = await world.check_ins.take(device, REPORT, 1, nonce)
        world.remembered.remember(look, checked_in, said, REPORT)
    return checked_in.next_nonce


def _another_server(world: World) -> World:
    """Another server on the same database, which keeps what it hears to itself."""
    folder = world.folder / new_id(SystemRandomness(), "other")
    folder.mkdir(mode=0o700)
    other = World(world.database, folder, write_every=WRITE_EVERY)
    other.check_ins._nonces = world.check_ins._nonces
    return other
