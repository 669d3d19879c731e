import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.platform.services.service_notice import ServiceNotice


@pytest.fixture(name="ear")
def systemds_ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(str(tmp_path / "notify"))
        ear.settimeout(30)
        yield ear


def heard(ear: socket.socket) -> list[str]:
    return ear.recv(4096).decode().split("\n")


def test_what_is_said_arrives_as_sd_notify_has_it(ear: socket.socket) -> None:
    notice = ServiceNotice(ear.getsockname())
    notice.ready("protected\nroots=/home")
    assert heard(ear) == ["READY=1", "STATUS=protected roots=/home"]
    notice.alive("well")
    assert heard(ear) == ["WATCHDOG=1", "STATUS=well"]
    notice.still_starting("starting", 60)
    assert heard(ear) == ["EXTEND_TIMEOUT_USEC=60000000", "WATCHDOG=1", "STATUS=starting"]
    notice.stopping()
    assert heard(ear) == ["STOPPING=1", "STATUS=stopping"]


def test_a_name_that_is_no_utf_8_and_a_long_one_do_no_harm(ear: socket.socket) -> None:
    ServiceNotice(ear.getsockname()).alive("/home/\udcff" + "x" * 10_000)
    said = ear.recv(4096)
    assert b"/home/\xff" in said
    assert len(said) < 1000


def test_an_abstract_address_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(f"\0buckler-test-{os.getpid()}")
        ear.settimeout(30)
        ServiceNotice(f"@buckler-test-{os.getpid()}").stopping()
        assert heard(ear)[0] == "STOPPING=1"


def test_where_nobody_listens_nothing_happens(tmp_path: Path) -> None:
    ServiceNotice().ready("protected")
    ServiceNotice(str(tmp_path / "gone")).ready("protected")
    assert list(tmp_path.iterdir()) == []


def test_what_systemd_left_is_taken_and_handed_on_only_to_a_successor() -> None:
    told = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "120000000", "WATCHDOG_PID": str(os.getpid())}
    environment = {"PATH": "/bin", **told}
    notice = ServiceNotice.from_environment(environment)
    assert environment == {"PATH": "/bin"}
    assert (notice.is_heard, notice.alive_within_s, notice.environment) == (True, 120.0, told)


@pytest.mark.parametrize(
    "told",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}],
)
def test_signs_are_given_only_where_they_are_asked_for(told: dict[str, str]) -> None:
    assert ServiceNotice.from_environment(dict(told)).alive_within_s is None
