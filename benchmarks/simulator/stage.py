"""Where a scenario is played: one server on a fresh installation, and what is needed to look at both."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.device import LightDevice, Pace, World
from benchmarks.simulator.faults import FAULTLESS, Faults
from benchmarks.simulator.fleet import light_devices
from benchmarks.simulator.ground import Ground, make_ground
from benchmarks.simulator.machinery import Postgres, Replica
from benchmarks.simulator.tally import Tally
from controlplane.storage.database import Database

#: Complaints of a server that are shown.
_TOLD = 3


@dataclass(frozen=True, slots=True)
class Options:
    """How large, and where.

    Attributes:
        devices: In each scenario.
        seed: Of every choice.
        scratch: A private folder.
        postgres: None: SQLite.
    """

    devices: int
    seed: int
    scratch: Path
    postgres: Postgres | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What a scenario is handed."""

    options: Options
    ground: Ground
    server: Replica
    database: Database
    tally: Tally

    def devices(
        self, identities: Sequence[SimulatedDevice], *, pace: Pace | None = None, faults: Faults = FAULTLESS
    ) -> list[LightDevice]:
        """Simulated devices that call this server."""
        world = World([self.server.mtls], self.ground.authorities, self.tally, faults, pace or Pace())
        return light_devices(identities, world, self.options.seed)


@asynccontextmanager
async def set_up(
    options: Options, name: str, *, devices: int, more_seats: int = 0, sandbox: bool = False
) -> AsyncIterator[Stage]:
    """A stage of a scenario's own, gone afterwards."""
    folder = options.scratch / name
    folder.mkdir()
    url = None
    if options.postgres is not None:
        options.postgres.new_database(name)
        url = options.postgres.url(name)
    ground = await make_ground(folder, url, devices=devices, more_seats=more_seats, sandbox=sandbox)
    server = Replica(ground.data_dir.path, folder / "log")
    database, tally = Database(ground.database_url), Tally()
    try:
        await server.answers()
        yield Stage(options, ground, server, database, tally)
    finally:
        if tally.mistakes:
            print("\n".join([*tally.lines(), *server.complaints()[:_TOLD]]))
        server.stop()
        await database.close()
