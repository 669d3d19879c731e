"""`python -m benchmarks.fleet`: many devices against one server, over the real protocol with mutual TLS.

Server and simulator share the two cores, so rates are told as ratios to a bare grpc.aio echo server that was measured
in turns with it, by the same clients. Scenarios: steady check-ins, many streams at once, all of them back after a
restart. Ends with 1 when something that is expected is missed.
"""

import argparse
import asyncio
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import psutil

from agent.control.link.settings import StreamTimes
from agent.control.link.stream import ended_by
from agent.control.link.stream_pace import Ended, Ending, failures_after, wait_after
from benchmarks.parts.echo_server import METHOD
from benchmarks.parts.fleet_ground import RunningProgram, SimulatedDevice, installed_with, running
from tests.integration.postgres_server import running_postgres
from wire.v1 import device_pb2
from wire.v1.device_pb2_grpc import DeviceServiceStub

_PROGRAMS = Path(sys.executable).parent
_KIB = 1024
#: What is expected (the ratio of check-ins to echo calls, KiB for a stream, seconds until all are back).
EXPECTED_RATIO, EXPECTED_KIB, EXPECTED_BACK_S = 0.6, 100.0, 90.0
_STATUS = device_pb2.DeviceStatus(
    real_time_protection_enabled=True,
    real_time_protection_subsystem="fanotify",
    real_time_protection_mode="notify",
    engine="yara",
    engine_version="4.5.4",
    signatures_version="builtin-1",
    watched_roots=2,
)
_HEARTBEAT = device_pb2.ConnectRequest(heartbeat=device_pb2.StreamHeartbeat(reports_changes=True))
_BEAT_EVERY_S = 30.0
#: A busy machine sleeps longer than it was told.
_BEATS_AT_ONCE = 50
_IDLE_S = 60.0
#: Connections, and what gRPC waits for them with, while all of them are opened again.
_FILES_OF_A_DEVICE = 10
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    devices: int
    seconds: float
    rounds: int
    clients: int
    seed: int


def main() -> int:
    """Play the scenarios and print what they showed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description="A fleet against one server.")
    parser.add_argument("--devices", type=int, default=1_000, metavar="N", help="that are connected at once")
    parser.add_argument("--seconds", type=float, default=5.0, metavar="S", help="of each measurement of a rate")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of measurements of rates, in turns")
    parser.add_argument("--clients", type=int, default=16, metavar="N", help="that call without a pause")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of every random choice")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL instead of SQLite")
    arguments = vars(parser.parse_args())
    _raise_limit_of_files(_FILES_OF_A_DEVICE * arguments["devices"] + 1_000)
    print("load before: " + ", ".join(f"{value:.2f}" for value in os.getloadavg()), flush=True)
    on_postgres = arguments.pop("postgres")
    with tempfile.TemporaryDirectory(prefix="buckler-bench-") as scratch:
        options = Options(**arguments)
        if not on_postgres:
            return asyncio.run(_play(options, Path(scratch), None))
        with running_postgres() as server:
            name = asyncio.run(server.new_database())
            return asyncio.run(_play(options, Path(scratch), server.url(name)))


async def _play(options: Options, scratch: Path, database_url: str | None) -> int:
    began = time.monotonic()
    data_dir, devices = await installed_with(
        scratch, database_url, devices=options.devices, seats=min(options.clients, options.devices)
    )
    authorities = data_dir.authorities.read_bytes()
    print(f"{len(devices)} devices made in {time.monotonic() - began:.0f} s", flush=True)
    serve = [str(_PROGRAMS / "buckler-server"), "serve", "--data-dir", str(data_dir.path)]
    echo = [sys.executable, "-m", "benchmarks.parts.echo_server", str(data_dir.keys)]
    with running([*serve, "--listen", "127.0.0.1:0"], scratch / "log") as server:
        address = server.mtls
        with running(echo, scratch / "echo.log") as other:
            ratio = await _rates(options, devices, authorities, (server, other))
        simulator = Simulator(devices, address, authorities, options.seed)
        async with asyncio.TaskGroup() as group:
            tasks = simulator.start(group)
            kib = await _memory(simulator, server.process.pid)
            await _idle(len(devices), server)
            server.process.terminate()
            await asyncio.to_thread(server.process.wait)
            await simulator.until(0)
            down = time.monotonic()
            with running([*serve, "--listen", _port_before(address), "--device-listen", address], scratch / "log2"):
                back_s = await _back(simulator, down)
                for task in tasks:
                    task.cancel()
    return _verdict(ratio, kib, back_s, simulator)


def _raise_limit_of_files(wanted: int) -> None:
    """As far as we may; the server inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _port_before(address: str) -> str:
    return f"{address.rpartition(':')[0]}:0"


# ---------------------------------------------------------------- rates


async def _rates(
    options: Options,
    devices: Sequence[SimulatedDevice],
    authorities: bytes,
    servers: tuple[RunningProgram, RunningProgram],
) -> float:
    """Check-ins and bare calls in turns; the median of their ratios."""
    request = device_pb2.CheckInRequest(status=_STATUS, entitlement_serial=1, contact_nonce=b"")
    ours, bare = (
        [device.channel(server.mtls, authorities) for device in devices[: options.clients]] for server in servers
    )
    body = request.SerializeToString()
    check_ins: list[Call] = [_check_in_of(channel, request) for channel in ours]
    echoes: list[Call] = [_echo_of(channel, body) for channel in bare]
    # The first check-ins are written, and the second ones read for.
    for _ in range(3):
        await asyncio.gather(*(check_in() for check_in in check_ins))
    found, costs = [], []
    print("per second, and ms of the server's CPU for each: check-ins, bare echo; ratios of both")
    for _ in range(options.rounds):
        checked = await _rate(check_ins, options.seconds, servers[0])
        echoed = await _rate(echoes, options.seconds, servers[1])
        found.append(checked[0] / echoed[0])
        costs.append(echoed[1] / checked[1])
        rates = f"{checked[0]:8.0f} {checked[1]:6.2f}   {echoed[0]:8.0f} {echoed[1]:6.2f}"
        print(f"{rates}   {found[-1]:.2f} {costs[-1]:.2f}", flush=True)
    print(f"median of the ratios of CPU: {statistics.median(costs):.2f}")
    for channel in (*ours, *bare):
        await channel.close()
    return statistics.median(found)


def _check_in_of(channel: grpc.aio.Channel, request: device_pb2.CheckInRequest) -> Call:
    """As a device does it: each time with the nonce of the last answer."""
    own, stub = device_pb2.CheckInRequest(), DeviceServiceStub(channel)
    own.CopyFrom(request)

    async def check_in() -> None:
        own.contact_nonce = (await stub.CheckIn(own)).next_contact_nonce

    return check_in


def _echo_of(channel: grpc.aio.Channel, body: bytes) -> Call:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
    return lambda: call(body)


async def _rate(calls: Sequence[Call], seconds: float, server: RunningProgram) -> tuple[float, float]:
    until = time.monotonic() + seconds

    async def repeat(call: Call) -> int:
        count = 0
        while time.monotonic() < until:
            await call()
            count += 1
        return count

    began, used = time.monotonic(), _cpu_s(server)
    count = sum(await asyncio.gather(*map(repeat, calls)))
    return count / (time.monotonic() - began), (_cpu_s(server) - used) / count * 1_000


def _cpu_s(server: RunningProgram) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


# ---------------------------------------------------------------- streams


class Simulator:
    """Devices that keep a stream open as the agent does: with its decisions, not with its files.

    Args:
        devices: Who.
        address: Of the server.
        authorities: That its certificate chains to.
        seed: Of their jitter.
    """

    def __init__(self, devices: Sequence[SimulatedDevice], address: str, authorities: bytes, seed: int) -> None:
        self._devices = devices
        self._address = address
        self._authorities = authorities
        self._random = random.Random(seed)  # noqa: S311 -- jitter
        self._times = StreamTimes()
        self._calls: set[grpc.aio.StreamStreamCall[device_pb2.ConnectRequest, device_pb2.ConnectResponse]] = set()
        self.connected = 0
        self.endings: dict[str, int] = {}

    def start(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Connect all of them, spread over what a server admits."""
        return [*(group.create_task(self._live(device)) for device in self._devices), group.create_task(self._beat())]

    async def _beat(self) -> None:
        """Heartbeats of all of them, each at its own moment."""
        while True:
            began = time.monotonic()
            for number, call in enumerate(tuple(self._calls), 1):
                try:
                    await call.write(_HEARTBEAT)
                except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    continue
                except asyncio.CancelledError:
                    # Also what gRPC says of a call that its own side gave up meanwhile.
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                if number % _BEATS_AT_ONCE == 0:
                    await asyncio.sleep(_BEAT_EVERY_S / 2 * _BEATS_AT_ONCE / len(self._devices))
            await asyncio.sleep(max(0.0, began + _BEAT_EVERY_S - time.monotonic()))

    async def until(self, count: int) -> None:
        """Wait until so many are connected."""
        while self.connected != count:  # noqa: ASYNC110 -- a counter of other tasks
            await asyncio.sleep(0.02)

    async def _live(self, device: SimulatedDevice) -> None:
        failures = 0
        await asyncio.sleep(self._random.uniform(0, len(self._devices) / 100))
        async with device.channel(self._address, self._authorities) as channel:
            while True:
                ended = await self._stream(channel)
                self.endings[ended.ending.value] = self.endings.get(ended.ending.value, 0) + 1
                failures = failures_after(failures, ended)
                await asyncio.sleep(wait_after(failures, ended, self._times, self._random.uniform))

    async def _stream(self, channel: grpc.aio.Channel) -> Ended:
        worked = False
        call = DeviceServiceStub(channel).Connect()
        try:
            await call.write(_HEARTBEAT)
            while True:
                frame = await call.read()
                if not isinstance(frame, device_pb2.ConnectResponse):
                    return Ended(Ending.LOST)
                match frame.WhichOneof("frame"):
                    case "heartbeat":
                        self.connected += not worked
                        worked = True
                        self._calls.add(call)
                    case "goodbye":
                        return Ended(Ending.GOODBYE, frame.goodbye.reconnect_within_s)
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError) as error:
            return ended_by(error, worked=worked)
        finally:
            self.connected -= worked
            self._calls.discard(call)
            call.cancel()


async def _memory(simulator: Simulator, server_pid: int) -> float:
    """KiB that each stream costs the server: resident memory with and without them."""
    process = psutil.Process(server_pid)
    before, began = process.memory_info().rss, time.monotonic()
    count = len(simulator._devices)  # noqa: SLF001 -- one file
    await simulator.until(count)
    took_s = time.monotonic() - began
    # Until nothing is under way any more.
    await asyncio.sleep(2)
    kib = (process.memory_info().rss - before) / _KIB / count
    resident = f"resident {before / _KIB / _KIB:.0f} MiB before"
    print(f"{count} streams open after {took_s:.1f} s; {resident}, {kib:.1f} KiB for each", flush=True)
    return kib


async def _idle(count: int, server: RunningProgram) -> None:
    """What streams cost on which nothing happens."""
    began, used = time.monotonic(), _cpu_s(server)
    await asyncio.sleep(_IDLE_S)
    minutes, cpu_ms = (time.monotonic() - began) / 60, (_cpu_s(server) - used) * 1_000
    print(f"heartbeats and idling: {cpu_ms / minutes / count:.2f} ms of the server's CPU a minute for each", flush=True)


async def _back(simulator: Simulator, since: float) -> float:
    count = len(simulator._devices)  # noqa: SLF001 -- one file
    try:
        async with asyncio.timeout(2 * EXPECTED_BACK_S):
            await simulator.until(count)
    except TimeoutError:
        print(f"{simulator.connected} of {count} are back")
    return time.monotonic() - since


def _verdict(ratio: float, kib: float, back_s: float, simulator: Simulator) -> int:
    print("ended: " + ", ".join(f"{ending} {count}" for ending, count in sorted(simulator.endings.items())))
    lines = [
        (ratio >= EXPECTED_RATIO, f"check-ins, ratio to bare echo: {ratio:.2f}, at least {EXPECTED_RATIO}"),
        (kib <= EXPECTED_KIB, f"KiB for each stream: {kib:.0f}, at most {EXPECTED_KIB:.0f}"),
        (back_s <= EXPECTED_BACK_S, f"all back after a restart, seconds: {back_s:.0f}, at most {EXPECTED_BACK_S:.0f}"),
    ]
    for good, line in lines:
        print(f"{'reached' if good else 'MISSED '}  {line}")
    return 0 if all(good for good, _ in lines) else 1


if __name__ == "__main__":
    sys.exit(main())
