"""A port behind a TCP balancer: learns who is behind each connection and hands its bytes on to the gRPC server.

gRPC cannot read the PROXY protocol. Without it every caller has the balancer's address, and one of them who guesses
passwords locks all others out. So this listens in front, reads the header, and joins the connection to the gRPC server
on loopback; TLS goes through untouched. Only for the port of people: the other one counts nothing by address.
"""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import grpc
import structlog

from controlplane.runtime.interceptors import peer_address
from controlplane.runtime.network.proxy_protocol import HEAD_BYTES, NotProxied, client_of, read_head
from controlplane.runtime.network.server import Address, Listener, RunningServer, cannot_listen, start_server
from controlplane.runtime.refusal import Kind, Refusal

Network = IPv4Network | IPv6Network
#: A balancer writes its header at once.
_HEADER_S: Final = 5.0
#: Seconds for what gRPC said last to get out, once it has stopped.
_LAST_WORDS_S: Final = 2.0
_PIECE_BYTES: Final = 64 * 1024
_LOOPBACK: Final = "127.0.0.1"
_log = structlog.get_logger(__name__)


def parse_balancers(texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and networks (`10.0.0.7`, `10.89.0.0/24`).

    Raises:
        Refusal: BALANCER_INVALID.
    """
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text))
        except ValueError as error:
            raise Refusal(
                Kind.INVALID,
                "BALANCER_INVALID",
                f"{text!r} is neither an address nor a network",
                "Write for example 10.0.0.7 or 10.89.0.0/24, with nothing after the network's own bits",
                facts={"balancer": text},
            ) from error
    return tuple(networks)


class Origins:
    """Who is behind the connections that come from loopback."""

    def __init__(self) -> None:
        self._by_port: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._by_port)

    def note(self, port: int, address: str) -> None:
        """The connection that comes from this port of ours is this client's."""
        self._by_port[port] = address

    def forget(self, port: int) -> None:
        """It is over."""
        self._by_port.pop(port, None)

    def address_of(self, peer: str) -> str:
        """The address behind a gRPC peer, without a port."""
        address, port = peer_address(peer), peer.rpartition(":")[2]
        return self._by_port.get(int(port), address) if address == _LOOPBACK and port.isdigit() else address


class BalancedServer:
    """A gRPC server on loopback and the port before it.

    Args:
        inner: The gRPC server.
        balancers: Who writes the header; connections of all others are taken as they are.
        origins: Told about each connection.
    """

    def __init__(self, inner: RunningServer, balancers: Sequence[Network], origins: Origins) -> None:
        self._inner = inner
        self._balancers = balancers
        self._origins = origins
        self._server: asyncio.Server | None = None
        self._taken: set[asyncio.Task[None]] = set()
        self.address = inner.address

    async def listen(self, address: Address) -> None:
        """Take connections.

        Raises:
            Refusal: PORT_IN_USE, LISTEN_FORBIDDEN or LISTEN_FAILED.
        """
        try:
            self._server = await asyncio.start_server(self._take, address.host, address.port)
        except OSError as error:
            raise cannot_listen(address) from error
        self.address = Address(address.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Refuse new connections, let calls in flight end, then close."""
        if self._server is not None:
            self._server.close()
        await self._inner.stop()
        if self._taken:
            # gRPC has closed its ends; what it wrote before is on its way through here.
            _, late = await asyncio.wait(self._taken, timeout=_LAST_WORDS_S)
            for task in late:
                task.cancel()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, peer = asyncio.current_task(), writer.get_extra_info("peername")[0]
        assert task is not None, "the server of asyncio makes one for each connection"
        self._taken.add(task)
        try:
            await self._join(reader, writer, await self._origin(reader, peer))
        except NotProxied as error:
            _log.warning("balancer_header_missing", why=str(error), peer=peer)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Either side went away, or we stop; whoever waits on the other one sees that.
            pass
        finally:
            self._taken.discard(task)
            writer.close()

    async def _origin(self, reader: asyncio.StreamReader, peer: str) -> str:
        address = ip_address(peer.partition("%")[0])
        # A port that listens on both kinds of addresses shows the older ones so.
        address = getattr(address, "ipv4_mapped", None) or address
        if not any(address in network for network in self._balancers):
            return str(address)
        async with asyncio.timeout(_HEADER_S):
            head = read_head(await reader.readexactly(HEAD_BYTES))
            return client_of(head, await reader.readexactly(head.rest_bytes)) or str(address)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, origin: str) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(_LOOPBACK, self._inner.address.port)
        port = inner_writer.get_extra_info("sockname")[1]
        # Before the first byte reaches gRPC, so that no call runs under another name.
        self._origins.note(port, origin)
        try:
            async with asyncio.TaskGroup() as both:
                asking = both.create_task(_copy(reader, inner_writer))
                await _copy(inner_reader, writer)
                # gRPC closes both directions at once; a client that does not would keep this open for ever.
                asking.cancel()
        except* OSError:
            pass
        finally:
            self._origins.forget(port)
            inner_writer.close()


async def start_balanced(
    listener: Listener, balancers: Sequence[Network], origins: Origins, *interceptors: grpc.aio.ServerInterceptor
) -> BalancedServer:
    """Listen behind balancers and serve.

    Raises:
        Refusal: As `start_server`.
    """
    inside = Listener(Address(_LOOPBACK, 0), listener.credentials, listener.services, listener.max_message_bytes)
    server = BalancedServer(await start_server(inside, *interceptors), balancers, origins)
    try:
        await server.listen(listener.address)
    except Refusal:
        await server.stop()
        raise
    return server


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on until the sender is done, and say so."""
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
