"""`buckler service` with the real vault, the real process and no supervisor: what is destroyed, what is said."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.invocation import Common
from agent.cli.main import run_command
from agent.cli.service_wiring import remains_of
from agent.domain.errors import BucklerError, ExitStatus
from agent.service.remains import Held, refuse_to_destroy
from tests.fakes.eicar import EICAR
from tests.integration.compiled_rules import device_folder

BUCKLER = str(Path(sys.executable).parent / "buckler")
no_systemd = pytest.mark.skipif(Path("/run/systemd/system").is_dir(), reason="systemd runs this machine")


@pytest.fixture(name="data")
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BUCKLER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BUCKLER_CONFIG", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / "data"


@pytest.fixture(name="prepared")
def data_folder_with_rules(data: Path) -> Path:
    return device_folder(data)


@pytest.fixture(name="taken")
def file_in_the_vault(prepared: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "eicar.com"
    path.write_bytes(EICAR)
    assert run_command(["scan", "--quarantine", str(path)]) == ExitStatus.NEGATIVE
    assert not path.exists()
    assert list((prepared / "vault").glob("*.bkq"))
    capfd.readouterr()
    return path


# ---------------------------------------------------------------- what may be destroyed


def test_a_vault_with_a_file_is_not_destroyed_until_it_is_restored(data: Path, taken: Path) -> None:
    remains = remains_of(Common())
    assert remains.held() == Held(1, len(EICAR))
    with pytest.raises(BucklerError) as refused:
        refuse_to_destroy(remains, discard_quarantine=False)
    assert refused.value.code == "QUARANTINE_NOT_EMPTY"
    [entry] = list((data / "vault").glob("*.bkq"))
    assert run_command(["quarantine", "restore", entry.stem]) == 0
    assert taken.read_bytes() == EICAR
    refuse_to_destroy(remains, discard_quarantine=False)
    remains.destroy()
    assert not data.exists()


def test_a_person_may_say_that_nobody_wants_it(data: Path, taken: Path) -> None:
    remains = remains_of(Common())
    refuse_to_destroy(remains, discard_quarantine=True)
    remains.destroy()
    assert not data.exists()
    assert not taken.exists()


def test_a_vault_that_cannot_be_counted_is_not_taken_for_empty(data: Path, taken: Path) -> None:
    assert not taken.exists()
    (data / "agent.db").write_bytes(b"no database" * 1000)
    with pytest.raises(BucklerError) as refused:
        refuse_to_destroy(remains_of(Common()), discard_quarantine=False)
    assert refused.value.code.startswith("DATABASE_")
    assert list((data / "vault").glob("*.bkq"))


# ---------------------------------------------------------------- what people are told


@no_systemd
@pytest.mark.skipif(sys.platform != "linux", reason="the supervisor of Linux")
@pytest.mark.parametrize("what", ["install", "uninstall", "start", "stop", "status"])
@pytest.mark.usefixtures("data")
def test_without_systemd_every_command_says_what_to_do(what: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["service", what, "--output", "json"]) == ExitStatus.ENVIRONMENT
    error = json.loads(capfd.readouterr().err)["error"]
    assert error["code"] == "SERVICE_NO_SUPERVISOR"
    assert error["next_step"]


@pytest.mark.usefixtures("data")
def test_discarding_without_purging_is_a_mistake(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["service", "uninstall", "--discard-quarantine"]) == ExitStatus.BAD_INPUT
    assert "--purge" in capfd.readouterr().err


# ---------------------------------------------------------------- what the supervisor is told


class Systemd:
    """The ear of systemd: hears what a service says, until it has heard enough."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(30)

    def wait_for(self, line: str) -> list[str]:
        """Returns what was said before it."""
        before: list[str] = []
        while True:
            said = self._socket.recv(4096).decode()
            if line in said.split("\n"):
                return before
            before.append(said)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(name="systemd")
def ear(tmp_path: Path) -> Iterator[Systemd]:
    systemd = Systemd(tmp_path / "notify")
    yield systemd
    systemd.close()


@pytest.fixture(name="agent")
def agent_of_systemd(tmp_path: Path, prepared: Path, systemd: Systemd) -> Iterator["subprocess.Popen[bytes]"]:
    root = tmp_path / "root"
    root.mkdir()
    env = {
        **os.environ,
        "BUCKLER_DATA_DIR": str(prepared),
        "BUCKLER_REALTIME__SOURCE": "watchdog",
        "BUCKLER_SCANNER__WORKERS": "1",
        "NOTIFY_SOCKET": str(systemd.path),
        "WATCHDOG_USEC": "1000000",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen([BUCKLER, "run", "--root", str(root)], env=env, stderr=log)
    yield process
    if process.poll() is None:
        process.kill()
    process.wait()


def test_started_means_proven_and_it_lives_until_it_is_told_to_stop(
    agent: "subprocess.Popen[bytes]", systemd: Systemd, tmp_path: Path
) -> None:
    before = systemd.wait_for("READY=1")
    assert all("EXTEND_TIMEOUT_USEC=" in said for said in before)
    # The line that people see is written before systemd hears of it.
    assert b"protected roots=" in (tmp_path / "log").read_bytes()
    systemd.wait_for("WATCHDOG=1")
    systemd.wait_for("WATCHDOG=1")
    agent.send_signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert agent.wait(30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_worker_can_speak_for_the_service(agent: "subprocess.Popen[bytes]", systemd: Systemd) -> None:
    systemd.wait_for("READY=1")
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    assert children
    for child in children:
        assert b"NOTIFY_SOCKET" not in Path(f"/proc/{child}/environ").read_bytes()
