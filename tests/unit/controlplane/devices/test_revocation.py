"""A device whose identity is revoked: what becomes of it, and where it is refused."""

import json
from dataclasses import replace

import pytest

from controlplane.accounts.audit import AuditEntry, AuditFilter, newest_entries
from controlplane.commands.model import Command, CommandReport, CommandState
from controlplane.commands.rows import CommandFilter
from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.devices.check_ins.quiet import Said
from controlplane.devices.model import ProtectionState
from controlplane.devices.revocation import Revocation
from controlplane.licensing.ports import NoticeKind
from controlplane.licensing.seat_rules import Change
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import acting_as
from controlplane.runtime.randomness import SystemRandomness, new_id
from controlplane.runtime.refusal import Refusal
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, principal_of, wish_for
from tests.unit.controlplane.commands.test_campaigns import wish as campaign_wish
from tests.unit.controlplane.commands.test_service import wish
from tests.unit.controlplane.detections.test_incidents import found
from tests.unit.controlplane.devices.test_clones import REPORT, forked
from tests.unit.controlplane.diagnostics.test_service import CONTENT, asked

EVERYTHING = Page(100)


async def _revoke(world: World, customer: Customer, device_id: str, reason: str = "stolen") -> None:
    with acting_as(customer.person.actor):
        await world.devices.revoke(customer.person, device_id, reason)


async def _commands_of(world: World, org_id: str, device_id: str) -> list[Command]:
    page = await world.commands.page(org_id, EVERYTHING, CommandFilter(device_id=device_id))
    return [named.command for named in page.commands]


async def _audited(world: World, org_id: str, subject: str, action_prefix: str = "device.revoked") -> list[AuditEntry]:
    async with world.database.reading() as connection:
        wanted = AuditFilter(subject=subject, action_prefix=action_prefix)
        return list(await newest_entries(connection, org_id, wanted, EVERYTHING))


async def test_nobody_counts_a_revoked_device_and_it_holds_nothing_any_more(world: World) -> None:
    customer = await world.customer(seats=1)
    device = principal_of(await world.activate(customer))
    for key in ("wish-0001", "wish-0002"):
        await world.commands.request(customer.person, device.device_id, wish(key))
    (begun, _) = (await world.commands.exchange(device, [])).begin
    await world.commands.exchange(device, [CommandReport(begun.command_id, CommandState.IN_PROGRESS, "", "", {})])
    await world.campaigns.request(customer.person, campaign_wish())
    seat = (await world.fleet.get(customer.org_id, device.device_id)).licence.seat_id
    await forked(world, device)
    world.notices.told.clear()
    world.clock.advance(WRITE_EVERY)

    await _revoke(world, customer, device.device_id)

    summary = await world.fleet.summary(customer.org_id)
    assert (sum(summary.counts.values()), dict(summary.reasons)) == (0, {})
    assert (await world.fleet.page(customer.org_id, EVERYTHING)).views == ()
    view = await world.fleet.get(customer.org_id, device.device_id)
    assert view.status is not None
    assert (view.licence.seat_id, view.status.cloned_at) == ("", None)
    ended = await _commands_of(world, customer.org_id, device.device_id)
    assert [(each.state, each.code, each.ends_at) for each in ended] == [
        (CommandState.CANCELLED, "DEVICE_REVOKED", None)
    ] * 3
    last = (await world.seat_desk.history(customer.org_id, seat, 1))[0]
    assert (last.change, last.why.actor, last.why.reason) == (Change.RELEASED, customer.person.actor, "stolen")
    (released,) = await _audited(world, customer.org_id, seat, "seat.released")
    assert (released.actor, released.details) == (
        customer.person.actor,
        {"device_id": device.device_id, "reason": "stolen"},
    )
    assert world.notices.kinds == [NoticeKind.DEVICE_REVOKED]
    # And its seat is another's.
    await world.activate(customer, name="its successor")


async def test_who_revoked_a_device_when_and_why_stays_with_it(world: World) -> None:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    assert (await world.fleet.get(customer.org_id, device.device_id)).revocation is None
    revoked_at = world.clock.now()
    await _revoke(world, customer, device.device_id)
    expected = Revocation(revoked_at, customer.person.actor, "", "stolen")
    assert (await world.fleet.get(customer.org_id, device.device_id)).revocation == expected


async def test_saying_it_again_changes_nothing(world: World) -> None:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    await world.webhooks.add(customer.person, "https://siem.example.com/")
    await _revoke(world, customer, device.device_id)
    before = await world.fleet.get(customer.org_id, device.device_id)
    world.clock.advance(WRITE_EVERY)
    await _revoke(world, customer, device.device_id, "lost after all")
    after = await world.fleet.get(customer.org_id, device.device_id)
    assert (after.device, after.revocation) == (before.device, before.revocation)
    assert len(await _audited(world, customer.org_id, device.device_id)) == len(world.notices.told) == 1
    (view,) = await world.webhooks.list_all(customer.org_id)
    await world.webhooks.deliver(customer.org_id, view.webhook.webhook_id)
    (post,) = world.posts.posts
    assert json.loads(post.body)["data"] == {
        "device_id": device.device_id,
        "device_name": "laptop",
        "actor": customer.person.actor,
        "reason": "stolen",
    }


async def test_a_device_that_gave_up_or_was_never_seen_can_be_revoked_and_a_strangers_cannot(world: World) -> None:
    customer, other = await world.customer(), await world.customer()
    gone, silent = [principal_of(await world.activate(customer)) for _ in range(2)]
    await world.devices.deactivate(gone, "sold")
    for device in (gone, silent):
        with pytest.raises(Refusal) as caught:
            await _revoke(world, other, device.device_id)
        assert caught.value.reason == "DEVICE_NOT_FOUND"
        await _revoke(world, customer, device.device_id)
    assert (await world.fleet.summary(customer.org_id)).counts[ProtectionState.NEVER_SEEN] == 0


async def test_a_revoked_device_is_refused_wherever_it_asks(world: World) -> None:
    of, key = await asked(world), DeviceKey()
    customer = of.customer
    device = principal_of(await world.activate(customer, key))
    request = key.certificate_request()
    await _revoke(world, customer, device.device_id)
    await _revoke(world, customer, of.device.device_id)
    paths = {
        "CheckIn": world.check_ins.take(device, REPORT, 1),
        "Connect": world.devices.check(device),
        "reports of commands": world.commands.exchange(
            device, [CommandReport("cmd_1", CommandState.SUCCEEDED, "", "", {})]
        ),
        "ReportEvents": world.detections.report(device, [found(1, "Eicar")], {}),
        "RefreshEntitlement": world.licensing.refresh(device, 1),
        "RotateCertificate": world.devices.rotate_certificate(device, request),
        "RenewCertificate": world.devices.certify_again(device.org_id, device.device_id, request),
        "UploadDiagnostics": world.diagnostics.receive(of.device, of.piece(0)),
        "UploadDiagnostics that nobody wants": world.diagnostics.receive(
            device, replace(of.piece(0, CONTENT), command_id="cmd_none")
        ),
        "Deactivate": world.devices.deactivate(device, ""),
        "Activate": world.activate(customer, key),
        "a command for it": world.commands.request(customer.person, device.device_id, wish()),
    }
    refused = {}
    for path, call in paths.items():
        with pytest.raises(Refusal) as caught:
            await call
        refused[path] = caught.value.reason
    assert refused == dict.fromkeys(paths, "DEVICE_REVOKED")


async def test_it_gets_no_seat_by_a_transfer(world: World) -> None:
    customer = await world.customer()
    device, other = [principal_of(await world.activate(customer)) for _ in range(2)]
    await _revoke(world, customer, device.device_id)
    with pytest.raises(Refusal) as caught:
        await world.seat_desk.transfer(customer.person, wish_for(other.device_id), device.device_id)
    assert caught.value.reason == "DEVICE_REVOKED"


async def test_no_server_answers_it_from_memory_any_more(world: World) -> None:
    customer = await world.customer()
    device = principal_of(await world.activate(customer))
    folder = world.folder / new_id(SystemRandomness(), "other")
    folder.mkdir(mode=0o700)
    other = World(world.database, folder, write_every=WRITE_EVERY)
    said = Said(b"", 1, ())
    # The first contact is news itself.
    await world.check_ins.take(device, REPORT, 1)
    for server in (world, other):
        await server.news.look()
        with server.remembered.looking(device) as look:
            server.remembered.remember(look, await server.check_ins.take(device, REPORT, 1), said, REPORT)
        assert await server.remembered.again(device, said, lambda: REPORT, None) is not None
    await _revoke(world, customer, device.device_id)
    await other.news.look()
    for server in (world, other):
        assert await server.remembered.again(device, said, lambda: REPORT, None) is None
        assert not await server.remembered.seen(device)
