"""The script of the chaos run: who works, who kills, and what is counted when it is over."""

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.simulator.device import Pace, World
from benchmarks.simulator.expectation import Expected, at_least, exactly
from benchmarks.simulator.faults import USUAL
from benchmarks.simulator.fleet import alive, incidents, light_devices, until
from benchmarks.simulator.ground import Ground, Person, make_ground, signed_in
from benchmarks.simulator.machinery import Postgres, Replica
from benchmarks.simulator.orders import CAMPAIGN_DEVICES, campaign, order
from benchmarks.simulator.recount import (
    audited_once,
    commands_found,
    counters_found,
    detections_found,
    jobs_found,
    notices_found,
    open_commands,
)
from benchmarks.simulator.scenarios.commands import ran_on, ran_once
from benchmarks.simulator.scenarios.contact import MISTAKES
from benchmarks.simulator.scenarios.detections import all_settled, found_once
from benchmarks.simulator.tally import Tally, percentile
from controlplane.config import DataDir
from controlplane.devices.tables import device_statuses
from controlplane.storage.database import Database
from tests.integration.nats_server import NatsServer

#: Of commands, those that are asked for in campaigns.
_IN_CAMPAIGNS = 0.5
#: How long database and bus are away, in seconds.
_AWAY_S = 3.0
#: Steps into which the work is divided.
_STEPS = 40
#: Detections that a device makes at once.
_AT_A_DEVICE = 25
_PEOPLE = 6
_SAY_EVERY_S = 60.0
_LEAST_KILLS = 2
_SETTINGS = '\n[bus]\nkind = "nats"\nurl = "{url}"\n'


@dataclass(frozen=True, slots=True)
class Turmoil:
    """How large and how bad.

    Attributes:
        devices: Simulated, each with a seat.
        commands: Asked for, half of them in campaigns.
        detections: Made by the devices.
        copies: Devices of which a copy is started half-way.
        seconds: Over which the work is spread.
        kill_every: Seconds of the servers' processor time between kills.
        restarts: Of the database, and of the bus.
        check_in: Seconds between the check-ins of a device.
        settle: Seconds that what is left may take.
        seed: Of every choice.
    """

    devices: int
    commands: int
    detections: int
    copies: int
    seconds: float
    kill_every: float
    restarts: int
    check_in: float
    settle: float
    seed: int


def expected(turmoil: Turmoil) -> Sequence[Expected]:
    """What must come out, whatever happened."""
    return (
        *ran_once(turmoil.commands),
        *(line for line in found_once(turmoil.detections) if line.name != MISTAKES),
        exactly("devices counted", turmoil.devices),
        exactly("counters of the fleet that differ from a recount", 0),
        exactly("devices held", turmoil.copies),
        exactly("device.cloned recorded", turmoil.copies),
        exactly("notices to the owner", turmoil.copies),
        exactly("mails about them", turmoil.copies),
        exactly("jobs given up", 0),
        exactly("jobs that are late", 0),
        exactly("calls that a server failed at", 0),
        at_least("kills of a replica", _LEAST_KILLS),
        exactly("restarts of the database", turmoil.restarts),
        exactly("restarts of the bus", turmoil.restarts),
    )


async def play(
    turmoil: Turmoil, scratch: Path, postgres: Postgres, nats: NatsServer, kept: Path | None
) -> Mapping[str, float]:
    """Play it to the end; what was found.

    Args:
        turmoil: How large.
        scratch: A private folder.
        postgres: Running, empty.
        nats: Running.
        kept: Where logs are left; None: nowhere.
    """
    postgres.new_database("chaos")
    began = time.monotonic()
    ground = await make_ground(scratch, postgres.url("chaos"), devices=turmoil.devices)
    with ground.data_dir.settings.open("a") as settings:
        settings.write(_SETTINGS.format(url=nats.url))
    print(f"{turmoil.devices} devices activated in {time.monotonic() - began:.0f} s", flush=True)
    replicas = [Replica(ground.data_dir.path, scratch / f"replica-{number}.log") for number in (1, 2)]
    try:
        await asyncio.gather(*(replica.answers() for replica in replicas))
        return await _Run(turmoil, ground, replicas, postgres, nats).play()
    finally:
        for replica in replicas:
            replica.stop()
            if kept is not None:
                shutil.copy(replica.log, kept)


class _Run:
    """One run."""

    def __init__(
        self, turmoil: Turmoil, ground: Ground, replicas: list[Replica], postgres: Postgres, nats: NatsServer
    ) -> None:
        self._turmoil = turmoil
        self._ground = ground
        self._replicas = replicas
        self._postgres = postgres
        self._nats = nats
        self._chance = random.Random(turmoil.seed)  # noqa: S311 -- a simulation
        self._tally = Tally()
        pace = Pace(check_in_s=turmoil.check_in, batch=_AT_A_DEVICE)
        addresses = [replica.mtls for replica in replicas]
        self._world = World(addresses, ground.authorities, self._tally, USUAL, pace)
        self._devices = light_devices(ground.devices, self._world, turmoil.seed)
        #: Without any copy: nobody asks those for anything.
        self._trusted = self._devices[turmoil.copies :]
        self._made: set[bytes] = set()
        self._restarted = {"database": 0, "bus": 0}
        self._repeats = 0

    async def play(self) -> Mapping[str, float]:
        """Work and trouble together, then peace until all is told, then the count."""
        began = time.monotonic()
        database = Database(self._ground.database_url)
        try:
            async with alive(self._devices), asyncio.TaskGroup() as copies:
                async with asyncio.TaskGroup() as trouble:
                    endless = [trouble.create_task(self._kill()), trouble.create_task(self._watch())]
                    async with asyncio.TaskGroup() as work:
                        work.create_task(self._restart())
                        work.create_task(self._detect())
                        work.create_task(self._order())
                        copying = work.create_task(self._copy(copies))
                    # Little work may be over before each replica was killed once.
                    await until(lambda: self._kills() >= _LEAST_KILLS, self._turmoil.settle)
                    for task in endless:
                        task.cancel()
                for replica in self._replicas:
                    await replica.answers()
                self._say("all work is handed out, and the servers are left alone")
                settled_s = await self._settle(database)
                for task in copying.result():
                    task.cancel()
            return await self._count(database, settled_s, time.monotonic() - began)
        finally:
            await database.close()

    def _say(self, what: str) -> None:
        told = sum(device.memory.is_settled for device in self._devices)
        ran = sum(len(device.memory.ran) for device in self._devices)
        known = f"{told} devices have nothing left to tell, {ran} commands ran, {self._kills()} kills"
        print(f"{time.strftime('%H:%M:%S')} {what}; {known}", flush=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_SAY_EVERY_S)
            self._say("on the way")

    # ------------------------------------------------------------ work

    async def _detect(self) -> None:
        """Detections here and there, spread over the time."""
        left, step_s = self._turmoil.detections, self._turmoil.seconds / _STEPS
        for step in range(_STEPS):
            for _ in range(left // (_STEPS - step) // _AT_A_DEVICE):
                self._find(_AT_A_DEVICE)
                left -= _AT_A_DEVICE
            await asyncio.sleep(step_s)
        self._find(left)

    def _find(self, count: int) -> None:
        device = self._chance.choice(self._trusted)
        found = incidents(device, count)
        device.find(found)
        self._made.update(incident.uuid for incident in found)

    async def _order(self) -> None:
        """Commands, by a few people at once; some for a thousand devices at once."""
        turmoil = self._turmoil
        ids = [device.identity.device_id for device in self._trusted]
        size = min(CAMPAIGN_DEVICES, len(ids))
        campaigns = int(turmoil.commands * _IN_CAMPAIGNS) // size
        numbers = iter(range(turmoil.commands - campaigns * size))
        pause_s = turmoil.seconds * _PEOPLE / max(1, turmoil.commands)
        addresses = [replica.tls for replica in self._replicas]
        async with signed_in(addresses, self._ground.authorities) as person:

            async def ask() -> None:
                for number in numbers:
                    await order(person, self._chance.choice(ids), f"chaos-{number:06}")
                    await asyncio.sleep(pause_s * self._chance.uniform(0, 1))

            async with asyncio.TaskGroup() as group:
                for number in range(campaigns):
                    some = self._chance.sample(ids, size)
                    group.create_task(self._ask_many(person, some, f"chaos-campaign-{number}"))
                for _ in range(_PEOPLE):
                    group.create_task(ask())
            self._repeats = person.repeats

    async def _ask_many(self, person: Person, ids: list[str], key: str) -> None:
        await asyncio.sleep(self._chance.uniform(0, self._turmoil.seconds / 2))
        await campaign(person, ids, key)

    async def _copy(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Half-way some devices are there twice, as what their disks were copied to."""
        await asyncio.sleep(self._turmoil.seconds / 2)
        identities = self._ground.devices[: self._turmoil.copies]
        copies = light_devices(identities, self._world, self._turmoil.seed + 1)
        for device, copy in zip(self._devices, copies, strict=False):
            copy.memory.nonce = device.memory.nonce
        return [group.create_task(copy.live()) for copy in copies]

    # ------------------------------------------------------------ trouble

    async def _kill(self) -> None:
        """One replica after the other, each once both answer: a supervisor has started the one before again.

        Processor time is counted, not the clock: on a busy machine servers would die before they did anything.
        """
        for replica in itertools.cycle(self._replicas):
            for each in self._replicas:
                await each.answers()
            enough = self._cpu_s() + self._turmoil.kill_every * self._chance.uniform(0.5, 1.5)
            while self._cpu_s() < enough:  # noqa: ASYNC110 -- of other processes
                await asyncio.sleep(0.2)
            replica.kill()

    def _kills(self) -> int:
        return sum(replica.killed for replica in self._replicas)

    def _cpu_s(self) -> float:
        return sum(replica.cpu_s for replica in self._replicas)

    async def _restart(self) -> None:
        """Database and bus in turns, each away for a moment."""
        times = self._turmoil.restarts
        for _ in range(times):
            for name, server in (("database", self._postgres), ("bus", self._nats)):
                await asyncio.sleep(self._turmoil.seconds / (2 * times + 1))
                await asyncio.to_thread(server.stop)
                await asyncio.sleep(_AWAY_S)
                await asyncio.to_thread(server.start)
                self._restarted[name] += 1
                self._say(f"the {name} was away for {_AWAY_S:.0f} s")

    # ------------------------------------------------------------ the end

    async def _settle(self, database: Database) -> float:
        """Until nothing is under way any more; the seconds it took."""
        began = time.monotonic()
        while time.monotonic() < began + self._turmoil.settle:
            if await self._is_over(database):
                break
            await asyncio.sleep(1)
        return time.monotonic() - began

    async def _is_over(self, database: Database) -> bool:
        if not all_settled(self._trusted) or await open_commands(database, self._ground.org_id):
            return False
        if not await self._held(database) == self._mails() == self._turmoil.copies:
            return False
        async with database.reading() as connection:
            return not any((await jobs_found(connection)).values())

    async def _held(self, database: Database) -> int:
        query = select(func.count()).where(
            device_statuses.c.org_id == self._ground.org_id, device_statuses.c.cloned_at.is_not(None)
        )
        async with database.reading() as connection:
            return (await connection.execute(query)).scalar_one()

    def _mails(self) -> int:
        return len(list(DataDir(self._ground.data_dir.path).mail.glob("*.eml")))

    async def _count(self, database: Database, settled_s: float, took_s: float) -> Mapping[str, float]:
        org_id, ran = self._ground.org_id, ran_on(self._devices)
        async with database.reading() as connection:
            found = {
                **await commands_found(connection, org_id, ran),
                **await detections_found(connection, org_id, self._made),
                **await counters_found(connection, org_id),
                **await jobs_found(connection),
                **await audited_once(connection, org_id, "device.cloned"),
                "notices to the owner": await notices_found(connection, org_id),
            }
        print("\n".join(self._tally.lines()))
        seconds = self._tally.seconds
        return {
            **found,
            "devices held": await self._held(database),
            "mails about them": self._mails(),
            MISTAKES: self._tally.mistakes,
            "calls that a server failed at": sum(len(replica.complaints()) for replica in self._replicas),
            "kills of a replica": self._kills(),
            "restarts of the database": self._restarted["database"],
            "restarts of the bus": self._restarted["bus"],
            "starts of a replica that ended by themselves": sum(replica.gave_up for replica in self._replicas),
            "calls that devices gave up after 20 s": self._tally.late,
            "commands offered, repeats included": sum(device.memory.offered for device in self._devices),
            "calls that people repeated": self._repeats,
            "p50 s of a check-in": percentile(seconds.get("CheckIn", []), 0.5),
            "p95 s of a check-in": percentile(seconds.get("CheckIn", []), 0.95),
            "p95 s of an upload": percentile(seconds.get("ReportEvents", []), 0.95),
            "s until all was told once servers were left alone": settled_s,
            "s altogether": took_s,
        }
