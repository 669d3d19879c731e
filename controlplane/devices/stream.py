"""One device's stream, from its welcome to its goodbye.

The task of the call listens to the device. What happens here is seen to by a task that is there only as long as there
is something to see to: thousands of streams wait most of the time, and each task costs memory. One speaks at a time.
Commands come from the same use case as those of a check-in, so a device may hear of one on both ways; it does it once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass
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
#: Around work for an organisation, at its own time.
TimeOf = Callable[[str], AbstractAsyncContextManager[None]]
_HEARTBEAT: Final = device_pb2.ConnectResponse(heartbeat=device_pb2.StreamHeartbeat())
_END_ON_THE_WIRE: Final = {end: device_pb2.StreamEnd.Value(f"STREAM_END_{end.name}") for end in StreamEnd}


@dataclass(frozen=True, slots=True)
class StreamGround:
    """What streams stand on.

    Attributes:
        check: Refuses a device that may not be in contact.
        seen: Notes that a device is there; False: it has to check in.
        commands: Gives commands out and takes reports, as at a check-in.
        time_of: A sandbox may be moved while its devices are connected.
    """

    check: Check
    seen: Seen
    commands: CommandCalls
    time_of: TimeOf


class DeviceStreams:
    """Serves the streams of this process.

    Args:
        ground: What they stand on.
        connections: Who is connected.
        settings: Times and limits.
        wall: For what a device may send.
    """

    def __init__(
        self, ground: StreamGround, *, connections: Connections, settings: StreamSettings, wall: Clock
    ) -> None:
        self.ground = ground
        self.connections = connections
        self.settings = settings
        self.wall = wall
        self._speakers: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While streams may be served; those that are must have ended before it does."""
        failure: BaseException | None = None
        async with asyncio.TaskGroup() as speakers:
            self._speakers = speakers
            try:
                yield
            # Kept out of the group, which would wrap it.
            except BaseException as error:  # noqa: BLE001
                failure = error
        if failure is not None:
            raise failure

    def spawn(self, speaker: Coroutine[None, None, None], context: Context) -> asyncio.Task[None]:
        """Have something said on a stream, in the name of its device and not of whoever has news for it."""
        assert self._speakers is not None, "streams are served while they are running"
        return self._speakers.create_task(speaker, context=context)

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
            await self.ground.check(principal)
            await _Session(self, principal, connection, send).run(untrusted_frames)
        finally:
            self.connections.close(connection)


class _Session:
    """The state of one stream."""

    __slots__ = (
        "_connection",
        "_context",
        "_failure",
        "_heard_at",
        "_is_over",
        "_lifetime",
        "_listener",
        "_noted_at",
        "_now",
        "_principal",
        "_send",
        "_speaker",
        "_speaking",
        "_streams",
        "_timer",
    )

    def __init__(self, streams: DeviceStreams, principal: DevicePrincipal, connection: Connection, send: Send) -> None:
        self._streams = streams
        self._principal = principal
        self._connection = connection
        self._send = send
        self._context = copy_context()
        self._speaking = asyncio.Lock()
        self._now = asyncio.get_running_loop().time
        self._heard_at = self._noted_at = self._now()
        life_s = streams.settings.life_s + streams.settings.life_jitter_s * streams.connections.share()
        self._lifetime = Lifetime(self._heard_at + life_s, streams.settings.heartbeat_s * SILENT_HEARTBEATS)
        self._listener = asyncio.current_task()
        self._speaker: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        #: It was ended from here; the listener is told by being cancelled.
        self._is_over = False

    async def run(self, untrusted_frames: AsyncIterator[device_pb2.ConnectRequest]) -> None:
        """Until one side ends it."""
        interval = max(1, round(self._streams.settings.heartbeat_s))
        await self._say(device_pb2.ConnectResponse(welcome=device_pb2.StreamWelcome(heartbeat_interval_s=interval)))
        self._connection.waker = self._attend
        try:
            await self._exchange()
            self._attend()
            await self._listen(untrusted_frames)
        except asyncio.CancelledError:
            if not self._is_over or self._listener is None or self._listener.uncancel():
                raise
        finally:
            self._is_over = True
            self._connection.waker = None
            if self._timer is not None:
                self._timer.cancel()
            if self._speaker is not None:
                self._speaker.cancel()
        if self._failure is not None:
            raise self._failure

    # ------------------------------------------------------------ what happens here

    def _attend(self) -> None:
        """Something happened, or may have: a speaker sees to it; there is none while nothing does."""
        if self._speaker is not None or self._is_over:
            return
        if self._connection.hinted or self._end() is not None:
            self._speaker = self._streams.spawn(self._speak(), self._context)
        else:
            self._wait()

    async def _speak(self) -> None:
        try:
            while (end := self._end()) is None and self._connection.hinted:
                self._connection.hinted = False
                await self._pass_hint_on()
            if end is not None:
                await self._say_goodbye(end)
                self._finish()
        # Supervision point: what went wrong ends this stream, and is raised where it is served.
        except Exception as error:  # noqa: BLE001
            self._failure = error
            self._finish()
        finally:
            self._speaker = None
            if not self._is_over:
                self._wait()

    def _end(self) -> StreamEnd | None:
        return self._connection.ending or self._lifetime.end(self._now(), self._heard_at)

    def _wait(self) -> None:
        """Look again when it may be over."""
        if self._timer is not None:
            self._timer.cancel()
        wait_s = self._lifetime.look_again_in(self._now(), self._heard_at)
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._attend, context=self._context)

    def _finish(self) -> None:
        if not self._is_over and self._listener is not None:
            self._is_over = True
            self._listener.cancel()

    async def _say_goodbye(self, end: StreamEnd) -> None:
        goodbye = device_pb2.StreamGoodbye(end=_END_ON_THE_WIRE[end], reconnect_within_s=RECONNECT_WITHIN_S[end])
        await self._say(device_pb2.ConnectResponse(goodbye=goodbye))

    # ------------------------------------------------------------ what the device says

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
                    await self._say(_HEARTBEAT)
                case "reports":
                    await self._exchange(frame.reports)

    async def _note(self) -> None:
        """Have this heartbeat count as a contact of a device that checks in seldom."""
        since_s = self._heard_at - self._noted_at
        if not self._connection.relied_on or since_s < self._streams.settings.seen_every_s:
            return
        self._noted_at = self._heard_at
        ground = self._streams.ground
        async with ground.time_of(self._principal.org_id):
            is_known = await ground.seen(self._principal)
        if not is_known:
            # It was told nothing that still holds: it has to ask again.
            self._connection.relied_on = False
            self._connection.hint()

    # ------------------------------------------------------------ what is said

    async def _pass_hint_on(self) -> None:
        """Commands themselves, or if there are none, the advice to look for what else there may be.

        Raises:
            Refusal: The news was that this device may not be in contact any more.
        """
        await self._streams.ground.check(self._principal)
        if not await self._exchange():
            await self._say(device_pb2.ConnectResponse(nudge=device_pb2.StreamNudge()))

    async def _exchange(self, reports: device_pb2.StreamReports | None = None) -> bool:
        """Take reports and give commands; whether anything was said."""
        told = [] if reports is None else reports.command_reports
        request = device_pb2.CheckInRequest(command_reports=told)
        ground = self._streams.ground
        async with ground.time_of(self._principal.org_id):
            answer = await ground.commands.exchange(request, self._principal)
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
