import pytest

from controlplane.runtime.certificates import device_from_certificate
from controlplane.runtime.interceptors import peer_address
from controlplane.runtime.principal import DevicePrincipal


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:127.0.0.1:5000", "127.0.0.1"),
        ("ipv6:[::1]:5000", "::1"),
        ("ipv6:%5B::1%5D:5000", "::1"),
        ("unix:/run/x", "unix:/run/x"),
        ("", ""),
    ],
)
def test_a_peer_is_known_by_its_address_whatever_port_it_calls_from(peer: str, address: str) -> None:
    assert peer_address(peer) == address


def test_a_device_is_who_its_certificate_says() -> None:
    names = (b"example.com", b"urn:buckler:org:org_1:device:dev_2")
    assert device_from_certificate(names, b"key") == DevicePrincipal("dev_2", "org_1", b"key")


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"urn:buckler:org:org_1",
        b"urn:buckler:org::device:dev_2",
        b"urn:buckler:org:org_1:device:dev_2:org:other",
        b"urn:buckler:org:org_1:device:dev_2\n",
        b"urn:buckler:org:org_1:device:\xff",
        b"x-urn:buckler:org:org_1:device:dev_2",
    ],
)
def test_any_other_name_is_no_device(name: bytes) -> None:
    assert device_from_certificate((name,), b"key") is None
