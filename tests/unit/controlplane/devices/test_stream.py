import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from controlplane.devices.connections import Connections, StreamSettings
from controlplane.devices.errors import device_revoked
from controlplane.devices.stream import DeviceStreams, StreamGround
from controlplane.runtime.clock import TenantClock, running_ahead
from controlplane.runtime.principal import DevicePrincipal
from controlplane.runtime.rate_limit import Rate
from controlplane.runtime.refusal import Refusal
from tests.fakes.clock import SOME_MONDAY, FakeClock
from tests.fakes.randomness import SeededRandomness
from tests.fakes.waiting import until
from wire.v1 import command_pb2, device_pb2
from wire.v1.device_pb2 import ConnectRequest, ConnectResponse, StreamHeartbeat, StreamReports

ME = DevicePrincipal("dev_1", "org_1", b"key")
HEARTBEAT = ConnectRequest(heartbeat=StreamHeartbeat())
SHORT = StreamSettings(heartbeat_s=0.02, life_s=60)
#: Of its organisation.
CLOCK = TenantClock(FakeClock(SOME_MONDAY))
YEAR = timedelta(days=365)


@dataclass
class Desk:
    """Commands for one device; port `controlplane.devices.ports.CommandCalls`."""

    commands: list[command_pb2.Command] = field(default_factory=list)
    reports: list[command_pb2.CommandReport] = field(default_factory=list)
    asked_at: datetime | None = None

    async def exchange(
        self, request: device_pb2.CheckInRequest, principal: DevicePrincipal
    ) -> device_pb2.CheckInResponse:
        assert principal == ME
        self.asked_at = CLOCK.now()
        self.reports.extend(request.command_reports)
        accepted = [report.command_id for report in request.command_reports]
        return device_pb2.CheckInResponse(commands=self.commands, accepted_report_ids=accepted)


class Stream:
    """One stream to a server without a network."""

    def __init__(self, settings: StreamSettings | None = None) -> None:
        self.desk = Desk()
        self.said: list[ConnectResponse] = []
        self.revoked = False
        self.reads = True
        self.remembered, self.notes = True, 0
        self.ahead, self.noted_at = timedelta(0), SOME_MONDAY
        self._frames: asyncio.Queue[ConnectRequest | None] = asyncio.Queue()
        settings = settings or StreamSettings()
        clock = FakeClock(SOME_MONDAY)
        self.connections = Connections(settings, clock, SeededRandomness())
        ground = StreamGround(check=self._check, seen=self._seen, commands=self.desk, time_of=self._time_of)
        self._streams = DeviceStreams(ground, connections=self.connections, settings=settings, wall=clock)

    @asynccontextmanager
    async def _time_of(self, org_id: str) -> AsyncIterator[None]:
        assert org_id == ME.org_id
        with running_ahead(self.ahead):
            yield

    async def _check(self, principal: DevicePrincipal) -> None:
        if self.revoked:
            raise device_revoked()

    async def _seen(self, principal: DevicePrincipal) -> bool:
        assert principal == ME
        self.notes += 1
        self.noted_at = CLOCK.now()
        return self.remembered

    async def _say(self, frame: ConnectResponse) -> None:
        if self.reads:
            self.said.append(frame)
        else:
            await asyncio.Event().wait()

    async def _untrusted_frames(self) -> AsyncIterator[ConnectRequest]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    def send(self, *frames: ConnectRequest | None) -> None:
        for frame in frames:
            self._frames.put_nowait(frame)

    async def serve(self) -> None:
        async with self._streams.running():
            await self._streams.serve(ME, self._untrusted_frames(), self._say)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.serve())
            await until(lambda: bool(self.said))
            yield
            task.cancel()

    @property
    def kinds(self) -> list[str]:
        return [str(frame.WhichOneof("frame")) for frame in self.said]


async def test_what_waits_is_given_as_soon_as_a_device_connects() -> None:
    stream = Stream()
    stream.desk.commands = [command_pb2.Command(command_id="cmd_1")]
    async with stream.open():
        await until(lambda: len(stream.said) == 2)
    assert stream.kinds == ["welcome", "commands"]
    assert stream.said[0].welcome.heartbeat_interval_s == 30
    assert [command.command_id for command in stream.said[1].commands.commands] == ["cmd_1"]
    assert len(stream.connections) == 0


async def test_a_hint_becomes_the_command_itself_or_the_advice_to_check_in() -> None:
    stream = Stream()
    async with stream.open():
        stream.connections.hint("org_1", "dev_1")
        await until(lambda: stream.kinds[-1] == "nudge")
        stream.desk.commands = [command_pb2.Command(command_id="cmd_1")]
        stream.connections.hint("org_1", "dev_1")
        stream.connections.hint("org_1", "dev_1")
        await until(lambda: stream.kinds[-1] == "commands")
    assert stream.kinds == ["welcome", "nudge", "commands"], "hints that come together are one"


async def test_news_that_a_device_may_not_be_in_contact_any_more_end_its_stream() -> None:
    stream = Stream()

    async def revoke() -> None:
        await until(lambda: bool(stream.said))
        stream.revoked = True
        stream.connections.hint("org_1", "dev_1")

    with pytest.raises(Refusal) as refused:
        await asyncio.gather(stream.serve(), revoke())
    assert refused.value.reason == "DEVICE_REVOKED"


RELIABLE = ConnectRequest(heartbeat=StreamHeartbeat(reports_changes=True))


@pytest.mark.parametrize("remembered", [True, False])
async def test_heartbeats_take_the_place_of_check_ins_as_long_as_nothing_is_new(*, remembered: bool) -> None:
    stream = Stream(StreamSettings(seen_every_s=0.0))
    stream.remembered = remembered
    async with stream.open():
        stream.send(HEARTBEAT)
        await until(lambda: len(stream.said) == 2)
        assert not stream.connections.rely_on(ME)
        stream.send(RELIABLE)
        await until(lambda: len(stream.said) == 3)
        assert stream.notes == 0
        assert stream.connections.rely_on(ME)
        stream.send(RELIABLE)
        await until(lambda: len(stream.said) == (4 if remembered else 5))
        stream.send(RELIABLE)
        await until(lambda: stream.kinds.count("heartbeat") == 4)
    assert ("nudge" in stream.kinds) == (not remembered)
    assert stream.notes == (2 if remembered else 1)


async def test_a_sandbox_that_is_moved_takes_its_connected_devices_along() -> None:
    stream = Stream(StreamSettings(seen_every_s=0.0))
    async with stream.open():
        stream.send(RELIABLE)
        await until(lambda: len(stream.said) == 2)
        assert stream.connections.rely_on(ME)
        stream.ahead = YEAR
        stream.send(RELIABLE)
        await until(lambda: len(stream.said) == 3)
        stream.connections.hint("org_1", "dev_1")
        await until(lambda: stream.kinds[-1] == "nudge")
    assert (stream.noted_at, stream.desk.asked_at) == (SOME_MONDAY + YEAR, SOME_MONDAY + YEAR)


async def test_a_device_that_opens_a_second_stream_is_asked_to_check_in() -> None:
    stream = Stream()
    async with stream.open():
        stream.connections.open(ME)
        await until(lambda: stream.kinds[-1] == "goodbye")
    assert stream.connections._open[ME.org_id, ME.device_id].hinted


async def test_reports_are_taken_and_their_answer_names_the_batch() -> None:
    stream = Stream()
    report = command_pb2.CommandReport(command_id="cmd_1", state=command_pb2.COMMAND_STATE_SUCCEEDED)
    async with stream.open():
        stream.send(
            HEARTBEAT, ConnectRequest(), ConnectRequest(reports=StreamReports(batch=7, command_reports=[report]))
        )
        await until(lambda: stream.kinds[-1] == "commands")
    assert stream.kinds == ["welcome", "heartbeat", "commands"], "frames of unknown kinds are passed over"
    answer = stream.said[-1].commands
    assert (answer.answers_batch, list(answer.accepted_report_ids)) == (7, ["cmd_1"])
    assert stream.desk.reports == [report]


async def test_a_device_that_leaves_ends_its_stream() -> None:
    stream = Stream()
    stream.send(HEARTBEAT, None)
    await stream.serve()
    assert stream.kinds == ["welcome", "heartbeat"]
    assert len(stream.connections) == 0


@pytest.mark.parametrize(
    ("settings", "end"),
    [(SHORT, device_pb2.STREAM_END_SILENT), (StreamSettings(life_s=0, life_jitter_s=0), device_pb2.STREAM_END_OLD)],
)
async def test_a_stream_ends_with_its_reason(settings: StreamSettings, end: device_pb2.StreamEnd.ValueType) -> None:
    stream = Stream(settings)
    await stream.serve()
    assert stream.kinds == ["welcome", "goodbye"]
    assert stream.said[-1].goodbye.end == end
    assert stream.said[-1].goodbye.reconnect_within_s > 0


async def test_a_server_that_stops_says_goodbye() -> None:
    stream = Stream()
    async with stream.open():
        stream.connections.stop()
        await until(lambda: stream.kinds[-1] == "goodbye")
    assert stream.said[-1].goodbye.end == device_pb2.STREAM_END_STOPPING


async def test_a_device_that_may_not_connect_is_refused_with_the_reason() -> None:
    stream = Stream()
    stream.revoked = True
    with pytest.raises(Refusal) as refused:
        await stream.serve()
    assert refused.value.reason == "DEVICE_REVOKED"
    assert (stream.said, len(stream.connections)) == ([], 0)


async def test_a_device_that_talks_too_much_is_cut_off() -> None:
    stream = Stream(StreamSettings(frames=Rate(burst=5, every=timedelta(seconds=1))))
    stream.send(*[HEARTBEAT] * 9)
    with pytest.raises(Refusal) as refused:
        await stream.serve()
    assert refused.value.reason == "STREAM_TOO_TALKATIVE"
    assert stream.kinds.count("heartbeat") == 5


async def test_a_device_that_reads_nothing_is_cut_off() -> None:
    stream = Stream(StreamSettings(send_s=0.01))
    stream.reads = False
    with pytest.raises(Refusal) as refused:
        await stream.serve()
    assert (refused.value.reason, len(stream.connections)) == ("STREAM_TOO_SLOW", 0)
