import pytest

from agent.control.addresses import Address, device_address, parse_address
from agent.domain.errors import BucklerError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("protect.example.com:8443", Address("protect.example.com", 8443)),
        ("  Protect.Example.COM ", Address("protect.example.com", 8443)),
        ("[::1]:9000", Address("::1", 9000)),
        ("[fe80::1]", Address("fe80::1", 8443)),
        ("127.0.0.1:1", Address("127.0.0.1", 1)),
    ],
)
def test_an_address_is_read_as_people_write_it(text: str, expected: Address) -> None:
    assert parse_address(text) == expected
    assert parse_address(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", ":1", "host:", "host:x", "host:0", "host:65536", "https://host", "::1", "[::1", "[::1]x", "host:²",
        f"host:{'1' * 5000}", "ho\nst:1", "\udcff:1",
    ],
)  # fmt: skip
def test_nonsense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BucklerError) as refused:
        parse_address(text)
    assert refused.value.code == "SERVER_ADDRESS_INVALID"
    assert "HOST:PORT" in refused.value.next_step


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_alone_is_on_the_host_that_was_asked(host: str) -> None:
    assert device_address(":8444", Address(host, 8443)) == Address(host, 8444)


def test_an_announced_host_goes_before_the_host_that_was_asked() -> None:
    assert device_address("devices.example.com:1", Address("x", 2)) == Address("devices.example.com", 1)
