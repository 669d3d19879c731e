"""One device's stream, from its welcome to its goodbye.

Two tasks share a stream: one listens to the device, one waits for what happens here. Either may speak, one at a time.
Commands come from the same use case as those of a check-in, so a device may hear of one on both ways; it does it once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from controlplane.devices.connections import (
    RECONNECT_WITHIN_S,
    SILENT_HEARTBEATS,
    Connection,
    Connections,
    Lifetime,
    StreamEnd,
    StreamSettings,
)
from controlplane.devices.errors import stream_too_slow, stream_too_talkative
from controlplane.devices.ports import CommandCalls
from controlplane.runtime.clock import Clock
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.rate_limit import Bucket, take
from wire.v1 import device_pb2

Send = Callable[[device_pb2.ConnectResponse], Awaitable[None]]
Check = Callable[[DevicePrincipal], Awaitable[None]]
Seen = Callable[[DevicePrincipal], Awaitable[bool]]
_END_ON_THE_WIRE: Final = {end: device_pb2.StreamEnd.Value(f"STREAM_END_{end.name}") for end in StreamEnd}


class DeviceStreams:
    """Serves the streams of this process.

    Args:
        check: Refuses a device that may not be in contact.
        seen: Notes that a device is there; False: it has to check in.
        commands: Gives commands out and takes reports, as at a check-in.
        connections: Who is connected.
        settings: Times and limits.
        wall: For what a device may send.
    """

    def __init__(
        self,
        *,
        check: Check,
        seen: Seen,
        commands: CommandCalls,
        connections: Connections,
        settings: StreamSettings,
        wall: Clock,
    ) -> None:
        self.check = check
        self.seen = seen
        self.commands = commands
        self.connections = connections
        self.settings = settings
        self.wall = wall

    async def serve(
        self, principal: DevicePrincipal, untrusted_frames: AsyncIterator[device_pb2.ConnectRequest], send: Send
    ) -> None:
        """Serve one stream to its end.

        Raises:
            Refusal: `STREAMS_FULL`, `STREAMS_RUSHED`, `SERVER_STOPPING`, `STREAM_TOO_TALKATIVE`, `STREAM_TOO_SLOW`,
                what the registry says about the device, or what is wrong with a report.
        """
        connection = self.connections.open(principal)
        try:
            await self.check(principal)
            life_s = self.settings.life_s + self.settings.life_jitter_s * self.connections.share()
            session = _Session(self, principal, connection, send)
            await session.run(untrusted_frames, life_s)
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from failures
        finally:
            self.connections.close(connection)


class _Session:
    """The state of one stream."""

    __slots__ = (
        "_connection",
        "_heard_at",
        "_left",
        "_noted_at",
        "_now",
        "_principal",
        "_send",
        "_speaking",
        "_streams",
    )

    def __init__(
        self,
        streams: DeviceStreams,
        principal: DevicePrincipal,
        connection: Connection,
        send: Send,
    ) -> None:
        self._streams = streams
        self._principal = principal
        self._connection = connection
        self._send = send
        self._speaking = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._heard_at = self._now()
        self._noted_at = self._heard_at
        self._left = False

    async def run(self, untrusted_frames: AsyncIterator[device_pb2.ConnectRequest], life_s: float) -> None:
        """Until one side ends it."""
        lifetime = Lifetime(self._now() + life_s, self._streams.settings.heartbeat_s * SILENT_HEARTBEATS)
        interval = max(1, round(self._streams.settings.heartbeat_s))
        await self._say(device_pb2.ConnectResponse(welcome=device_pb2.StreamWelcome(heartbeat_interval_s=interval)))
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(untrusted_frames))
            await self._exchange()
            await self._watch(lifetime)
            listening.cancel()

    async def _listen(self, untrusted_frames: AsyncIterator[device_pb2.ConnectRequest]) -> None:
        bucket: Bucket | None = None
        async for frame in untrusted_frames:
            self._heard_at = self._now()
            bucket, wait = take(bucket, self._streams.settings.frames, self._streams.wall.now())
            if wait is not None:
                raise stream_too_talkative()
            match frame.WhichOneof("frame"):
                case "heartbeat":
                    self._connection.reports_changes = frame.heartbeat.reports_changes
                    await self._note()
                    await self._say(device_pb2.ConnectResponse(heartbeat=device_pb2.StreamHeartbeat()))
                case "reports":
                    await self._exchange(frame.reports)
        self._left = True
        self._connection.wake.set()

    async def _note(self) -> None:
        """Have this heartbeat count as a contact of a device that checks in seldom."""
        since_s = self._heard_at - self._noted_at
        if not self._connection.relied_on or since_s < self._streams.settings.seen_every_s:
            return
        self._noted_at = self._heard_at
        if not await self._streams.seen(self._principal):
            # It was told nothing that still holds: it has to ask again.
            self._connection.relied_on = False
            self._connection.hint()

    async def _watch(self, lifetime: Lifetime) -> None:
        connection = self._connection
        while not self._left:
            end = connection.ending or lifetime.end(self._now(), self._heard_at)
            if end is not None:
                goodbye = device_pb2.StreamGoodbye(
                    end=_END_ON_THE_WIRE[end], reconnect_within_s=RECONNECT_WITHIN_S[end]
                )
                await self._say(device_pb2.ConnectResponse(goodbye=goodbye))
                return
            connection.wake.clear()
            if connection.hinted:
                connection.hinted = False
                await self._pass_hint_on()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(lifetime.look_again_in(self._now(), self._heard_at)):
                    await connection.wake.wait()

    async def _pass_hint_on(self) -> None:
        """Commands themselves, or if there are none, the advice to look for what else there may be.

        Raises:
            Refusal: The news was that this device may not be in contact any more.
        """
        await self._streams.check(self._principal)
        if not await self._exchange():
            await self._say(device_pb2.ConnectResponse(nudge=device_pb2.StreamNudge()))

    async def _exchange(self, reports: device_pb2.StreamReports | None = None) -> bool:
        """Take reports and give commands; whether anything was said."""
        told = [] if reports is None else reports.command_reports
        answer = await self._streams.commands.exchange(device_pb2.CheckInRequest(command_reports=told), self._principal)
        if reports is None and not answer.commands and not answer.cancelled_command_ids:
            return False
        commands = device_pb2.StreamCommands(
            commands=answer.commands,
            cancelled_command_ids=answer.cancelled_command_ids,
            answers_batch=0 if reports is None else reports.batch,
            accepted_report_ids=answer.accepted_report_ids,
        )
        await self._say(device_pb2.ConnectResponse(commands=commands))
        return True

    async def _say(self, frame: device_pb2.ConnectResponse) -> None:
        try:
            async with asyncio.timeout(self._streams.settings.send_s), self._speaking:
                await self._send(frame)
        except TimeoutError as error:
            raise stream_too_slow() from error


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; the tasks of a stream fail one at a time."""
    first = failures.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
