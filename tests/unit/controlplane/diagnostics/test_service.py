"""Bundles from the first piece to their destruction."""

import hashlib
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from controlplane.accounts.tables import audit
from controlplane.commands.kinds.register import KINDS
from controlplane.commands.model import CommandReport, CommandState
from controlplane.commands.service import CommandWish
from controlplane.diagnostics.rpc import read_piece
from controlplane.diagnostics.tables import pieces
from controlplane.diagnostics.uploads import KEPT_FOR, PIECE_BYTES, BundleState, Piece, StoredBundle, state_of
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from tests.fakes.clock import SOME_MONDAY
from tests.fakes.world import Customer, World, principal_of
from wire.v1 import diagnostics_pb2

CONTENT = bytes(range(256)) * 5
SIZE = 600


@dataclass(frozen=True)
class Asked:
    """A device that has been asked for a bundle and has heard of it."""

    customer: Customer
    device: DevicePrincipal
    command_id: str

    def piece(self, offset: int, content: bytes = CONTENT) -> Piece:
        digest = hashlib.sha256(content).digest()
        return Piece(self.command_id, len(content), digest, offset, content[offset : offset + SIZE])


async def asked(world: World) -> Asked:
    customer = await world.customer()
    device = await world.activate(customer)
    wish = CommandWish(KINDS["diagnostics"], {}, "ticket 7", "wish-0001")
    named = await world.commands.request(customer.person, device.device.device_id, wish)
    await world.commands.exchange(principal_of(device), [])
    return Asked(customer, principal_of(device), named.command.command_id)


async def state(world: World, of: Asked) -> BundleState:
    (view,) = (await world.diagnostics.page(of.customer.org_id, Page(10), "")).views
    return view.state


async def sent(world: World, of: Asked) -> None:
    for offset in (0, 600, 1_200):
        await world.diagnostics.receive(of.device, of.piece(offset))


async def audited(world: World) -> list[str]:
    async with world.database.reading() as connection:
        query = select(audit.c.action).where(audit.c.action.like("diagnostics.%"))
        return sorted((await connection.execute(query)).scalars())


async def test_a_bundle_arrives_in_pieces_is_read_and_every_reading_is_written_down(world: World) -> None:
    of = await asked(world)
    assert await state(world, of) is BundleState.COLLECTING
    first = await world.diagnostics.receive(of.device, of.piece(0))
    assert (first.next_offset, first.complete, await state(world, of)) == (600, False, BundleState.UPLOADING)
    # An answer that was lost, a piece out of order: told where to go on, and nothing is kept twice.
    for offset in (0, 1_200):
        assert (await world.diagnostics.receive(of.device, of.piece(offset))).next_offset == 600
    await world.diagnostics.receive(of.device, of.piece(600))
    last = await world.diagnostics.receive(of.device, of.piece(1_200))
    assert (last.next_offset, last.complete, await state(world, of)) == (1_280, True, BundleState.READY)
    again = await world.diagnostics.receive(of.device, of.piece(1_200))
    assert again.complete
    read = b""
    while len(read) < len(CONTENT):
        read += (await world.diagnostics.read(of.customer.person, of.command_id, len(read))).content
    assert read == CONTENT
    assert (await world.diagnostics.read(of.customer.person, of.command_id, 700)).content == CONTENT[700:1_200]
    assert await audited(world) == ["diagnostics.read"] * 4 + ["diagnostics.received"]


async def test_what_lies_in_the_database_is_sealed_and_is_destroyed_in_time(world: World) -> None:
    of = await asked(world)
    await sent(world, of)
    async with world.database.reading() as connection:
        sealed = (await connection.execute(select(pieces.c.sealed))).scalars().all()
    assert not any(CONTENT[:32] in piece for piece in sealed)
    world.clock.advance(KEPT_FOR)
    assert await state(world, of) is BundleState.EXPIRED
    with pytest.raises(Refusal, match="BUNDLE_NOT_READY"):
        await world.diagnostics.read(of.customer.person, of.command_id, 0)
    assert (await world.diagnostics.destroy_expired(), await world.diagnostics.destroy_expired()) == (1, 0)
    async with world.database.reading() as connection:
        assert (await connection.execute(select(func.count()).select_from(pieces))).scalar_one() == 0
    assert (await audited(world))[0] == "diagnostics.destroyed"


async def test_only_the_device_that_was_asked_may_send_while_it_is_asked(world: World) -> None:
    of = await asked(world)
    other = principal_of(await world.activate(of.customer, name="other"))
    for device, piece in ((other, of.piece(0)), (of.device, replace(of.piece(0), command_id="cmd_none"))):
        with pytest.raises(Refusal, match="BUNDLE_NOT_WANTED"):
            await world.diagnostics.receive(device, piece)
    failed = CommandReport(of.command_id, CommandState.FAILED, "CONSENT_REFUSED", "", {})
    await world.commands.exchange(of.device, [failed])
    with pytest.raises(Refusal, match="BUNDLE_NOT_WANTED"):
        await world.diagnostics.receive(of.device, of.piece(0))
    assert await state(world, of) is BundleState.FAILED
    stranger = await world.customer()
    for person, command_id in ((stranger.person, of.command_id), (of.customer.person, "cmd_none")):
        with pytest.raises(Refusal, match="BUNDLE_NOT_FOUND"):
            await world.diagnostics.read(person, command_id, 0)


async def test_a_bundle_that_was_made_anew_begins_anew_and_a_wrong_one_is_given_up(world: World) -> None:
    of = await asked(world)
    await world.diagnostics.receive(of.device, of.piece(0, CONTENT[::-1]))
    assert (await world.diagnostics.receive(of.device, replace(of.piece(0), content=b""))).next_offset == 0
    with pytest.raises(Refusal, match="BUNDLE_DAMAGED"):
        await world.diagnostics.receive(of.device, Piece(of.command_id, 4, bytes(32), 0, b"fake"))
    assert await state(world, of) is BundleState.COLLECTING
    await sent(world, of)
    assert await state(world, of) is BundleState.READY


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"total_bytes": 0}, "total_bytes"),
        ({"total_bytes": 9 * 1024 * 1024}, "total_bytes"),
        ({"sha256": b"short"}, "sha256"),
        ({"content": bytes(PIECE_BYTES + 1), "total_bytes": 1_000_000}, "content"),
        ({"offset": 99}, "content"),
        ({"command_id": ""}, "command_id"),
    ],
)
def test_a_piece_that_no_agent_sends_is_refused(changes: dict[str, int | bytes | str], field: str) -> None:
    good = {"command_id": "cmd_1", "total_bytes": 100, "sha256": bytes(32), "content": b"xy"}
    with pytest.raises(Refusal, match=field):
        read_piece(diagnostics_pb2.UploadDiagnosticsRequest(**(good | changes)))  # type: ignore[arg-type]  # fields differ


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (CommandState.PENDING, "pending"),
        (CommandState.DELIVERED, "collecting"),
        (CommandState.EXPIRED, "expired"),
        (CommandState.TIMED_OUT, "failed"),
        (CommandState.CANCELLED, "failed"),
    ],
)
def test_without_a_bundle_the_command_says_how_it_stands(command: CommandState, expected: str) -> None:
    assert state_of(command, None, SOME_MONDAY).value == expected


def test_a_whole_bundle_is_ready_whatever_became_of_its_command() -> None:
    bundle = StoredBundle("o", "c", 1, b"", 1, 1, SOME_MONDAY, SOME_MONDAY + timedelta(days=1))
    assert state_of(CommandState.TIMED_OUT, bundle, SOME_MONDAY) is BundleState.READY
    assert state_of(CommandState.SUCCEEDED, bundle, SOME_MONDAY + timedelta(days=1)) is BundleState.EXPIRED
