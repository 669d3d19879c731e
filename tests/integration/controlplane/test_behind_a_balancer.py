"""Two servers, PostgreSQL and NATS behind HAProxy with the settings of `deploy/`: one is killed, the other restarted.

Only addresses are put in place of the names that containers have.
"""

import asyncio
import contextlib
import os
import re
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from aiohttp import ClientSession

from tests.fakes.certificate_requests import DeviceKey
from tests.integration.free_ports import free_ports
from tests.integration.postgres_server import PostgresServer
from tests.integration.server_process import EMAIL, PASSWORD, Serving, init, serving
from wire.v1 import account_pb2, command_pb2, common_pb2, device_pb2, enrollment_pb2
from wire.v1.account_pb2_grpc import AccountServiceStub
from wire.v1.command_pb2_grpc import CommandServiceStub
from wire.v1.device_pb2_grpc import DeviceServiceStub
from wire.v1.enrollment_pb2_grpc import EnrollmentServiceStub

DEPLOY = Path(__file__).parents[3] / "deploy"
HAPROXY, NATS = (shutil.which(name) for name in ("haproxy", "nats-server"))
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        HAPROXY is None or NATS is None,
        reason="haproxy or nats-server is not installed (Debian: apt install haproxy nats-server)",
    ),
]
_Answer = TypeVar("_Answer")
#: As an agent's channel: whoever waits decides when to try again.
CHANNEL = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 200)]


@asynccontextmanager
async def running(program: str | None, *arguments: str, log: Path, **environment: str) -> AsyncIterator[None]:
    """A program until the block ends."""
    assert program is not None
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            program, *arguments, env={**os.environ, **environment}, stdout=said, stderr=said
        )
    try:
        yield
        assert process.returncode is None, f"it ended by itself: {log}"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Site:
    """The processes of one installation."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.people, self.devices, self.watched, self.bus, bus_watched, *servers = free_ports(11)
        self.bus_settings = folder / "nats.conf"
        self.bus_settings.write_text(
            (DEPLOY / "nats.conf")
            .read_text()
            .replace("port: 4222", f"listen: 127.0.0.1:{self.bus}")
            .replace("http: 8222", f"http: 127.0.0.1:{bus_watched}")
            .replace("/data", str(folder / "bus"))
        )
        self.servers = [tuple(servers[:3]), tuple(servers[3:])]

    def balancer_settings(self) -> Path:
        text = (DEPLOY / "haproxy.cfg").read_text()
        for bound, port in ((8443, self.people), (8444, self.devices), (8405, self.watched)):
            text = text.replace(f"bind :{bound}", f"bind 127.0.0.1:{port}")
        for number, (people, devices, monitor) in enumerate(self.servers, 1):
            for port, mine in ((8443, people), (8444, devices)):
                text = text.replace(f"server-{number}:{port} check port 9464", f"127.0.0.1:{mine} check port {monitor}")
        path = self.folder / "haproxy.cfg"
        path.write_text(text)
        return path

    @asynccontextmanager
    async def serve(self, number: int) -> AsyncIterator[Serving]:
        people, devices, monitor = self.servers[number]
        options = ("--device-listen", f"127.0.0.1:{devices}", "--monitor-listen", f"127.0.0.1:{monitor}")
        before = ("--balancer", "127.0.0.1", "--announce", f":{self.devices}", "--drain", "0.1")
        async with serving(self.folder / "data", *options, *before, listen=f"127.0.0.1:{people}") as server:
            yield server

    async def knows(self, number: int) -> None:
        """Until the balancer sends to a server."""
        name = ("one", "two")[number]
        line = re.compile(rf'^haproxy_server_status\{{proxy="devices",server="{name}",state="UP"\}} 1', re.MULTILINE)
        async with asyncio.timeout(60), ClientSession(f"http://127.0.0.1:{self.watched}") as session:
            while True:
                with contextlib.suppress(OSError):
                    async with session.get("/metrics") as answer:
                        if line.search(await answer.text()):
                            return
                await asyncio.sleep(0.1)


class Caller:
    """Whoever calls through the balancer and calls again, as agents and people do, when nobody answered."""

    def __init__(self) -> None:
        self.failures: Counter[str] = Counter()

    async def persistently(self, call: Callable[[], Awaitable[_Answer]]) -> _Answer:
        async with asyncio.timeout(60):
            while True:
                try:
                    return await call()
                except grpc.aio.AioRpcError as error:
                    if error.code() not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}:
                        raise
                    self.failures[error.code().name] += 1
                    await asyncio.sleep(0.05)


class Device(Caller):
    """Does what it is asked, once, and reports until it is believed."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__()
        self._stub = DeviceServiceStub(channel)
        self._told: set[str] = set()
        self.done: list[str] = []

    async def contact(self) -> None:
        reports = [
            command_pb2.CommandReport(command_id=name, state=command_pb2.COMMAND_STATE_SUCCEEDED)
            for name in self.done
            if name not in self._told
        ]
        request = device_pb2.CheckInRequest(status=device_pb2.DeviceStatus(), command_reports=reports)
        answer = await self.persistently(lambda: self._stub.CheckIn(request, timeout=10))
        self._told.update(answer.accepted_report_ids)
        self.done += [command.command_id for command in answer.commands if command.command_id not in self.done]

    async def contact_until(self, is_over: Callable[[], bool], expected: Callable[[], int]) -> None:
        while not is_over() or len(self._told) < expected():
            await self.contact()
            await asyncio.sleep(0.2)


class Admin(Caller):
    """Asks for one scan after the other."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        super().__init__()
        self._commands = CommandServiceStub(channel)
        self._accounts = AccountServiceStub(channel)
        self.metadata: tuple[tuple[str, str], ...] = ()
        self.asked: list[str] = []

    async def sign_in(self) -> None:
        request = account_pb2.SignInRequest(email=EMAIL, password=PASSWORD, token_name="test")
        answer = await self.persistently(lambda: self._accounts.SignIn(request, timeout=10))
        self.metadata = (("authorization", f"Bearer {answer.token}"),)

    async def ask(self, device_id: str) -> None:
        request = command_pb2.RequestCommandRequest(
            device_id=device_id,
            kind="scan",
            arguments={"what": "quick"},
            reason="test",
            idempotency_key=f"wish-{len(self.asked):08}",
        )
        record = await self.persistently(
            lambda: self._commands.RequestCommand(request, metadata=self.metadata, timeout=10)
        )
        self.asked.append(record.command.command_id)

    async def ask_until(self, over: asyncio.Event, device_id: str) -> None:
        while not over.is_set():
            await self.ask(device_id)
            await asyncio.sleep(0.3)

    async def states(self) -> Counter[int]:
        records = [
            await self.persistently(
                lambda name=name: self._commands.GetCommand(  # type: ignore[misc]
                    command_pb2.GetCommandRequest(command_id=name), metadata=self.metadata, timeout=10
                )
            )
            for name in self.asked
        ]
        return Counter(record.state for record in records)


async def enrolled(channel: grpc.aio.Channel, key: DeviceKey, activation_key: str) -> enrollment_pb2.ActivateResponse:
    request = enrollment_pb2.ActivateRequest(
        activation_key=activation_key,
        certificate_request_der=key.certificate_request(),
        device_name="laptop",
        platform=common_pb2.Platform(os="linux", os_version="Debian", architecture="x86_64"),
    )
    return await Caller().persistently(lambda: EnrollmentServiceStub(channel).Activate(request, timeout=10))


async def test_a_killed_server_and_a_restarted_one_cost_no_command(tmp_path: Path, postgres: PostgresServer) -> None:
    site = Site(tmp_path)
    async with (
        postgres.borrowed() as url,
        running(NATS, "--config", str(site.bus_settings), log=tmp_path / "nats.log", NATS_PASSWORD="swordfish"),
        AsyncExitStack() as servers,
    ):
        made = await init(tmp_path / "data", "--database-url", url)
        with (tmp_path / "data" / "server.toml").open("a", encoding="utf-8") as file:
            file.write(f'\n[bus]\nurl = "nats://buckler:swordfish@127.0.0.1:{site.bus}"\n')
        first = await servers.enter_async_context(site.serve(0))
        second = await servers.enter_async_context(site.serve(1))
        balancer = running(HAPROXY, "-db", "-f", str(site.balancer_settings()), log=tmp_path / "haproxy.log")
        await servers.enter_async_context(balancer)
        await site.knows(1)
        trusted = grpc.ssl_channel_credentials(first.authorities)
        key, over = DeviceKey(), asyncio.Event()
        async with grpc.aio.secure_channel(f"127.0.0.1:{site.people}", trusted, CHANNEL) as people:
            activated = await enrolled(people, key, made["activation_key"])
            assert activated.device_address == f":{site.devices}"
            mine = grpc.ssl_channel_credentials(first.authorities, key.pem, activated.device_certificate_pem)
            async with grpc.aio.secure_channel(f"127.0.0.1:{site.devices}", mine, CHANNEL) as channel:
                device, admin = Device(channel), Admin(people)
                await admin.sign_in()
                async with asyncio.TaskGroup() as tasks:
                    asking = tasks.create_task(admin.ask_until(over, activated.device_id))
                    # Not when it is over: a wish may be on its way then.
                    tasks.create_task(device.contact_until(asking.done, lambda: len(admin.asked)))
                    await first.kill()
                    await servers.enter_async_context(site.serve(0))
                    await site.knows(0)
                    status, said = await second.stop()
                    over.set()
            assert status == 0
            assert not {"error", "critical"} & set(re.findall(r" level=(\w+)", said)), said
            assert len(admin.asked) > 1
            assert sorted(device.done) == sorted(admin.asked)
            assert await admin.states() == {command_pb2.COMMAND_STATE_SUCCEEDED: len(admin.asked)}
