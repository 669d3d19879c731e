"""An admin asks a device to do things, the device does them at once, also when it was away.

Check-ins are an hour apart: what arrives earlier came by the device's stream, or with its first check-in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dropper import drop
from tests.e2e.installation import Admin, Device, Server, wait_until
from tests.e2e.processes import Finished


class Office:
    """A served subscription and whoever manages it."""

    def __init__(self, scratch: Path) -> None:
        self.server = Server(scratch / "server", check_in_interval_s=3_600)
        self.admin = Admin(self.server, scratch / "admin")
        self.key: str = self.server.copy("family-10")["activation_key"]
        self.server.start()
        self.admin.login().expect()


class Home:
    """One of its devices, protected; each test has its own."""

    def __init__(self, office: Office, scratch: Path) -> None:
        self.folder, self.archive = scratch / "Downloads", scratch / "Archive"
        for folder in (self.folder, self.archive):
            folder.mkdir()
        self.admin = office.admin
        self.device = Device(office.server, scratch / "device")
        self.device_id: str = self.device.activate(office.key).expect().json()["device_id"]
        self.device.start(self.folder)

    def ask(self, *arguments: str) -> Finished:
        return self.admin.ctl("device", *arguments, "--wait", "60")

    def states(self) -> list[tuple[str, str]]:
        rows: list[dict[str, Any]] = self.admin.ctl("command", "list", "--device", self.device_id).expect().json()
        return [(row["kind"], row["state"]) for row in rows]


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    office = Office(tmp_path_factory.mktemp("office"))
    yield office
    office.server.kill()


@pytest.fixture
def home(office: Office, tmp_path: Path) -> Iterator[Home]:
    home = Home(office, tmp_path)
    yield home
    home.device.kill()


@pytest.mark.timeout(180)
def test_a_device_scans_restores_and_restarts_when_it_is_asked_to(home: Home) -> None:
    wait_until(lambda: home.device.field("control_plane_stream") == "connected", "the stream is open")
    path, _ = drop(home.archive, "eicar.com")
    scanned = home.ask("scan", home.device_id, "--path", str(home.archive)).expect().json()
    assert (scanned["state"], scanned["result"]["infected"]) == ("succeeded", "1")
    assert not path.exists()

    listing = ("quarantine", "list", "--device", home.device_id)
    wait_until(lambda: bool(home.admin.ctl(*listing).expect().json()), "the detection arrives")
    [detection] = home.admin.ctl(*listing).expect().json()
    restored = home.admin.ctl("quarantine", "restore", detection["uuid"], "--allow", "--wait", "60").expect().json()
    assert (restored["state"], restored["result"]) == ("succeeded", {"path": str(path)})
    assert path.exists()

    assert home.device.service is not None
    pid = home.device.service.pid
    home.ask("restart", home.device_id).expect()
    wait_until(
        lambda: home.device.service is not None and home.device.service.log.count("protected roots=") > 1, "again"
    )
    assert home.device.service.pid == pid

    refused = home.ask("scan", home.device_id, "--path", "/no/such/place")
    assert (refused.status, refused.json()["code"]) == (1, "PATH_MISSING")


@pytest.mark.timeout(180)
def test_a_device_that_was_off_does_what_it_was_asked_when_it_returns(home: Home, tmp_path: Path) -> None:
    home.device.stop()
    home.admin.ctl("device", "scan", home.device_id, "--path", str(home.archive)).expect()
    asked = home.admin.ctl("diagnostics", "request", home.device_id, "--reason", "it is slow").expect().json()
    assert set(home.states()) == {("scan", "pending"), ("diagnostics", "pending")}
    home.device.start(home.folder)
    wait_until(lambda: {state for _, state in home.states()} == {"succeeded"}, "both are done", timeout_s=90)
    bundle = tmp_path / "bundle.zip"
    home.admin.ctl("diagnostics", "download", asked["command_id"], "--to", str(bundle)).expect()
    analysed = home.admin.ctl("diagnostics", "analyze", str(bundle))
    assert analysed.status in {0, 1}, analysed.stderr
    assert "causes" in analysed.json()


@pytest.mark.timeout(180)
def test_a_device_gives_its_seat_back_when_it_is_told_to(home: Home) -> None:
    home.ask("deactivate", home.device_id, "--reason", "sold").expect()
    wait_until(lambda: home.device.field("access") == "unlicensed", "the device knows")
    assert home.states() == [("deactivate", "succeeded")]
    assert home.device.field("real_time_protection_enabled") == "true"


@pytest.mark.timeout(180)
def test_a_running_agent_follows_what_the_device_itself_gives_back_and_gets(office: Office, home: Home) -> None:
    for _ in range(2):
        home.device.buckler("deactivate").expect()
        assert (home.device.field("licensed"), home.device.field("device_id")) == ("false", "")
        again = home.device.activate(office.key).expect().json()
        assert (home.device.field("licensed"), home.device.field("device_id")) == ("true", again["device_id"])
