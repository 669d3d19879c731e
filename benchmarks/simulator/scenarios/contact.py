"""Coming, being there, and coming back: enrolment, heartbeats, a server that restarts."""

import asyncio
import itertools
import random
import time
from collections.abc import Sequence

import grpc
from sqlalchemy import func, select

from benchmarks.simulator.device import Pace
from benchmarks.simulator.expectation import Expected, at_least, at_most, exactly
from benchmarks.simulator.fleet import alive, connected, until
from benchmarks.simulator.ground import activation_request
from benchmarks.simulator.relay import relay
from benchmarks.simulator.scenario import Found, Scenario
from benchmarks.simulator.stage import Options, Stage, set_up
from benchmarks.simulator.tally import percentile
from controlplane.licensing.tables import seats
from tests.fakes.certificate_requests import DeviceKey
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

MISTAKES = "errors that are neither an absence nor a refusal"

# ---------------------------------------------------------------- enrol storm

#: A site may activate a burst of 100 devices; the storm has a few more for each.
_DEVICES_OF_A_SITE = 120
#: Of answers, those that never arrive: the device asks again.
_LOST = 0.1
_STORM_WITHIN_S = 600.0


def _enrolled(devices: int) -> Sequence[Expected]:
    return (
        exactly("devices that were activated", devices),
        exactly("different identities", devices),
        exactly("seats taken", devices),
        exactly(MISTAKES, 0),
        at_most("seconds", _STORM_WITHIN_S),
    )


async def enrol_storm(options: Options) -> Found:
    """Everybody is activated at once, from a few sites; some answers are lost, and who comes too often waits."""
    async with set_up(options, "enrol_storm", devices=0, more_seats=options.devices) as stage:
        sites = max(1, options.devices // _DEVICES_OF_A_SITE)
        chance = random.Random(options.seed)  # noqa: S311 -- a simulation
        began = time.monotonic()
        async with relay(stage.server.tls, sites) as address, asyncio.TaskGroup() as group:
            tasks = [group.create_task(_enrol(stage, address, number, chance)) for number in range(options.devices)]
        ids = [task.result() for task in tasks]
        async with stage.database.reading() as connection:
            taken = (await connection.execute(select(func.count(seats.c.device_id)))).scalar_one()
        return {
            "devices that were activated": sum(map(bool, ids)),
            "different identities": len(set(ids)),
            "seats taken": taken,
            MISTAKES: stage.tally.mistakes,
            "seconds": time.monotonic() - began,
            "asked to wait": stage.tally.refused("RATE_LIMITED"),
        }


async def _enrol(stage: Stage, address: str, number: int, chance: random.Random) -> str:
    request = activation_request(stage.ground, DeviceKey(), f"pc-{number}")
    credentials = grpc.ssl_channel_credentials(stage.ground.authorities)
    options = (("grpc.use_local_subchannel_pool", 1),)
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        for attempt in itertools.count(1):
            try:
                answer = await EnrollmentServiceStub(channel).Activate(request, timeout=60)
            except grpc.aio.AioRpcError as error:
                _, retry_after_s = stage.tally.failed("Activate", error)
                await asyncio.sleep(retry_after_s + chance.uniform(0, min(30.0, 2.0**attempt)))
                continue
            if chance.random() >= _LOST:
                return str(answer.device_id)
    return ""


# ---------------------------------------------------------------- steady heartbeats

_STEADY_S = 20.0
_STEADY_PACE_S = 10.0


def _steady(devices: int) -> Sequence[Expected]:
    return (
        exactly("devices connected at the end", devices),
        at_least("check-ins, of those that were due", 0.9),
        at_most("p95 ms of a check-in", 500),
        exactly(MISTAKES, 0),
    )


async def heartbeats(options: Options) -> Found:
    """Everybody is there: a stream each, and check-ins at six times the usual pace."""
    async with set_up(options, "heartbeats", devices=options.devices) as stage:
        devices = stage.devices(stage.ground.devices, pace=Pace(check_in_s=_STEADY_PACE_S))
        async with alive(devices):
            await until(lambda: connected(devices) == len(devices), 90)
            before = sum(device.contacts for device in devices)
            stage.tally.seconds.clear()
            await asyncio.sleep(_STEADY_S)
            made = sum(device.contacts for device in devices) - before
            there = connected(devices)
        return {
            "devices connected at the end": there,
            "check-ins, of those that were due": made / (len(devices) * _STEADY_S / _STEADY_PACE_S),
            "p95 ms of a check-in": 1_000 * percentile(stage.tally.seconds.get("CheckIn", []), 0.95),
            "check-ins each second": made / _STEADY_S,
            MISTAKES: stage.tally.mistakes,
        }


# ---------------------------------------------------------------- mass reconnect

_BACK_WITHIN_S = 90.0


def _back(devices: int) -> Sequence[Expected]:
    return (
        exactly("devices that are back", devices),
        at_most("seconds until all are back", _BACK_WITHIN_S),
        exactly(MISTAKES, 0),
    )


async def reconnect(options: Options) -> Found:
    """The server is killed while everybody is connected, and started again."""
    async with set_up(options, "reconnect", devices=options.devices) as stage:
        devices = stage.devices(stage.ground.devices)
        async with alive(devices):
            await until(lambda: connected(devices) == len(devices), 120)
            stage.server.kill()
            await until(lambda: connected(devices) == 0, 30)
            began = time.monotonic()
            await stage.server.answers()
            await until(lambda: connected(devices) == len(devices), 2 * _BACK_WITHIN_S)
            took_s, there = time.monotonic() - began, connected(devices)
        return {
            "devices that are back": there,
            "seconds until all are back": took_s,
            MISTAKES: stage.tally.mistakes,
            "not admitted at once": stage.tally.refused("STREAMS_RUSHED"),
        }


SCENARIOS = (
    Scenario("enrol-storm", "everybody is activated at once", _enrolled, enrol_storm),
    Scenario("heartbeats", "everybody is connected and checks in", _steady, heartbeats),
    Scenario("reconnect", "everybody comes back after the server was killed", _back, reconnect),
)
