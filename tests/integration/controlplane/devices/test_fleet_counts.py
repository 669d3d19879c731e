"""Activations, check-ins, seats, deactivations, names and time, in any order and at once: counters equal a recount."""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from controlplane.detections.incidents import incident_id_of
from controlplane.detections.model import IncidentStatus
from controlplane.devices.check_ins.freshness import WRITE_EVERY
from controlplane.devices.fleet.overview import DeviceFilter
from controlplane.devices.model import (
    EVENTS_LOST_SHOWN_FOR,
    OFFLINE_AFTER,
    POLICY_APPLIED_WITHIN,
    SIGNATURES_OLD_AFTER,
    DeviceReport,
    HealthIssue,
    ProtectionState,
    ScanStanding,
)
from controlplane.runtime.paging import Page
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.refusal import Refusal
from controlplane.storage.database import Database
from tests.fakes.certificate_requests import DeviceKey
from tests.fakes.world import Customer, World, principal_of, wish_for
from tests.unit.controlplane.detections.test_incidents import found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

DEVICES = 8


class Scene:
    """One customer with two subscriptions' worth of devices, two servers."""

    def __init__(self, worlds: list[World], customer: Customer, random: Random) -> None:
        self.worlds = worlds
        self.customer = customer
        self.random = random
        self.keys = [DeviceKey() for _ in range(DEVICES)]
        self.known: dict[str, DevicePrincipal] = {}

    def world(self) -> World:
        return self.random.choice(self.worlds)

    def device(self) -> DevicePrincipal:
        return self.known[self.random.choice(sorted(self.known))]

    async def activate(self) -> None:
        name = self.random.choice("abc")
        activated = await self.world().activate(self.customer, self.random.choice(self.keys), name=name)
        self.known[activated.device.device_id] = principal_of(activated)

    async def check_in(self) -> None:
        world, random = self.world(), self.random
        report = DeviceReport(
            real_time_enabled=random.random() < 0.8,
            proven_at=world.clock.now(),
            health_issues=random.choice([(), (), (HealthIssue("root_unreadable", "one cannot be read"),)]),
            signatures_made_at=world.clock.now() - random.choice([timedelta(0), timedelta(days=6, hours=23)]),
            events_lost=random.choice([0, 0, 1]),
            platform=None,
            raw=random.choice([b"", b"\x01"]),
            scans=random.choice([None, ScanStanding(world.clock.now(), 7)]),
            policy_behind=random.random() < 0.3,
        )
        await world.check_ins.take(self.device(), report, random.choice([1, 1, 2]))

    async def same_again(self) -> None:
        """Most check-ins."""
        device, world = self.device(), self.world()
        view = await world.fleet.get(device.org_id, device.device_id)
        if view.status is not None:
            await world.check_ins.take(device, view.status.report, 1)

    async def find(self) -> None:
        """Something is found and left, or found in the same place and taken."""
        number = self.random.randrange(1 << 32)
        incident = replace(
            found(number, self.random.choice(["Eicar", "Other"])),
            path=self.random.choice([b"/a", b"/b"]),
            action=self.random.choice(["reported", "quarantine_failed", "blocked", "quarantined"]),
        )
        await self.world().detections.report(self.device(), [incident], {})

    async def judge(self) -> None:
        incident_id = incident_id_of(self.customer.org_id, self.random.choice(["Eicar", "Other"]))
        status = self.random.choice(list(IncidentStatus))
        await self.world().incidents.set_status(self.customer.person, incident_id, status, "")

    async def release(self) -> None:
        await self.world().release(self.customer, self.device().device_id)

    async def transfer(self) -> None:
        wish = wish_for(self.device().device_id)
        await self.world().seat_desk.transfer(self.customer.person, wish, self.device().device_id)

    async def deactivate(self) -> None:
        await self.world().devices.deactivate(self.device(), "")

    async def revoke(self) -> None:
        """And another device comes in its place."""
        device = self.device()
        if len(self.known) > 2:
            await self.world().devices.revoke(self.customer.person, device.device_id, "stolen")
            del self.known[device.device_id]
            ended = [key.public_key_sha256 for key in self.keys].index(device.public_key_sha256)
            self.keys[ended] = DeviceKey()

    async def rename(self) -> None:
        wish = wish_for("")
        await self.world().devices.rename(
            self.customer.person, self.device().device_id, self.random.choice("xyz"), wish.idempotency_key
        )

    async def sweep(self) -> None:
        await self.worlds[1].freshness.write()
        await self.world().fleet_counters.settle()
        await self.world().fleet_counters.add_up()
        await self.world().expiry.sweep()

    async def wait_less(self) -> None:
        await self.world().expiry.set_days(self.customer.person, self.random.choice([0, 7, 180]))

    async def turn(self) -> None:
        often: Sequence[Callable[[], Awaitable[None]]] = [self.check_in, self.same_again] * 4
        seldom: Sequence[Callable[[], Awaitable[None]]] = [
            self.activate,
            self.activate,
            self.release,
            self.transfer,
            self.transfer,
            self.deactivate,
            self.revoke,
            self.rename,
            self.sweep,
            self.find,
            self.find,
            self.judge,
            self.wait_less,
        ]
        with suppress(Refusal):
            await self.random.choice([*often, *seldom])()

    def time_passes(self) -> None:
        steps = [
            timedelta(minutes=1),
            timedelta(minutes=10),
            OFFLINE_AFTER,
            EVENTS_LOST_SHOWN_FOR,
            SIGNATURES_OLD_AFTER,
            POLICY_APPLIED_WITHIN,
        ]
        step = self.random.choice(steps) + self.random.choice([timedelta(0), timedelta(microseconds=1)])
        for world in self.worlds:
            world.clock.advance(step)


async def _agrees(scene: Scene) -> Counter[ProtectionState]:
    """The summary equals what is said of each device, and filters find exactly those that are in a state."""
    fleet, org_id = scene.world().fleet, scene.customer.org_id
    summary = await fleet.summary(org_id)
    hidden = (await fleet.page(org_id, Page(size=100), DeviceFilter(frozenset({ProtectionState.EXPIRED})))).views
    shown = (await fleet.page(org_id, Page(size=100))).views
    views = tuple(sorted((*shown, *hidden), key=lambda view: view.sort_key))
    states = Counter(view.verdict.state for view in views)
    assert {state: number for state, number in summary.counts.items() if number} == states
    reasons = Counter(code for view in shown for code in {reason.code for reason in view.verdict.reasons})
    assert +Counter(summary.reasons) == reasons
    assert summary.unsettled == 0
    state = scene.random.choice(list(ProtectionState))
    found = await fleet.page(org_id, Page(size=100), DeviceFilter(frozenset({state})))
    assert [view.sort_key for view in found.views] == [view.sort_key for view in views if view.verdict.state is state]
    return states


async def _play(database: Database, tmp_path: Path, seed: int, rounds: int) -> Counter[ProtectionState]:
    servers = [Database(database.url) for _ in range(2)]
    worlds = []
    for number, server in enumerate(servers):
        folder = tmp_path / f"server-{number}"
        folder.mkdir(mode=0o700)
        # The second one keeps contacts for a while.
        worlds.append(World(server, folder, write_every=number * WRITE_EVERY))
    try:
        customer = await worlds[0].customer(seats=4)
        for month in range(24):
            await worlds[0].subscriptions.renew(
                org_id=customer.org_id, subscription_id=customer.subscription_id, idempotency_key=f"month-{month:03}"
            )
        scene = Scene(worlds, customer, Random(seed))
        await scene.activate()
        seen: Counter[ProtectionState] = Counter()
        for _ in range(rounds):
            await asyncio.gather(*(scene.turn() for _ in range(4)))
            if scene.random.random() < 0.4:
                scene.time_passes()
            seen += await _agrees(scene)
        return seen
    finally:
        for server in servers:
            await server.close()


async def test_an_upgrade_counts_the_devices_that_are_there(database: Database, tmp_path: Path) -> None:
    world = World(database, tmp_path)
    scene = Scene([world], await world.customer(seats=6), Random(3))
    for name in ("never seen", "healthy", "at risk", "without a seat", "gone"):
        activated = await world.activate(scene.customer, name=name)
        device = principal_of(activated)
        if name != "never seen":
            report = DeviceReport(name != "at risk", world.clock.now(), (), None, 0, None, b"")
            await world.check_ins.take(device, report, 1)
        if name == "without a seat":
            await world.release(scene.customer, device.device_id)
        if name == "gone":
            await world.devices.deactivate(device, "")
    before = await world.fleet.summary(scene.customer.org_id)
    migration = import_module("controlplane.storage.migrations.versions.0028_fleet_counts")
    async with database.transaction() as uow:
        for table in ("device_standings", "fleet_counts", "fleet_changes"):
            await uow.connection.execute(text(f"DELETE FROM {table}"))
        for statement in migration.DEVICES_IN_USE:
            await uow.connection.execute(text(statement))
    assert await world.fleet.summary(scene.customer.org_id) == before
    assert len(await _agrees(scene)) == 4


async def test_counters_equal_a_recount_whatever_happens(database: Database, tmp_path: Path) -> None:
    assert len(await _play(database, tmp_path, seed=1, rounds=25)) >= 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(100, 120))
async def test_a_campaign_of_changes_keeps_the_counters(database: Database, tmp_path: Path, seed: int) -> None:
    assert len(await _play(database, tmp_path, seed, rounds=80)) >= 4
