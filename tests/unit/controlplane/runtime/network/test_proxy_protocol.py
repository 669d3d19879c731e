from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.runtime.network.proxy_protocol import HEAD_BYTES, MAX_REST_BYTES, NotProxied, client_of, read_head

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


def header(source: str, *, extra: bytes = b"", command: int = 0x21) -> bytes:
    """As a balancer writes it (haproxy.org, proxy-protocol.txt, section 2.2)."""
    client = ip_address(source)
    there = ip_address("10.0.0.1" if client.version == 4 else "fd00::1")
    rest = client.packed + there.packed + (40_000).to_bytes(2) + (8443).to_bytes(2) + extra
    return SIGNATURE + bytes([command, 0x11 if client.version == 4 else 0x21]) + len(rest).to_bytes(2) + rest


def read(untrusted: bytes) -> str | None:
    head = read_head(untrusted[:HEAD_BYTES])
    return client_of(head, untrusted[HEAD_BYTES:])


@given(client=st.ip_addresses(), extra=st.binary(max_size=200))
def test_the_client_is_who_the_balancer_says_whatever_else_it_says(client: object, extra: bytes) -> None:
    assert read(header(str(client), extra=extra)) == str(client)


def test_a_look_of_the_balancer_itself_speaks_of_nobody() -> None:
    assert read(SIGNATURE + bytes([0x20, 0x00, 0, 0])) is None
    assert read(header("192.0.2.7", command=0x20)) is None


@pytest.mark.parametrize(
    "untrusted",
    [
        b"",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(5),  # TLS, with nobody before it
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 8443\r\n",
        header("192.0.2.7")[:12] + bytes([0x11]) + header("192.0.2.7")[13:],  # version 1
        SIGNATURE + bytes([0x21, 0x31, 0, 216]) + bytes(216),  # a Unix socket
        SIGNATURE + bytes([0x21, 0x12, 0, 12]) + bytes(12),  # UDP
        SIGNATURE + bytes([0x21, 0x21, 0, 12]) + bytes(12),  # too short for IPv6
        SIGNATURE + bytes([0x21, 0x11]) + (MAX_REST_BYTES + 1).to_bytes(2) + bytes(MAX_REST_BYTES + 1),
        header("192.0.2.7")[:-1],
    ],
)
def test_anything_else_is_not_taken(untrusted: bytes) -> None:
    with pytest.raises(NotProxied):
        read(untrusted)


@given(st.binary(max_size=80))
def test_whatever_comes_is_refused_or_is_an_address(tail: bytes) -> None:
    for untrusted in (tail, SIGNATURE + tail):
        try:
            client = read(untrusted)
        except NotProxied:
            continue
        assert client is None or str(ip_address(client)) == client
