"""The port of people behind a balancer: whose attempts are counted, and who is not let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

import grpc
import pytest

from controlplane.app import create_keys
from controlplane.config import DataDir
from controlplane.runtime.network.balanced import BalancedServer, Network, Origins, parse_balancers, start_balanced
from controlplane.runtime.network.renewed_tls import TlsIdentity, renewed_credentials
from controlplane.runtime.network.server import Address, Listener
from controlplane.runtime.refusal import Refusal
from tests.fakes.waiting import until
from tests.unit.controlplane.runtime.network.test_proxy_protocol import header

LOOPBACK = ip_network("127.0.0.0/8")
LAST_WORDS = b"!" * 300_000


def _echo(origins: Origins) -> "grpc.GenericRpcHandler":
    async def say_who(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return origins.address_of(context.peer()).encode()

    return grpc.method_handlers_generic_handler("test", {"Who": grpc.unary_unary_rpc_method_handler(say_who)})


class _Door:
    """A port behind balancers, and a balancer."""

    def __init__(self, server: BalancedServer, authorities: bytes, origins: Origins) -> None:
        self.server = server
        self.origins = origins
        self._authorities = authorities

    async def who(self, port: int) -> str:
        credentials = grpc.ssl_channel_credentials(self._authorities)
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
            who: Any = channel.unary_unary("/test/Who")
            return bytes(await who(b"", timeout=10)).decode()

    @asynccontextmanager
    async def balancer(self, head: bytes) -> AsyncIterator[int]:
        """Its port; it writes `head` before what it hands on."""

        async def hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(65_536):
                writer.write(piece)
            writer.close()

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.server.address.port)
            inner_writer.write(head)
            async with asyncio.TaskGroup() as both:
                both.create_task(hand_on(reader, inner_writer))
                both.create_task(hand_on(inner_reader, writer))

        server = await asyncio.start_server(take, "127.0.0.1", 0)
        async with server:
            yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _door(folder: Path, balancers: tuple[Network, ...]) -> AsyncIterator[_Door]:
    identity = create_keys(DataDir(folder).keys, []).authority.server_identity()
    shown = TlsIdentity(identity.private_key, identity.certificate, None)
    credentials = renewed_credentials(lambda: shown)
    origins = Origins()
    services = [lambda server: server.add_generic_rpc_handlers((_echo(origins),))]
    listener = Listener(Address("127.0.0.1", 0), credentials, services, 1024)
    server = await start_balanced(listener, balancers, origins)
    try:
        yield _Door(server, identity.authorities, origins)
    finally:
        await server.stop()


class _Talkative:
    """In the place of a gRPC server: it says something in the moment in which it stops."""

    def __init__(self) -> None:
        self.asked: list[asyncio.StreamWriter] = []
        self.address = Address("127.0.0.1", 0)

    async def start(self) -> None:
        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(1)
            self.asked.append(writer)

        self._server = await asyncio.start_server(take, "127.0.0.1", 0)
        self.address = Address("127.0.0.1", self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        for writer in self.asked:
            writer.write(LAST_WORDS)
            writer.close()
        self._server.close()


async def test_callers_have_the_address_that_the_balancer_saw(tmp_path: Path) -> None:
    async with _door(tmp_path, (LOOPBACK,)) as door:
        for client in ("192.0.2.7", "2001:db8::7"):
            async with door.balancer(header(client)) as port:
                assert await door.who(port) == client
        async with door.balancer(header("192.0.2.7", command=0x20)) as port:
            assert await door.who(port) == "127.0.0.1"


async def test_others_are_taken_as_they_are_and_cannot_pretend(tmp_path: Path) -> None:
    async with _door(tmp_path, (ip_network("10.89.44.0/24"),)) as door:
        assert await door.who(door.server.address.port) == "127.0.0.1"
        async with door.balancer(header("192.0.2.7")) as port:
            with pytest.raises(grpc.aio.AioRpcError):
                await door.who(port)


async def test_a_balancer_that_says_nothing_is_not_let_in(tmp_path: Path) -> None:
    async with _door(tmp_path, (LOOPBACK,)) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.address.port)
        writer.write(b"\x16\x03\x01" + bytes(100))
        assert await reader.read() == b""
        writer.close()
        assert len(door.origins) == 0


async def test_a_client_that_never_hangs_up_does_not_keep_what_grpc_has_closed(tmp_path: Path) -> None:
    async with _door(tmp_path, ()) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.server.address.port)
        writer.write(b"this is no handshake" * 10)
        while await reader.read(65_536):
            pass
        await until(lambda: len(door.origins) == 0)
        assert not writer.is_closing()
        writer.close()


async def test_what_was_answered_last_arrives_though_the_server_stops() -> None:
    inner = _Talkative()
    await inner.start()
    server = BalancedServer(cast("Any", inner), (), Origins())
    await server.listen(Address("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection("127.0.0.1", server.address.port)
    writer.write(b"?")
    await until(lambda: bool(inner.asked))
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.stop())
        assert len(await reader.read()) == len(LAST_WORDS)
    writer.close()


@pytest.mark.parametrize("text", ["", "10.0.0.7/8", "balancer.example.com", "10.0.0.0/33"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_balancers([text])
    assert refused.value.reason == "BALANCER_INVALID"
