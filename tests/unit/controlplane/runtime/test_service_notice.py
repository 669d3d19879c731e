import os
import socket
from pathlib import Path

from controlplane.runtime.service_notice import stopping, tell_supervisor


def test_what_is_said_arrives(tmp_path: Path) -> None:
    for address in (str(tmp_path / "notify"), f"@buckler-server-test-{os.getpid()}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
            ear.bind(address.replace("@", "\0"))
            ear.settimeout(30)
            tell_supervisor("READY=1", "STATUS=serving", environment={"NOTIFY_SOCKET": address})
            assert ear.recv(1000) == b"READY=1\nSTATUS=serving"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    tell_supervisor("READY=1", environment={})
    tell_supervisor("READY=1", environment={"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_drains_is_given_that_time_on_top() -> None:
    assert stopping(0.0) == ("STOPPING=1", "EXTEND_TIMEOUT_USEC=60000000")
    assert stopping(600.0) == ("STOPPING=1", "EXTEND_TIMEOUT_USEC=660000000")
