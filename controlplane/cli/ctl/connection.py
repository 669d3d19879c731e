"""Calls to the control plane, and what it means when they fail."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import grpc

from controlplane.cli.ctl.session import Session
from controlplane.runtime.call_statuses import STATUS
from controlplane.runtime.refusal import Holder, Kind, Refusal
from controlplane.storage.microseconds import from_microseconds
from wire.entitlement_codec import ERROR_DETAIL_METADATA, REQUEST_ID_METADATA
from wire.v1.common_pb2 import ErrorDetail

#: A person waits for the answer.
CALL_TIMEOUT_S = 20.0
PROBE_TIMEOUT_S = 5.0
DEFAULT_PORT = 8443
MAX_PORT = 65_535
_MAX_DIGITS = 5

# `ENVIRONMENT` shares its status with `PRECONDITION`; a server never says it over the wire.
_KIND_OF_STATUS = {status: kind for kind, status in STATUS.items() if kind is not Kind.ENVIRONMENT}
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a control plane answers."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_server(text: str) -> ServerAddress:
    """Read HOST, HOST:PORT or [IPV6]:PORT; without a port it is 8443.

    Raises:
        Refusal: SERVER_INVALID.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        port = port.removeprefix(":") if bracket else "?"
    else:
        host, _, port = text.partition(":")
    port = port or str(DEFAULT_PORT)
    # No number of a port is longer; Python refuses to read one of thousands of digits.
    is_number = port.isascii() and port.isdigit() and len(port) <= _MAX_DIGITS
    if not host.isprintable() or not host or "/" in host or not is_number or not 0 < int(port) <= MAX_PORT:
        raise Refusal(
            Kind.INVALID,
            "SERVER_INVALID",
            "the server's address is not HOST:PORT",
            "Write it like protect.example.com:8443",
        )
    return ServerAddress(host, int(port))


class Connection:
    """A channel to a control plane. Use `connected` to get one."""

    def __init__(self, channel: grpc.Channel, session: Session) -> None:
        self.channel = channel
        self._session = session

    def call(self, method: Callable[..., _Answer], request: Any) -> _Answer:
        """Call a method of a stub.

        Raises:
            Refusal: What the server said; or SERVER_UNKNOWN, SERVER_UNREACHABLE, SERVER_NOT_TRUSTED.
        """
        metadata = (("authorization", f"Bearer {self._session.token}"),) if self._session.token else ()
        try:
            return method(request, timeout=CALL_TIMEOUT_S, metadata=metadata)
        except grpc.RpcError as error:
            raise self._explained(error) from error

    def _explained(self, error: grpc.RpcError) -> Refusal:
        # A failed call is a `grpc.Call` as well, which the stubs do not say.
        failed = cast("grpc.Call", error)
        said = dict(failed.trailing_metadata() or ())
        untrusted_detail, request_id = said.get(ERROR_DETAIL_METADATA), said.get(REQUEST_ID_METADATA)
        if isinstance(untrusted_detail, bytes):
            detail = ErrorDetail.FromString(untrusted_detail)
            if isinstance(request_id, str):
                # Under this the server's log says more.
                detail.facts["request_id"] = request_id
            return _refusal(failed.code(), detail)
        if failed.code() is grpc.StatusCode.UNIMPLEMENTED:
            return Refusal(
                Kind.PRECONDITION,
                "NOT_OFFERED",
                "this server does not offer this",
                "Update the server",
            )
        if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return _unreachable(self._session.server, f"no answer within {CALL_TIMEOUT_S:.0f} seconds")
        return probe(parse_server(self._session.server), self._session.authorities_pem)


@contextmanager
def connected(session: Session) -> Iterator[Connection]:
    """Connect to the server of a session.

    Raises:
        Refusal: CA_INVALID, the authorities are no certificates.
    """
    authorities = session.authorities_pem.encode() or None
    _context(session.authorities_pem)
    credentials = grpc.ssl_channel_credentials(root_certificates=authorities)
    address = parse_server(session.server)
    with grpc.secure_channel(str(address), credentials) as channel:
        yield Connection(channel, session)


def probe(address: ServerAddress, authorities_pem: str) -> Refusal:
    """Find out why nothing came back, step by step: name, connection, certificate.

    Args:
        address: The server.
        authorities_pem: What its certificate has to chain to; empty: the machine's own authorities.
    """
    context = _context(authorities_pem)
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((address.host, address.port), PROBE_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=address.host),
        ):
            return _silent(str(address))
    # A name with a part that is empty or too long is not even asked for.
    except (socket.gaierror, UnicodeError):
        return Refusal(
            Kind.UNAVAILABLE,
            "SERVER_UNKNOWN",
            f"the name {address.host} is not known",
            "Check the spelling of the address and this machine's name resolution",
        )
    except ssl.SSLCertVerificationError as error:
        return _not_trusted(str(address), error.verify_message)
    except ssl.SSLError:
        return _not_trusted(str(address), "it does not speak TLS")
    except OSError as error:
        return _unreachable(str(address), error.strerror or "timed out")


def _context(authorities_pem: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authorities_pem or None)
    except (ssl.SSLError, ValueError) as error:
        raise Refusal(
            Kind.INVALID,
            "CA_INVALID",
            "the file of certificate authorities contains no certificate",
            "Give the file ca.pem of the control plane with --ca",
        ) from error


def _not_trusted(server: str, why: str) -> Refusal:
    return Refusal(
        Kind.UNAVAILABLE,
        "SERVER_NOT_TRUSTED",
        f"{server} did not prove that it is your control plane: {why}",
        "Compare address and CA file with what the operator gave you, then: bucklerctl login … --ca FILE",
    )


def _unreachable(server: str, why: str) -> Refusal:
    return Refusal(
        Kind.UNAVAILABLE,
        "SERVER_UNREACHABLE",
        f"{server} cannot be reached: {why}",
        "Check that the server runs and that the network lets you through, then try again",
    )


def _silent(server: str) -> Refusal:
    """The port of devices is silent to whoever has no certificate, and is easily taken for this one."""
    return Refusal(
        Kind.UNAVAILABLE,
        "SERVER_UNREACHABLE",
        f"{server} accepts connections but did not answer",
        f"Check that this is the port for people (usually {DEFAULT_PORT}) and not that of devices, then try again",
    )


def _refusal(status: grpc.StatusCode, detail: ErrorDetail) -> Refusal:
    return Refusal(
        kind=_KIND_OF_STATUS.get(status, Kind.UNAVAILABLE),
        reason=detail.reason,
        message=detail.message,
        next_step=detail.next_step,
        retry_after_s=detail.retry_after_s,
        seat_holders=tuple(
            Holder(
                seat_id=holder.seat_id,
                device_id=holder.device_id,
                device_name=holder.device_name,
                held_since=from_microseconds(holder.held_since_at_us),
                last_seen=from_microseconds(holder.last_seen_at_us) if holder.last_seen_at_us else None,
            )
            for holder in detail.seat_holders
        ),
        facts=dict(detail.facts),
    )
