"""Reads the PROXY protocol, version 2: what a TCP balancer writes before the first byte, to say who is behind it.

Only version 2: its length stands at the front, so that nothing of what follows is ever read as a part of it.
"""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
#: Signature, version and command, family and transport, length.
HEAD_BYTES: Final = 16
#: Addresses need 36 at most; the rest is room for what a balancer may add about itself.
MAX_REST_BYTES: Final = 1024
_LOCAL, _PROXY = 0x20, 0x21
#: Bytes of one address, by family and transport: TCP over IPv4, TCP over IPv6.
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}
_PORTS_BYTES: Final = 4


class NotProxied(ValueError):  # noqa: N818 -- a sentence, not an error of ours
    """What came first is not what a balancer writes."""


@dataclass(frozen=True, slots=True)
class ProxyHead:
    """The fixed part.

    Attributes:
        speaks_of: Bytes of each address that follows; 0: the connection is the balancer's own.
        rest_bytes: How much follows.
    """

    speaks_of: int
    rest_bytes: int


def read_head(untrusted: bytes) -> ProxyHead:
    """Read the fixed part.

    Args:
        untrusted: Its HEAD_BYTES.

    Raises:
        NotProxied: Another protocol or version, or a length beyond MAX_REST_BYTES.
    """
    if len(untrusted) != HEAD_BYTES or not untrusted.startswith(_SIGNATURE):
        raise NotProxied("no header of the PROXY protocol, version 2")
    command, family = untrusted[12], untrusted[13]
    rest_bytes = int.from_bytes(untrusted[14:])
    if command not in {_LOCAL, _PROXY} or rest_bytes > MAX_REST_BYTES:
        raise NotProxied("a header that says nothing we know")
    speaks_of = _ADDRESS_BYTES.get(family, 0) if command == _PROXY else 0
    if command == _PROXY and (speaks_of == 0 or rest_bytes < 2 * speaks_of + _PORTS_BYTES):
        raise NotProxied("a header without the address of a TCP client")
    return ProxyHead(speaks_of, rest_bytes)


def client_of(head: ProxyHead, untrusted_rest: bytes) -> str | None:
    """Address of the client; None: the connection is the balancer's own.

    Raises:
        NotProxied: Less came than was promised.
    """
    if len(untrusted_rest) != head.rest_bytes:
        raise NotProxied("a header that breaks off")
    if not head.speaks_of:
        return None
    return str(ip_address(untrusted_rest[: head.speaks_of]))
