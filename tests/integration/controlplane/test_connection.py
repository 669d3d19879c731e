"""What `bucklerctl` says of a server that is not there, on a real loopback."""

from controlplane.cli.ctl.connection import ServerAddress, probe
from tests.integration.free_ports import free_ports


def test_a_closed_port_is_unreachable() -> None:
    (port,) = free_ports(1)
    assert probe(ServerAddress("127.0.0.1", port), "").reason == "SERVER_UNREACHABLE"
