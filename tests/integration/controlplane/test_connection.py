"""What `bucklerctl` says of a server that is not there, on a real loopback."""

import socket

from controlplane.cli.ctl.connection import ServerAddress, probe


def test_a_closed_port_is_unreachable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert probe(ServerAddress("127.0.0.1", port), "").reason == "SERVER_UNREACHABLE"
