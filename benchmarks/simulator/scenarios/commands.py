"""What devices are asked to do: while they sleep, and while some of them do not listen."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import grpc
import psutil

from agent.control.refusals import error_detail
from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.device import LightDevice, Pace
from benchmarks.simulator.expectation import Expected, at_most, exactly
from benchmarks.simulator.faults import USUAL
from benchmarks.simulator.fleet import alive, connected, until
from benchmarks.simulator.ground import Person, signed_in
from benchmarks.simulator.orders import RESTART, SCAN, arrivals, order_all
from benchmarks.simulator.recount import commands_found, open_commands
from benchmarks.simulator.scenario import Found, Scenario
from benchmarks.simulator.scenarios.contact import MISTAKES
from benchmarks.simulator.scenarios.detections import all_settled
from benchmarks.simulator.stage import Options, Stage, set_up
from benchmarks.simulator.tally import percentile
from controlplane.runtime.clock import SystemClock
from controlplane.storage.types import to_microseconds
from wire.v1 import device_pb2, sandbox_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.sandbox_pb2_grpc import SandboxServiceStub

_SETTLES_WITHIN_S = 300.0


def ran_once(commands: int) -> Sequence[Expected]:
    """Each ends once, and what ran did so exactly once."""
    return (
        exactly("commands", commands),
        exactly("commands without a final state", 0),
        exactly("commands that were run and not exactly once", 0),
        exactly("commands that were run and say otherwise", 0),
        exactly("commands whose end was not recorded exactly once", 0),
        exactly(MISTAKES, 0),
    )


def ran_on(devices: Sequence[LightDevice]) -> Counter[str]:
    """How often each command was run, wherever."""
    ran: Counter[str] = Counter()
    for device in devices:
        ran.update(device.memory.ran)
    return ran


# ---------------------------------------------------------------- commands to sleeping devices

_COMMANDS = 1_000
#: A restart waits for a day, a scan for a week.
_SLEPT = timedelta(hours=25)


def _woken(_devices: int) -> Sequence[Expected]:
    return (
        *ran_once(_COMMANDS),
        exactly("commands expired", _COMMANDS / 2),
        exactly("scans that were run", _COMMANDS / 2),
        at_most("s from waking to the last end", 120),
    )


async def sleeping(options: Options) -> Found:
    """A thousand commands for devices that are off for 25 hours: scans wait for them, restarts do not."""
    async with set_up(options, "sleeping", devices=options.devices, sandbox=True) as stage:
        ids = [device.device_id for device in stage.ground.devices]
        wanted = [
            (ids[number // 2 % len(ids)], f"sleeping-{number:05}", (SCAN, RESTART)[number % 2])
            for number in range(_COMMANDS)
        ]
        async with signed_in([stage.server.tls], stage.ground.authorities) as person:
            await order_all(person, wanted)
            await _pass_time(person)
        devices = stage.devices(stage.ground.devices, pace=Pace(check_in_s=10), faults=USUAL)
        async with alive(devices):
            took_s = await _until_over(stage, devices)
        ran = ran_on(devices)
        async with stage.database.reading() as connection:
            found = await commands_found(connection, stage.ground.org_id, ran)
        return {
            **found,
            MISTAKES: stage.tally.mistakes,
            "scans that were run": len(ran),
            "s from waking to the last end": took_s,
            "offered, repeats included": sum(device.memory.offered for device in devices),
        }


async def _pass_time(person: Person) -> None:
    request = sandbox_pb2.AdvanceClockRequest(until_at_us=to_microseconds(SystemClock().now() + _SLEPT))
    while not (await person.call(SandboxServiceStub, "AdvanceClock", request)).reached:
        pass


async def _until_over(stage: Stage, devices: Sequence[LightDevice]) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() < began + _SETTLES_WITHIN_S:
        if all_settled(devices) and not await open_commands(stage.database, stage.ground.org_id):
            break
        await asyncio.sleep(0.5)
    return loop.time() - began


# ---------------------------------------------------------------- slow consumers

#: One device in so many does not read.
_SLOW_OF = 10
#: For each of them, as large as they may be: each is sent with all those before it, far more than a connection holds.
_COMMANDS_UNREAD, _REASON = 60, "x" * 500
_QUICK_ORDERS = 20
#: What was buffered for a device that reads again arrives within this, in seconds.
_DRAINS_WITHIN_S = 20.0
#: What gRPC keeps for a connection that does not read is bounded by its flow control.
_NARROW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65_536))
#: A frame may take a device 30 s (docs/connection.md).
_CUT_OFF_WITHIN_S = 35.0


def _bounded(devices: int) -> Sequence[Expected]:
    slow = max(1, devices // _SLOW_OF)
    return (
        exactly("slow devices that were cut off", slow),
        at_most("KiB of the server for each slow device", 1_024),
        at_most("p95 s of a command for the others", 5),
        exactly("devices that read and are connected", devices - slow),
        exactly(MISTAKES, 0),
    )


async def slow_consumers(options: Options) -> Found:
    """One device in ten stops reading while many commands are sent to it."""
    async with set_up(options, "slow_consumers", devices=options.devices) as stage:
        count = max(1, options.devices // _SLOW_OF)
        quick = stage.devices(stage.ground.devices[count:], pace=Pace(check_in_s=10))
        slow = [_Unread(identity, stage) for identity in stage.ground.devices[:count]]
        async with alive(quick), signed_in([stage.server.tls], stage.ground.authorities) as person:
            await until(lambda: connected(quick) == len(quick), 120)
            for device in slow:
                await device.open()
            before = _resident(stage)
            async with asyncio.TaskGroup() as group:
                flood = group.create_task(_flood(person, slow))
                waited = await arrivals(person, quick, _QUICK_ORDERS, "quick")
                await flood
            await asyncio.sleep(_CUT_OFF_WITHIN_S)
            kib = (_resident(stage) - before) / 1024 / count
            there = connected(quick)
        cut_off = sum([await device.was_cut_off() for device in slow])
        return {
            "slow devices that were cut off": cut_off,
            "KiB of the server for each slow device": kib,
            "p95 s of a command for the others": percentile(waited, 0.95),
            "devices that read and are connected": there,
            MISTAKES: stage.tally.mistakes,
        }


class _Unread:
    """A device that opens a stream, takes the welcome and reads no more."""

    def __init__(self, identity: SimulatedDevice, stage: Stage) -> None:
        self.device_id = identity.device_id
        credentials = grpc.ssl_channel_credentials(stage.ground.authorities, identity.private_key, identity.chain)
        self._channel = grpc.aio.secure_channel(stage.server.mtls, credentials, options=_NARROW)
        self._call: Any = DeviceServiceStub(self._channel).Connect()

    async def open(self) -> None:
        """Until it is welcome."""
        await self._call.read()

    async def was_cut_off(self) -> bool:
        """Read what is left; whether the end says that it was too slow."""
        try:
            async with asyncio.timeout(_DRAINS_WITHIN_S):
                while isinstance(await self._call.read(), device_pb2.ConnectResponse):
                    pass
        except grpc.aio.AioRpcError as error:
            detail = error_detail(error)
            return detail is not None and detail.reason == "STREAM_TOO_SLOW"
        except TimeoutError:
            pass
        finally:
            self._call.cancel()
            await self._channel.close()
        return False


async def _flood(person: Person, slow: Sequence[_Unread]) -> None:
    wanted = [(device.device_id, f"unread-{number:03}", SCAN) for number in range(_COMMANDS_UNREAD) for device in slow]
    await order_all(person, wanted, reason=_REASON)


def _resident(stage: Stage) -> int:
    return int(psutil.Process(stage.server.pid).memory_info().rss)


SCENARIOS = (
    Scenario("sleeping", "a thousand commands for devices that are off", _woken, sleeping),
    Scenario("slow-consumers", "one device in ten stops reading", _bounded, slow_consumers),
)
