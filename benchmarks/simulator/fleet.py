"""Many simulated devices at once, in one process."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.device import LightDevice, World
from benchmarks.simulator.stream import BEAT_EVERY_S
from wire.v1 import device_pb2

#: Heartbeats that are sent at once.
_BEATS_AT_ONCE = 50
_LOOK_EVERY_S = 0.05
_THREATS = tuple(f"Simulated.Threat.{number}" for number in range(20))


def light_devices(identities: Sequence[SimulatedDevice], world: World, seed: int) -> list[LightDevice]:
    """Devices, each with choices of its own."""
    return [LightDevice(identity, world, f"{seed}:{number}") for number, identity in enumerate(identities)]


@asynccontextmanager
async def alive(devices: Sequence[LightDevice]) -> AsyncIterator[None]:
    """All of them live until the block ends."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(device.live()) for device in devices]
        tasks.append(group.create_task(_beat(devices)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def _beat(devices: Sequence[LightDevice]) -> None:
    """Heartbeats of those that have a stream; one task for all of them."""
    while True:
        began = time.monotonic()
        for some in _parts(devices):
            beating = [device.stream.beat() for device in some if device.stream is not None and device.is_connected]
            await asyncio.gather(*beating)
            await asyncio.sleep(BEAT_EVERY_S / 2 * _BEATS_AT_ONCE / len(devices))
        await asyncio.sleep(max(0.0, began + BEAT_EVERY_S - time.monotonic()))


def _parts(devices: Sequence[LightDevice]) -> Iterator[Sequence[LightDevice]]:
    for begin in range(0, len(devices), _BEATS_AT_ONCE):
        yield devices[begin : begin + _BEATS_AT_ONCE]


def connected(devices: Sequence[LightDevice]) -> int:
    """How many have a stream."""
    return sum(device.is_connected for device in devices)


async def until_each_was_connected(devices: Sequence[LightDevice], within_s: float) -> int:
    """Wait until every device has had a stream since now; how many had. With faults not all have one at one moment."""
    seen: set[str] = set()

    def all_seen() -> bool:
        seen.update(device.identity.device_id for device in devices if device.is_connected)
        return len(seen) == len(devices)

    await until(all_seen, within_s)
    return len(seen)


async def until(reached: Callable[[], bool], within_s: float) -> float:
    """Wait for something; the seconds it took, or `within_s` if it did not come about in time."""
    began = time.monotonic()
    while not reached() and time.monotonic() < began + within_s:  # noqa: ASYNC110 -- values of other tasks
        await asyncio.sleep(_LOOK_EVERY_S)
    return min(within_s, time.monotonic() - began)


def incidents(device: LightDevice, count: int) -> list[device_pb2.Incident]:
    """So many detections of one device; the same seed makes the same ones."""
    now = time.time_ns() // 1_000
    return [
        device_pb2.Incident(
            uuid=device.chance.randbytes(16),
            detected_at_us=now + number,
            path=f"/home/someone/file-{number}".encode(),
            sha256=device.chance.randbytes(32).hex(),
            size_bytes=1_000,
            findings=[
                device_pb2.Finding(
                    rule="simulated",
                    namespace="simulator",
                    severity="high",
                    threat_name=device.chance.choice(_THREATS),
                )
            ],
            action=device_pb2.INCIDENT_ACTION_QUARANTINED,
            origin="real_time",
            engine="yara",
            signatures_version="builtin-1",
        )
        for number in range(count)
    ]
