import pytest

from controlplane.runtime.network.server import Address, parse_address
from controlplane.runtime.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8443", Address("127.0.0.1", 8443)),
        ("[::1]:0", Address("::1", 0)),
        ("protect.example.com:443", Address("protect.example.com", 443)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "8443", ":8443", "127.0.0.1", "127.0.0.1:", "host:65536", "host:-1", "host:٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_address(text)
    assert refused.value.reason == "ADDRESS_INVALID"
