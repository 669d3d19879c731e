from ipaddress import ip_address

import pytest

from controlplane.webhooks.sending import PublicAddresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a00:1",
        "2002:0a00:0001::1",
    ],
)
def test_addresses_inside_are_refused_in_every_disguise(address: str) -> None:
    assert not PublicAddresses().allows(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert PublicAddresses().allows(ip_address(address))
