"""What devices found: a backlog that comes at once, uploads that come twice, a database that is away meanwhile."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks.simulator.device import LightDevice, Pace
from benchmarks.simulator.expectation import Expected, at_most, exactly
from benchmarks.simulator.faults import USUAL, Faults
from benchmarks.simulator.fleet import alive, connected, incidents, until, until_each_was_connected
from benchmarks.simulator.ground import signed_in
from benchmarks.simulator.orders import arrivals
from benchmarks.simulator.recount import detections_found
from benchmarks.simulator.scenario import Found, Scenario
from benchmarks.simulator.scenarios.contact import MISTAKES
from benchmarks.simulator.stage import Options, Stage, set_up
from benchmarks.simulator.tally import percentile

_SETTLES_WITHIN_S = 600.0


def found_once(detections: int) -> Sequence[Expected]:
    """Each is stored exactly once, and in exactly one incident."""
    return (
        exactly("detections", detections),
        exactly("detections lost", 0),
        exactly("detections that nobody made", 0),
        exactly("detections stored more than once", 0),
        exactly("detections in no incident", 0),
        exactly("incidents that count otherwise", 0),
        exactly(MISTAKES, 0),
    )


def give_detections(devices: Sequence[LightDevice], each: int) -> set[bytes]:
    """Every device finds so many; their uuids."""
    made: set[bytes] = set()
    for device in devices:
        found = incidents(device, each)
        device.find(found)
        made.update(incident.uuid for incident in found)
    return made


def all_settled(devices: Sequence[LightDevice]) -> bool:
    """Whether everything that happened on devices has been accepted."""
    return all(device.memory.is_settled for device in devices)


async def _stored(stage: Stage, made: set[bytes]) -> dict[str, float]:
    async with stage.database.reading() as connection:
        found = await detections_found(connection, stage.ground.org_id, made)
    return {**found, MISTAKES: stage.tally.mistakes}


# ---------------------------------------------------------------- offline backlog replay

_BACKLOG = 100
_ORDERS = 20


def _replayed(devices: int) -> Sequence[Expected]:
    return (
        *found_once(devices * _BACKLOG),
        exactly("commands that arrived meanwhile", _ORDERS),
        # A bulk upload must not stand before a command: it comes by another way, and that way stays short.
        at_most("p95 s of a command meanwhile", 5),
        at_most("p95 s of a check-in meanwhile", 5),
    )


async def backlog(options: Options) -> Found:
    """Everybody was offline and comes back with detections; meanwhile commands are asked for."""
    async with set_up(options, "backlog", devices=options.devices) as stage:
        devices = stage.devices(stage.ground.devices, pace=Pace(check_in_s=10))
        async with alive(devices):
            await until(lambda: connected(devices) == len(devices), 120)
            stage.tally.seconds.clear()
            began = time.monotonic()
            made = give_detections(devices, _BACKLOG)
            async with signed_in([stage.server.tls], stage.ground.authorities) as person:
                waited = await arrivals(person, devices, _ORDERS, "backlog")
            await until(lambda: all_settled(devices), _SETTLES_WITHIN_S)
            took_s = time.monotonic() - began
        return {
            **await _stored(stage, made),
            "commands that arrived meanwhile": len(waited),
            "p95 s of a command meanwhile": percentile(waited, 0.95),
            "p95 s of a check-in meanwhile": percentile(stage.tally.seconds.get("CheckIn", []), 0.95),
            "detections each second": len(made) / took_s,
        }


# ---------------------------------------------------------------- duplicate uploads

_UPLOADED = 40
_HASTY = Faults(cut=0.1, answer_lost=0.2, twice=0.5)


def _deduplicated(devices: int) -> Sequence[Expected]:
    return found_once(devices * _UPLOADED)


async def duplicates(options: Options) -> Found:
    """Half of all uploads are sent twice at once, and three in ten lose their answer or their connection."""
    async with set_up(options, "duplicates", devices=options.devices) as stage:
        pace = Pace(check_in_s=10, longest_retry_s=5, batch=10, stream=None)
        devices = stage.devices(stage.ground.devices, pace=pace, faults=_HASTY)
        made = give_detections(devices, _UPLOADED)
        async with alive(devices):
            await until(lambda: all_settled(devices), _SETTLES_WITHIN_S)
        return await _stored(stage, made)


# ---------------------------------------------------------------- database away

_AWAY_S = 30.0
_FOUND_MEANWHILE = 20


def _survived(devices: int) -> Sequence[Expected]:
    return (
        *found_once(2 * devices * _FOUND_MEANWHILE),
        exactly("devices connected again", devices),
        at_most("s until everything was told, after the database was back", 60),
    )


async def database_away(options: Options) -> Found:
    """PostgreSQL is stopped for half a minute while devices report; the server stays."""
    if options.postgres is None:
        raise ValueError("only PostgreSQL can be stopped")
    async with set_up(options, "database_away", devices=options.devices) as stage:
        devices = stage.devices(stage.ground.devices, pace=Pace(check_in_s=10), faults=USUAL)
        async with alive(devices):
            await until_each_was_connected(devices, 120)
            made = give_detections(devices, _FOUND_MEANWHILE)
            await asyncio.to_thread(options.postgres.stop)
            made |= give_detections(devices, _FOUND_MEANWHILE)
            await asyncio.sleep(_AWAY_S)
            told_meanwhile = all_settled(devices)
            await asyncio.to_thread(options.postgres.start)
            took_s = await until(lambda: all_settled(devices), _SETTLES_WITHIN_S)
            there = await until_each_was_connected(devices, 90)
        return {
            **await _stored(stage, made),
            "devices connected again": there,
            "s until everything was told, after the database was back": took_s,
            "told that the database is away": stage.tally.refused("DATABASE_UNAVAILABLE"),
            "told everything while it was away": told_meanwhile,
        }


SCENARIOS = (
    Scenario("backlog", "everybody comes back with detections at once", _replayed, backlog),
    Scenario("duplicates", "uploads come twice, answers are lost", _deduplicated, duplicates),
    Scenario("database-away", "PostgreSQL is stopped for 30 s", _survived, database_away, needs_postgres=True),
)
