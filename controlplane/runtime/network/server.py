"""The gRPC servers: addresses, TLS, limits, start and stop. What they serve is decided in `app.py`."""

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import grpc

from controlplane.runtime.refusal import Kind, Refusal

#: Activation and people's requests are small.
MAX_PEOPLE_MESSAGE_BYTES: Final = 1024 * 1024
#: A report carries up to 200 incidents.
MAX_DEVICE_MESSAGE_BYTES: Final = 4 * 1024 * 1024
#: How long calls in flight may take to end once the server is told to stop.
STOP_GRACE_S: Final = 5.0
#: Below the idle limits of common middleboxes.
_KEEPALIVE_MS: Final = 60_000
_KEEPALIVE_TIMEOUT_MS: Final = 20_000
#: Clients may ping this often before they are told to calm down.
_MIN_PING_INTERVAL_MS: Final = 20_000
#: A connection is closed (orderly, with jitter by gRPC) after this long: no peer outlives its certificate by much.
_MAX_CONNECTION_AGE_MS: Final = 3_600_000
_MAX_CONNECTION_AGE_GRACE_MS: Final = 30_000

#: Each connection holds a buffer of this size; gRPC's own is 16 KiB, and most messages are far smaller.
_TLS_RECORD_BYTES: Final = 4_096

Register = Callable[[grpc.aio.Server], None]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0: any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """One port and what is served there.

    Attributes:
        address: Where.
        credentials: TLS, or mutual TLS.
        services: Each adds its servicer to the server.
        max_message_bytes: A larger request is refused before it is parsed.
    """

    address: Address
    credentials: grpc.ServerCredentials
    services: Sequence[Register]
    max_message_bytes: int


def parse_address(text: str) -> Address:
    """Read `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
        Refusal: ADDRESS_INVALID.
    """
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:  # noqa: PLR2004 -- TCP's last port
        raise Refusal(
            Kind.INVALID,
            "ADDRESS_INVALID",
            f"{text!r} is not an address to listen on",
            "Write HOST:PORT, for example 127.0.0.1:8443 or [::1]:8443",
            facts={"address": text},
        )
    return Address(host, int(port))


def parse_announced(text: str) -> str:
    """Check `HOST:PORT`, or `:PORT` for the host that was asked.

    Raises:
        Refusal: ADDRESS_INVALID.
    """
    if text.startswith(":"):
        return f":{parse_address(f'host{text}').port}"
    return str(parse_address(text))


class RunningServer:
    """One listening server."""

    def __init__(self, server: grpc.aio.Server, address: Address) -> None:
        self._server = server
        self.address = address

    async def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Refuse new calls, let those in flight end, then close."""
        await self._server.stop(grace_s)


async def start_server(listener: Listener, *interceptors: grpc.aio.ServerInterceptor) -> RunningServer:
    """Listen and serve, with the first interceptor around all others.

    Raises:
        Refusal: PORT_IN_USE, LISTEN_FORBIDDEN or LISTEN_FAILED.
    """
    server = grpc.aio.server(
        interceptors=interceptors,
        options=[
            # Two servers that share a port by accident would each get some of the calls.
            ("grpc.so_reuseport", 0),
            ("grpc.tsi.max_frame_size", _TLS_RECORD_BYTES),
            ("grpc.max_receive_message_length", listener.max_message_bytes),
            ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.min_recv_ping_interval_without_data_ms", _MIN_PING_INTERVAL_MS),
            ("grpc.max_connection_age_ms", _MAX_CONNECTION_AGE_MS),
            ("grpc.max_connection_age_grace_ms", _MAX_CONNECTION_AGE_GRACE_MS),
        ],
    )
    for register in listener.services:
        register(server)
    try:
        port = server.add_secure_port(str(listener.address), listener.credentials)
    except RuntimeError as error:
        raise cannot_listen(listener.address) from error
    if port == 0:
        raise cannot_listen(listener.address)
    await server.start()
    return RunningServer(server, Address(listener.address.host, port))


def cannot_listen(address: Address) -> Refusal:
    """Why an address cannot be had; servers do not say, so the operating system is asked again."""
    reason = _bind_error(address)
    facts = {"address": str(address)}
    if reason == errno.EADDRINUSE:
        return Refusal(
            Kind.ENVIRONMENT,
            "PORT_IN_USE",
            f"another program listens on {address}",
            f"Stop it, or choose another port; to see who it is: ss -ltnp 'sport = :{address.port}'",
            facts=facts,
        )
    if reason == errno.EACCES:
        return Refusal(
            Kind.ENVIRONMENT,
            "LISTEN_FORBIDDEN",
            f"this user may not listen on {address}",
            "Choose a port above 1023, or give the service the capability CAP_NET_BIND_SERVICE",
            facts=facts,
        )
    return Refusal(
        Kind.ENVIRONMENT,
        "LISTEN_FAILED",
        f"this machine cannot listen on {address}",
        "Choose an address that this machine has; 0.0.0.0 and [::] mean all of them",
        facts=facts,
    )


def _bind_error(address: Address) -> int | None:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address.host, address.port))
        except OSError as error:
            return error.errno
    return None
