import pytest

from controlplane.cli.ctl.connection import ServerAddress, connected, parse_server
from controlplane.cli.ctl.session import Session
from controlplane.runtime.refusal import Refusal


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("protect.example.com:9000", ServerAddress("protect.example.com", 9000)),
        ("protect.example.com", ServerAddress("protect.example.com", 8443)),
        ("[::1]:9000", ServerAddress("::1", 9000)),
        ("[::1]", ServerAddress("::1", 8443)),
    ],
)
def test_addresses_are_read(text: str, address: ServerAddress) -> None:
    assert parse_server(text) == address
    assert parse_server(str(address)) == address


@pytest.mark.parametrize(
    "text",
    ["", ":1", "a:b", "a:0", "a:65536", "a:-1", "https://a", "::1", "[::1", "a:\u0661", f"a:{'1' * 5000}"],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_server(text)
    assert caught.value.reason == "SERVER_INVALID"


@pytest.mark.parametrize("text", ["a\nb:1", "\udcff:1"])
def test_what_nobody_can_read_is_no_address(text: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_server(text)
    assert caught.value.reason == "SERVER_INVALID"


def test_authorities_that_are_none_are_refused_before_anything_is_sent() -> None:
    with pytest.raises(Refusal) as caught, connected(Session("127.0.0.1:1", "not PEM", "", "")):
        pass
    assert caught.value.reason == "CA_INVALID"
