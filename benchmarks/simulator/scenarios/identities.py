"""Machines that were copied with their identity."""

import asyncio
import contextlib
from collections.abc import Sequence

import grpc

from benchmarks.parts.fleet_ground import SimulatedDevice
from benchmarks.simulator.device import LightDevice, NoAnswerError
from benchmarks.simulator.expectation import Expected, exactly
from benchmarks.simulator.ground import activation_request, signed_in
from benchmarks.simulator.recount import audited_once, notices_found
from benchmarks.simulator.scenario import Found, Scenario
from benchmarks.simulator.scenarios.contact import MISTAKES
from benchmarks.simulator.stage import Options, Stage, set_up
from tests.fakes.certificate_requests import DeviceKey
from wire.v1 import fleet_pb2
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub
from wire.v1.fleet_pb2_grpc import FleetServiceStub

#: One device in so many is copied; activations of one site are a burst of 100.
_COPIED_OF = 5
_MOST_COPIED = 80
_CLONED = "DEVICE_CLONED"
_BELIEVED_AGAIN = 2


def _copied(devices: int) -> int:
    return min(_MOST_COPIED, max(1, devices // _COPIED_OF))


def _told_apart(devices: int) -> Sequence[Expected]:
    copied = _copied(devices)
    return (
        exactly("machines held, originals and copies", 2 * copied),
        exactly("others held", 0),
        exactly("device.cloned recorded", copied),
        exactly("device.cloned subjects", copied),
        exactly("notices to the owner", copied),
        exactly("machines in contact afterwards", 2 * copied),
        exactly("identities of them", 2 * copied),
        exactly(MISTAKES, 0),
    )


async def clones(options: Options) -> Found:
    """Devices are copied with key and memory; both are held, the copy is re-keyed and the original released."""
    copied = _copied(options.devices)
    async with set_up(options, "clones", devices=options.devices, more_seats=copied) as stage:
        originals = stage.devices(stage.ground.devices)
        for _ in range(2):
            await _everybody(originals)
        copies = stage.devices(stage.ground.devices[:copied])
        for original, copy in zip(originals, copies, strict=False):
            copy.memory.nonce = original.memory.nonce
        # What both remember is shown twice, as after an answer that was lost; they part with what they are given then.
        for machines in (copies, originals[:copied], copies):
            await _everybody(machines)
        # A server may look at what it knew a few seconds ago, and believe once more.
        everybody = (*originals, *copies)
        for _ in range(_BELIEVED_AGAIN):
            await asyncio.gather(*map(_is_held, everybody))
        held = [await _is_held(device) for device in everybody]
        renewed = [await _re_keyed(stage, number) for number in range(copied)]
        async with signed_in([stage.server.tls], stage.ground.authorities) as person:
            for device in originals[:copied]:
                request = fleet_pb2.ReleaseHoldRequest(device_id=device.identity.device_id)
                await person.call(FleetServiceStub, "ReleaseHold", request)
        told_apart = [*originals[:copied], *stage.devices(renewed)]
        again = [not await _is_held(device) for device in told_apart]
        async with stage.database.reading() as connection:
            recorded = await audited_once(connection, stage.ground.org_id, "device.cloned")
            notices = await notices_found(connection, stage.ground.org_id)
        for device in (*originals, *copies, *told_apart):
            await device.hang_up()
        return {
            "machines held, originals and copies": sum(held[:copied]) + sum(held[len(originals) :]),
            "others held": sum(held[copied : len(originals)]),
            **recorded,
            "notices to the owner": notices,
            "machines in contact afterwards": sum(again),
            "identities of them": len({device.identity.device_id for device in told_apart}),
            MISTAKES: stage.tally.mistakes,
        }


async def _everybody(devices: Sequence[LightDevice]) -> None:
    await asyncio.gather(*(device.check_in() for device in devices))


async def _is_held(device: LightDevice) -> bool:
    with contextlib.suppress(grpc.aio.AioRpcError):
        try:
            await device.check_in()
        except NoAnswerError as missing:
            return missing.reason == _CLONED
    return False


async def _re_keyed(stage: Stage, number: int) -> SimulatedDevice:
    """As `buckler activate --new-key` on the copy."""
    key = DeviceKey()
    request = activation_request(stage.ground, key, f"copy-{number}")
    credentials = grpc.ssl_channel_credentials(stage.ground.authorities)
    async with grpc.aio.secure_channel(stage.server.tls, credentials) as channel:
        answer = await EnrollmentServiceStub(channel).Activate(request, timeout=60)
    return SimulatedDevice(answer.device_id, key.pem, answer.device_certificate_pem)


SCENARIOS = (Scenario("clones", "machines are copied with their identity", _told_apart, clones),)
