"""The stream of hints and commands, beside the check-ins of `control_link` and never instead of them.

It makes commands arrive at once. Where it does not get through, the next check-in brings them: nothing here is needed
for anything to be right, so every failure is waited out and told in `status`, and check-ins are not disturbed by it.
"""

import asyncio
from typing import TYPE_CHECKING, Protocol

import grpc
import structlog

from agent.control.link.command_wire import command_from_wire, report_to_wire
from agent.control.link.control_link import CommandDesk, NoCommands
from agent.control.link.settings import StreamTimes
from agent.control.link.stream_pace import Ended, Ending, StreamState, failures_after, state_of, wait_after
from agent.control.refusals import error_detail, is_transient
from agent.control.request_ids import new_request_id
from agent.domain.errors import BucklerError
from agent.domain.ports import Randomness
from wire.entitlement_codec import REQUEST_ID_METADATA
from wire.v1 import device_pb2

if TYPE_CHECKING:  # the generated file names its type for checkers only
    from collections.abc import Sequence

    from agent.domain.commands import CommandEntry
    from wire.v1.device_pb2_grpc import DeviceServiceAsyncStub

    Call = grpc.aio.StreamStreamCall[device_pb2.ConnectRequest, device_pb2.ConnectResponse]

log = structlog.get_logger(__name__)
#: Without a word for so many heartbeats the stream is given up (device.proto).
_SILENT_HEARTBEATS = 3
_HEARTBEAT = device_pb2.ConnectRequest(heartbeat=device_pb2.StreamHeartbeat(reports_changes=True))
#: What a server may ask for, in seconds.
_HEARTBEAT_RANGE_S = (1, 600)


class Line(Protocol):
    """The way to the control plane; see `agent.control.link.control_link.ControlLink`."""

    @property
    def enrolled(self) -> bool:
        """Whether there is a control plane."""

    @property
    def reachable(self) -> bool:
        """Whether the last check-in worked."""

    async def service(self) -> "DeviceServiceAsyncStub":
        """The calls of a device.

        Raises:
            BucklerError: This device is not activated, or its key is gone.
        """

    def report_soon(self) -> None:
        """Check in, unless the control plane cannot be reached anyway."""

    def hurry(self) -> None:
        """Check in at the usual pace again: the stream has ended."""


class ControlStream:
    """Keeps one stream open while check-ins work.

    Args:
        line: The way there.
        times: When to try again.
        randomness: For jitter.
    """

    def __init__(self, line: Line, times: StreamTimes, randomness: Randomness) -> None:
        self._line = line
        self._times = times
        self._randomness = randomness
        self._commands: CommandDesk = NoCommands()
        self._contact = asyncio.Event()
        self._untold = asyncio.Event()
        self._connected = False
        self._reached_since = False
        self._failures = 0
        self._last: Ended | None = None

    @property
    def state(self) -> StreamState:
        """For `status`."""
        return state_of(
            enrolled=self._line.enrolled,
            reachable=self._line.reachable,
            reached_since=self._reached_since,
            connected=self._connected,
            last=self._last,
        )

    def attend(self, commands: CommandDesk) -> None:
        """From now on commands go there, and reports about them come from there."""
        self._commands = commands

    def in_contact(self) -> None:
        """A check-in worked."""
        self._reached_since = True
        self._contact.set()

    def tell(self) -> None:
        """There is something to report: on the stream if there is one, else by a check-in."""
        if self._connected:
            self._untold.set()
        else:
            self._line.report_soon()

    async def run(self) -> None:
        """Keep it open until cancelled."""
        while True:
            # If check-ins do not get through either, it is not the stream that is broken.
            while not (self._line.enrolled and self._line.reachable):
                self._contact.clear()
                await self._contact.wait()
            ended = await self._attempt()
            self._failures = failures_after(self._failures, ended)
            # Of failures in a row the first one counts: what was found out about it stays true.
            if self._failures <= 1:
                self._reached_since = False
            self._last = ended
            self._line.hurry()
            if self._line.enrolled:
                log.info("stream_ended", ending=ended.ending.value, failures=self._failures)
                if self._commands.reports():
                    self._line.report_soon()
            await asyncio.sleep(wait_after(self._failures, ended, self._times, self._randomness.uniform))

    async def _attempt(self) -> Ended:
        """Open a stream and use it to its end."""
        call: Call | None = None
        try:
            call = (await self._line.service()).Connect(metadata=((REQUEST_ID_METADATA, new_request_id()),))
            return await self._use(call)
        except (grpc.aio.AioRpcError, BucklerError, TimeoutError, asyncio.InvalidStateError, ExceptionGroup) as error:
            return ended_by(_first_of(error), worked=self._connected)
        except asyncio.CancelledError:
            # gRPC also says this when the channel is closed, which the link does when the enrolment changes.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Ended(Ending.LOST)
        finally:
            self._connected = False
            if call is not None:
                call.cancel()

    async def _use(self, call: "Call") -> Ended:
        speaker = _Speaker(call, self._times.answer_s)
        welcome = await _read(call, self._times.answer_s)
        if not welcome.HasField("welcome"):
            return Ended(Ending.BROKEN)
        shortest, longest = _HEARTBEAT_RANGE_S
        heartbeat_s = float(max(shortest, min(longest, welcome.welcome.heartbeat_interval_s)))
        async with asyncio.TaskGroup() as group:
            speaking = [
                group.create_task(speaker.beat(heartbeat_s)),
                group.create_task(speaker.report(self._commands, self._untold)),
            ]
            ended = await self._hear(call, speaker, heartbeat_s * _SILENT_HEARTBEATS)
            for task in speaking:
                task.cancel()
        return ended

    async def _hear(self, call: "Call", speaker: "_Speaker", silence_s: float) -> Ended:
        while True:
            frame = await _read(call, silence_s)
            match frame.WhichOneof("frame"):
                case "heartbeat":
                    self._connected = True
                case "commands":
                    speaker.answered(frame.commands, self._commands)
                    self._commands.receive(
                        map(command_from_wire, frame.commands.commands), frame.commands.cancelled_command_ids
                    )
                case "nudge":
                    self._line.report_soon()
                case "goodbye":
                    return Ended(Ending.GOODBYE, float(frame.goodbye.reconnect_within_s))


class _Speaker:
    """What this device says on one stream.

    Args:
        call: The stream.
        answer_s: How long an answer to reports may take, in seconds.
    """

    def __init__(self, call: "Call", answer_s: float) -> None:
        self._call = call
        self._answer_s = answer_s
        self._speaking = asyncio.Lock()
        self._batch = 0
        self._waiting: Sequence[CommandEntry] = ()
        self._answer = asyncio.Event()

    async def beat(self, interval_s: float) -> None:
        """Say that we are there, until cancelled."""
        while True:
            await self._say(_HEARTBEAT)
            await asyncio.sleep(interval_s)

    async def report(self, commands: CommandDesk, untold: asyncio.Event) -> None:
        """Tell what became of commands, one batch after the other's answer, until cancelled.

        Raises:
            TimeoutError: There was no answer.
        """
        while True:
            untold.clear()
            entries = commands.reports()
            if entries:
                self._batch += 1
                self._waiting = entries
                self._answer.clear()
                reports = [report_to_wire(entry) for entry in entries]
                batch = device_pb2.StreamReports(batch=self._batch, command_reports=reports)
                await self._say(device_pb2.ConnectRequest(reports=batch))
                async with asyncio.timeout(self._answer_s):
                    await self._answer.wait()
            await untold.wait()

    def answered(self, frame: device_pb2.StreamCommands, commands: CommandDesk) -> None:
        """What arrived may answer the batch that waits."""
        if frame.answers_batch != self._batch or not self._waiting:
            return
        accepted = set(frame.accepted_report_ids)
        entries, self._waiting = self._waiting, ()
        commands.told(entry for entry in entries if entry.command.id in accepted)
        self._answer.set()

    async def _say(self, frame: device_pb2.ConnectRequest) -> None:
        async with self._speaking:
            await self._call.write(frame)


async def _read(call: "Call", within_s: float) -> device_pb2.ConnectResponse:
    """The next frame.

    Raises:
        TimeoutError: There was none in time.
        grpc.aio.AioRpcError: The server refused, or the connection is gone.
        BucklerError: The server closed the stream without a goodbye.
    """
    async with asyncio.timeout(within_s):
        frame = await call.read()
    if isinstance(frame, device_pb2.ConnectResponse):
        return frame
    raise BucklerError("STREAM_CLOSED", "the stream ended without a word", next_step="check-ins go on")


def ended_by(error: BaseException, *, worked: bool) -> Ended:
    """What a failure means for the next attempt; one that is no failure of the stream is raised again."""
    if not isinstance(error, grpc.aio.AioRpcError):
        if not isinstance(error, BucklerError | TimeoutError | asyncio.InvalidStateError):
            raise error
        return Ended(Ending.LOST if worked else Ending.BROKEN)
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return Ended(Ending.UNSUPPORTED)
    detail = error_detail(error)
    if detail is not None and detail.retry_after_s:
        return Ended(Ending.BUSY, float(detail.retry_after_s))
    # Without an explanation, or with a mistake of the server's, it is what a restart looks like and no answer to us.
    if detail is None or error.code() is grpc.StatusCode.INTERNAL or is_transient(error):
        return Ended(Ending.LOST if worked else Ending.BROKEN)
    return Ended(Ending.REFUSED)


def _first_of(error: BaseException) -> BaseException:
    """What went wrong first; the tasks of a stream fail one at a time."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
