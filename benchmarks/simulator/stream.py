"""The stream of one simulated device: heartbeats, commands, reports."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

import grpc

from agent.control.link.stream import ended_by
from agent.control.link.stream_pace import Ended, Ending
from benchmarks.simulator.faults import SLOW_READ_S, Faults
from benchmarks.simulator.memory import Memory
from benchmarks.simulator.tally import Tally
from wire.v1 import command_pb2, device_pb2

_HEARTBEAT = device_pb2.ConnectRequest(heartbeat=device_pb2.StreamHeartbeat())
#: A side that hears nothing for three of these gives the stream up (device.proto), in seconds.
BEAT_EVERY_S = 30.0
_SILENT_S = 3 * BEAT_EVERY_S


class _CutError(Exception):
    """The line was cut, as the faults had it."""


class LightStream:
    """One stream.

    Args:
        call: It.
        memory: Of the device.
        faults: What goes wrong.
        chance: Decides when.
        check_in_soon: What a nudge asks for.
    """

    def __init__(
        self, call: Any, memory: Memory, faults: Faults, chance: random.Random, check_in_soon: Callable[[], None]
    ) -> None:
        self._call = call
        self._memory = memory
        self._faults = faults
        self._chance = chance
        self._check_in_soon = check_in_soon
        self._speaking = asyncio.Lock()
        self._batch = 0
        self._under_way: Sequence[command_pb2.CommandReport] = ()
        self.worked = False
        self.was_cut = False

    async def use(self, tally: Tally) -> Ended:
        """To its end."""
        try:
            await self._say(_HEARTBEAT)
            return await self._hear()
        except _CutError:
            self.was_cut = True
            return Ended(Ending.LOST)
        except grpc.aio.AioRpcError as error:
            tally.failed("Connect", error)
            return ended_by(error, worked=self.worked)
        except (TimeoutError, asyncio.InvalidStateError) as error:
            return ended_by(error, worked=self.worked)
        except asyncio.CancelledError:
            # gRPC also says this when the channel is closed, which a call beside this stream may do.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Ended(Ending.LOST)
        finally:
            self.worked = False
            self._call.cancel()

    async def beat(self) -> None:
        """Say that we are there; whoever listens hears if that did not work."""
        try:
            async with asyncio.timeout(BEAT_EVERY_S):
                await self._say(_HEARTBEAT)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError, TimeoutError):
            pass
        except asyncio.CancelledError:
            # Also what gRPC says of a call that its own side gave up meanwhile.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    async def _hear(self) -> Ended:
        while True:
            if self._chance.random() < self._faults.slow_reading:
                await asyncio.sleep(SLOW_READ_S)
            async with asyncio.timeout(_SILENT_S):
                frame = await self._call.read()
            if not isinstance(frame, device_pb2.ConnectResponse):
                return Ended(Ending.LOST)
            if self.worked and self._chance.random() < self._faults.cut:
                raise _CutError
            match frame.WhichOneof("frame"):
                case "heartbeat":
                    self.worked = True
                case "commands":
                    self._commands(frame.commands)
                case "nudge":
                    self._check_in_soon()
                case "goodbye":
                    return Ended(Ending.GOODBYE, float(frame.goodbye.reconnect_within_s))
            await self._report()

    def _commands(self, frame: device_pb2.StreamCommands) -> None:
        if frame.answers_batch == self._batch and self._under_way:
            self._memory.told(self._under_way, frame.accepted_report_ids)
            self._under_way = ()
        self._memory.take(frame.commands)

    async def _report(self) -> None:
        """Tell what became of commands, one batch after the answer to the other."""
        if self._under_way or not self._memory.untold:
            return
        self._under_way = self._memory.reports()
        self._batch += 1
        batch = device_pb2.StreamReports(batch=self._batch, command_reports=self._under_way)
        await self._say(device_pb2.ConnectRequest(reports=batch))

    async def _say(self, frame: device_pb2.ConnectRequest) -> None:
        async with self._speaking:
            await self._call.write(frame)
