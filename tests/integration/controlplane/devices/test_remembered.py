"""Answers from memory equal answers from the rows, whatever happened before and at which server."""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from controlplane.commands.rpc import CommandExchangeRpc
from controlplane.devices.check_ins.desk import CheckInDesk, Pace
from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.policies.model import Assignment, Stage
from controlplane.policies.rpc import PolicyExchangeRpc
from controlplane.policies.service import Change, PolicyService
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, principal_of
from tests.unit.controlplane.commands.test_service import wish
from tests.unit.controlplane.policies.test_service import EVERYONE, SERVERS
from wire.policy_document import read_toml
from wire.v1 import device_pb2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

DEVICES = 2
SCAN_OF = {"baseline": "quick", "servers": "full"}
SLOWLY = (Stage(50, timedelta(minutes=30)), Stage(100))


class Server:
    """A server with its own memory, and another view of the same database that remembers nothing."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.policies = PolicyService(
            database=world.database, registry=world.registry, audit=world.audit, clock=world.clock
        )
        self.calls = PolicyExchangeRpc(CommandExchangeRpc(world.commands), self.policies.delivery)
        self.desk = self._desk(world)
        other = World(world.database, _folder(world.folder, "forgetful"), write_every=WRITE_EVERY)
        other.clock = world.clock
        self.forgetful = self._desk(world, other)
        self.took = 0

    def _desk(self, world: World, forgetful: World | None = None) -> CheckInDesk:
        remembered = world.remembered if forgetful is None else forgetful.remembered
        return CheckInDesk(remembered=remembered, check_ins=world.check_ins, commands=self.calls, pace=Pace(60))


@dataclass
class Machine:
    """A device, as far as it knows itself."""

    key: DeviceKey
    principal: DevicePrincipal
    request: device_pb2.CheckInRequest = field(default_factory=device_pb2.CheckInRequest)


class Scene:
    """Two servers on one database, between which only the database carries news; and a few devices."""

    def __init__(self, servers: "Sequence[Server]", customer: Customer, random: Random) -> None:
        self.servers, self.customer, self.random = servers, customer, random
        self.machines: list[Machine] = []
        self.wishes = 0
        self.from_memory = 0

    @property
    def world(self) -> World:
        return self.random.choice(self.servers).world

    def machine(self) -> Machine:
        return self.random.choice(self.machines)

    def key(self) -> str:
        self.wishes += 1
        return f"wish-{self.wishes:04}"

    # ------------------------------------------------------------ what happens

    async def activate(self) -> None:
        key = DeviceKey()
        machine = Machine(key, principal_of(await self.servers[0].world.activate(self.customer, key)))
        machine.request.entitlement_serial = 1
        machine.request.contact_nonce = b""
        self.machines.append(machine)

    async def again(self) -> None:
        machine = self.machine()
        await self.world.activate(self.customer, machine.key)

    async def release(self) -> None:
        with suppress(Refusal):
            await self.world.release(self.customer, self.machine().principal.device_id)

    async def deactivate(self) -> None:
        with suppress(Refusal):
            await self.world.devices.deactivate(self.machine().principal, "")

    async def command(self) -> None:
        device_id = self.machine().principal.device_id
        with suppress(Refusal):
            await self.world.commands.request(self.customer.person, device_id, wish(self.key()))

    async def policy(self, stages: tuple[Stage, ...] = (Stage(100),)) -> None:
        await self.publish("baseline", EVERYONE, stages)

    async def publish(self, name: str, assignment: Assignment, stages: tuple[Stage, ...] = (Stage(100),)) -> None:
        document = read_toml(f'[schedule]\n{SCAN_OF[name]} = "daily 12:{self.wishes % 60:02}"')
        change = Change(name=name, document=document, assignment=assignment, stages=stages)
        await self.random.choice(self.servers).policies.change(self.customer.person, change, self.key())

    async def label(self) -> None:
        both = [frozenset({"server"}), frozenset[str]()]
        self.random.shuffle(both)
        device_id = self.machine().principal.device_id
        await self.random.choice(self.servers).policies.set_labels(
            self.customer.person, device_id, add=both[0], remove=both[1], idempotency_key=self.key()
        )

    async def renew(self) -> None:
        await self.world.subscriptions.renew(
            org_id=self.customer.org_id, subscription_id=self.customer.subscription_id, idempotency_key=self.key()
        )

    async def revoke(self) -> None:
        await self.world.devices.revoke(self.customer.person, self.machines[0].principal.device_id, "stolen")

    async def says_something_else(self) -> None:
        status = self.machine().request.status
        status.real_time_protection_enabled = self.random.random() < 0.5
        status.queue_depth = self.random.randrange(2)
        status.events_lost = self.random.randrange(2)

    async def changes_its_mind(self) -> None:
        """Each time at another server, the second of which remembers what is not so any more."""
        machine = self.machine()
        for server in self.servers:
            status = machine.request.status
            status.real_time_protection_enabled = not status.real_time_protection_enabled
            await self.check_in(machine, server)
            for other in self.servers:
                await other.world.news.look()

    async def minutes_pass(self) -> None:
        self._pass(timedelta(minutes=31))

    async def hours_pass(self) -> None:
        self._pass(timedelta(hours=25))

    async def weeks_pass(self) -> None:
        self._pass(timedelta(days=16))

    def _pass(self, step: timedelta) -> None:
        for server in self.servers:
            server.world.clock.advance(step)

    async def rollout(self) -> None:
        """Half of the devices have it now, the others in half an hour."""
        await self.policy(SLOWLY)
        await self.settle()
        await self.minutes_pass()

    def events(self) -> "list[Callable[[], Awaitable[None]]]":
        """Each of them, in any order."""
        listed: list[Callable[[], Awaitable[None]]] = [
            self.again,
            self.release,
            self.deactivate,
            self.command,
            self.policy,
            self.rollout,
            self.label,
            self.label,
            self.renew,
            self.says_something_else,
            self.changes_its_mind,
            self.minutes_pass,
            self.hours_pass,
            self.weeks_pass,
        ]
        self.random.shuffle(listed)
        return listed

    async def settle(self) -> None:
        """Until every device is answered from memory, at both servers."""
        for server in self.servers:
            await server.world.news.look()
        for machine in self.machines:
            for server in self.servers:
                for _ in range(4):
                    before = self.from_memory
                    await self.check_in(machine, server)
                    if self.from_memory > before:
                        break

    # ------------------------------------------------------------ what is said of it

    async def check_in(self, machine: Machine, server: Server) -> None:
        """Ask the memory, then the rows: the same answer, or the same refusal."""
        request = machine.request
        answered = server.world.remembered.answered
        told = await _answer(server.desk, request, machine.principal)
        if server.world.remembered.answered > answered:
            self.from_memory += 1
            view = await server.world.fleet.get(machine.principal.org_id, machine.principal.device_id)
            assert view.status is not None
            assert view.status.report.real_time_enabled == request.status.real_time_protection_enabled
            assert _but_nonce(told) == _but_nonce(await _answer(server.forgetful, request, machine.principal))
        if isinstance(told, device_pb2.CheckInResponse):
            _take(request, told)
        else:
            with suppress(Refusal):
                await self.servers[0].world.activate(self.customer, machine.key)
        if isinstance(told, device_pb2.CheckInResponse) and told.entitlement_changed:
            with suppress(Refusal):
                statement = await server.world.licensing.refresh(machine.principal, request.entitlement_serial)
                request.entitlement_serial = statement.serial


async def _answer(
    desk: CheckInDesk, request: device_pb2.CheckInRequest, principal: DevicePrincipal
) -> device_pb2.CheckInResponse | str:
    try:
        return await desk.answer(request, principal)
    except Refusal as refusal:
        return refusal.reason


def _but_nonce(told: device_pb2.CheckInResponse | str) -> object:
    if isinstance(told, str):
        return told
    copy = device_pb2.CheckInResponse()
    copy.CopyFrom(told)
    copy.ClearField("next_contact_nonce")
    return copy


def _take(request: device_pb2.CheckInRequest, told: device_pb2.CheckInResponse) -> None:
    request.contact_nonce = told.next_contact_nonce
    del request.command_reports[:]
    for command in told.commands:
        request.command_reports.add(command_id=command.command_id, state=3)
    if told.HasField("policy"):
        request.policy_etag = told.policy.etag
        request.status.policy_version_desired = told.policy.version
        request.status.policy_version_applied = told.policy.version


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir(mode=0o700)
    return folder


async def test_memory_says_what_the_rows_say(database: Database, tmp_path: Path) -> None:
    databases = [Database(database.url) for _ in range(2)]
    try:
        worlds = [
            World(each, _folder(tmp_path, f"server-{number}"), write_every=WRITE_EVERY)
            for number, each in enumerate(databases)
        ]
        for world in worlds:
            # So that nothing but news and turns makes it forget.
            world.remembered._book._lasts = timedelta(days=1_000)
        worlds[1].check_ins._nonces = worlds[1].remembered._nonces = worlds[0].check_ins._nonces
        scene = Scene([Server(world) for world in worlds], await worlds[0].customer(seats=DEVICES), Random(4))
        for _ in range(DEVICES):
            await scene.activate()
        for world in worlds:
            await world.news.look()
        await scene.publish("servers", SERVERS)
        for event in scene.events():
            await scene.settle()
            await event()
            await scene.settle()
        assert scene.from_memory > 40
        await scene.revoke()
        await scene.settle()
    finally:
        for each in databases:
            await each.close()
