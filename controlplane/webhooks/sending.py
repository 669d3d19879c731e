"""Posting to webhooks over HTTP/1.1, without becoming a way into the operator's own network.

A name is resolved here, every address it has must be allowed, and the connection goes to one of exactly these: a name
that changes its address in between gains nothing. Redirects are not followed and answers are not read beyond their
first line.
"""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Protocol

from controlplane.webhooks.model import Target
from controlplane.webhooks.ports import NotDeliveredError

#: For everything: resolving, connecting, sending, the first line of the answer.
TIMEOUT_S: Final = 10.0
_MAX_STATUS_LINE = 1_024
_STATUS_DIGITS = 3
#: RFC 6052: IPv4 addresses, private ones too, behind a translator.
_TRANSLATED = 0x0064_FF9B << 96

Address = IPv4Address | IPv6Address


class AddressPolicy(Protocol):
    """Whom webhooks may reach."""

    @property
    def plain_http(self) -> bool:
        """Whether `http:` will do."""

    def allows(self, address: Address) -> bool:
        """Whether this address may be connected to."""


class PublicAddresses:
    """HTTPS, to addresses of the public internet."""

    plain_http = False

    def allows(self, address: Address) -> bool:
        """Not private, loopback, link-local, multicast, reserved; nor such an address in an IPv6 disguise."""
        return all(each.is_global and not each.is_multicast for each in (address, *_inside(address)))


def _inside(address: Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if int(address) >> 96 == _TRANSLATED >> 96:
        found.append(IPv4Address(int(address) & 0xFFFF_FFFF))
    return tuple(each for each in found if each is not None)


class HttpSender:
    """Implements `Sender`.

    Args:
        policy: Whom it may reach.
        trust: Certificates that are believed; None: those of the system.
    """

    def __init__(self, policy: AddressPolicy, trust: ssl.SSLContext | None = None) -> None:
        self._policy = policy
        self._trust = trust

    async def check(self, target: Target) -> None:
        """See `Sender.check`."""
        await self._addresses(target)

    async def send(self, target: Target, headers: Mapping[str, str], body: bytes) -> None:
        """See `Sender.send`."""
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(target, headers, body)
        except TimeoutError as error:
            raise NotDeliveredError(f"there was no answer within {TIMEOUT_S:.0f} seconds") from error
        except ssl.SSLError as error:
            raise NotDeliveredError("its certificate was not accepted") from error
        except OSError as error:
            raise NotDeliveredError("it could not be reached") from error
        if not 200 <= status < 300:  # noqa: PLR2004 -- as HTTP says
            raise NotDeliveredError(f"it answered with status {status}")

    async def _addresses(self, target: Target) -> Sequence[Address]:
        if target.scheme != "https" and not self._policy.plain_http:
            raise NotDeliveredError("its URL does not begin with https:")
        try:
            found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotDeliveredError("its name is not known") from error
        addresses = [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._policy.allows(address) for address in addresses):
            raise NotDeliveredError("it is not a public address")
        return addresses

    async def _post(self, target: Target, headers: Mapping[str, str], body: bytes) -> int:
        address = (await self._addresses(target))[0]
        secure = target.scheme == "https"
        reader, writer = await asyncio.open_connection(
            str(address),
            target.port,
            ssl=(self._trust or ssl.create_default_context()) if secure else None,
            server_hostname=target.host if secure else None,
            limit=_MAX_STATUS_LINE,
        )
        try:
            writer.write(_head(target, headers, len(body)) + body)
            await writer.drain()
            return _status(await reader.readline())
        except ValueError as error:
            raise NotDeliveredError("its answer is not HTTP") from error
        finally:
            # Not waited for: an endpoint that does not close its side must not hold us.
            writer.transport.abort()


def _head(target: Target, headers: Mapping[str, str], length: int) -> bytes:
    host = f"[{target.host}]" if ":" in target.host else target.host
    usual = {"https": 443, "http": 80}[target.scheme]
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {host}" if target.port == usual else f"Host: {host}:{target.port}",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {length}",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _status(line: bytes) -> int:
    parts = line.split(b" ", 2)
    if not parts[0].startswith(b"HTTP/1.") or len(parts) == 1 or len(parts[1].strip()) != _STATUS_DIGITS:
        raise ValueError("not a status line")
    return int(parts[1])
