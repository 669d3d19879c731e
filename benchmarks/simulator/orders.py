"""What a person asks devices to do."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from benchmarks.simulator.device import LightDevice
from benchmarks.simulator.fleet import until
from benchmarks.simulator.ground import Person
from wire.v1 import command_pb2
from wire.v1.command_pb2_grpc import CommandServiceStub

#: Waits for seven days, and for one.
SCAN, RESTART = "scan", "restart"
_ARGUMENTS: Final = {SCAN: {"what": "quick"}, RESTART: {}}
#: Most devices that one campaign may name.
CAMPAIGN_DEVICES: Final = 1_000
_PER_MINUTE: Final = 10_000
#: Requests at once.
_AT_ONCE: Final = 8
_ARRIVES_WITHIN_S: Final = 30.0


async def order(person: Person, device_id: str, key: str, *, kind: str = SCAN, reason: str = "simulated") -> str:
    """Ask for a command; its id. A repeat under the same key finds the same one."""
    request = command_pb2.RequestCommandRequest(
        device_id=device_id, kind=kind, arguments=_ARGUMENTS[kind], reason=reason, idempotency_key=key
    )
    record: command_pb2.CommandRecord = await person.call(CommandServiceStub, "RequestCommand", request)
    return record.command.command_id


async def campaign(person: Person, device_ids: list[str], key: str) -> str:
    """Ask many devices at once; the id of the campaign."""
    request = command_pb2.RequestCampaignRequest(
        device_ids=device_ids,
        kind=SCAN,
        arguments=_ARGUMENTS[SCAN],
        reason="simulated",
        idempotency_key=key,
        devices_per_minute=_PER_MINUTE,
    )
    made: command_pb2.Campaign = await person.call(CommandServiceStub, "RequestCampaign", request)
    return made.campaign_id


async def order_all(person: Person, wanted: Sequence[tuple[str, str, str]], reason: str = "simulated") -> None:
    """Ask for commands, a few at a time: device, key, kind."""
    left = iter(wanted)

    async def some() -> None:
        for device_id, key, kind in left:
            await order(person, device_id, key, kind=kind, reason=reason)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())


async def arrivals(person: Person, devices: Sequence[LightDevice], count: int, prefix: str) -> list[float]:
    """Ask so many devices, one after the other; the seconds until each command arrived, of those that did."""
    waited = []
    for number in range(count):
        device = devices[number % len(devices)]
        asked = time.monotonic()
        command_id = await order(person, device.identity.device_id, f"{prefix}-{number:05}")
        arrived = device.memory.came_at
        await until(partial(arrived.__contains__, command_id), _ARRIVES_WITHIN_S)
        if command_id in arrived:
            waited.append(arrived[command_id] - asked)
    return waited
