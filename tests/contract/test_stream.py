"""What the device's stream promises, over real mutual TLS, to servers that treat it in every way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.control.command_runner import CommandRunner
from agent.control.link.settings import LinkSettings, StreamTimes
from agent.control.link.stream_pace import StreamState
from agent.control.link.ways import ways_to_the_control_plane
from tests.contract.test_activation import KEY
from tests.fakes.commands import Worker
from tests.fakes.control_plane import FakeControlPlane, serving
from tests.fakes.device import TestDevice
from tests.fakes.randomness import SeededRandomness
from tests.fakes.waiting import until
from wire.instants import to_us
from wire.v1 import command_pb2, device_pb2
from wire.v1.device_pb2 import ConnectResponse, StreamCommands, StreamGoodbye, StreamNudge

QUICK = StreamTimes(
    reconnect_within_s=0.02,
    first_retry_s=0.02,
    longest_retry_s=0.05,
    refused_retry_s=0.05,
    unsupported_retry_s=0.05,
    answer_s=5,
)


class Connected:
    """A device that keeps check-ins and a stream, and does what it is told."""

    def __init__(self, plane: FakeControlPlane, device: TestDevice) -> None:
        self.plane = plane
        keeper = device.keeper()
        self.link, self.stream = ways_to_the_control_plane(
            LinkSettings(stream=QUICK), keeper, device.clock, SeededRandomness(), device.report, lambda: None
        )
        self.worker = Worker()
        self.worker.release.set()
        self.runner = CommandRunner(device.store, [self.worker], keeper.access, device.clock, self.stream.tell)
        for way in (self.link, self.stream):
            way.attend(self.runner)
        self.expires_at_us = to_us(device.clock.now() + timedelta(hours=1))

    def command(self, command_id: str) -> command_pb2.Command:
        return command_pb2.Command(command_id=command_id, kind="work", expires_at_us=self.expires_at_us)

    def say(self, frame: ConnectResponse) -> None:
        self.plane.to_say.put_nowait(frame)


@asynccontextmanager
async def connected(folder: Path, streams: str) -> AsyncIterator[Connected]:
    device = TestDevice(folder)
    plane = FakeControlPlane(keys={KEY: ""}, now=device.clock.now(), streams=streams)
    async with serving(plane):
        await device.activate(plane, KEY)
        here = Connected(plane, device)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part.run()) for part in (here.link, here.stream, here.runner)]
            yield here
            for task in tasks:
                task.cancel()


async def test_a_command_arrives_and_is_told_about_without_a_check_in(tmp_path: Path) -> None:
    async with connected(tmp_path, "open") as here:
        await until(lambda: here.stream.state is StreamState.CONNECTED)
        for command_id in ("cmd_1", "cmd_2"):
            commands = StreamCommands(commands=[here.command(command_id)])
            here.say(ConnectResponse(commands=commands))
        await until(lambda: here.worker.begun == ["cmd_1", "cmd_2"])
        await until(lambda: not here.runner.reports())
        assert {report.state for report in here.plane.command_reports} >= {command_pb2.COMMAND_STATE_SUCCEEDED}
        assert len(here.plane.check_ins) == 1


async def test_a_nudge_makes_it_check_in_now(tmp_path: Path) -> None:
    async with connected(tmp_path, "open") as here:
        await until(lambda: here.stream.state is StreamState.CONNECTED)
        here.say(ConnectResponse(nudge=StreamNudge()))
        await until(lambda: len(here.plane.check_ins) == 2)


async def test_a_goodbye_is_followed_by_another_stream(tmp_path: Path) -> None:
    async with connected(tmp_path, "open") as here:
        await until(lambda: here.stream.state is StreamState.CONNECTED)
        goodbye = StreamGoodbye(end=device_pb2.STREAM_END_OLD, reconnect_within_s=0)
        here.say(ConnectResponse(goodbye=goodbye))
        await until(lambda: here.plane.streams_opened == 2 and here.stream.state is StreamState.CONNECTED)
        assert len(here.plane.check_ins) == 1


@pytest.mark.parametrize(
    ("streams", "state"),
    [
        ("unsupported", StreamState.UNSUPPORTED),
        ("broken", StreamState.UNAVAILABLE),
        ("busy", StreamState.WAITING),
    ],
)
async def test_where_streams_do_not_get_through_check_ins_go_on(
    tmp_path: Path, streams: str, state: StreamState
) -> None:
    async with connected(tmp_path, streams) as here:
        await until(lambda: here.plane.streams_opened > 0)
        here.plane.commands.append(here.command("cmd_1"))
        here.link.wake()
        await until(lambda: here.worker.begun == ["cmd_1"])
        await until(lambda: not here.runner.reports())
        await until(lambda: here.stream.state is state)
        assert len(here.plane.check_ins) > 1
        if streams != "busy":
            here.plane.streams = "open"
            await until(lambda: here.stream.state is StreamState.CONNECTED)


async def test_a_stream_outlives_a_change_of_the_enrolment(tmp_path: Path) -> None:
    async with connected(tmp_path, "open") as here:
        await until(lambda: here.stream.state is StreamState.CONNECTED)
        await here.link.close()
        await until(lambda: here.plane.streams_opened == 2 and here.stream.state is StreamState.CONNECTED)
        await here.link.deactivate("sold")
        await until(lambda: here.stream.state is StreamState.OFF)
        assert not here.plane.seats
