"""`kill -9` at random moments, then a restart: nothing lost, nothing doubled."""

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.dropper import drop
from tests.e2e.installation import Admin, Device, Server, wait_until

FILES_PER_ROUND = 8


class Household:
    """A served subscription with one activated device."""

    def __init__(self, scratch: Path) -> None:
        self.folder = scratch / "Downloads"
        self.folder.mkdir()
        self.server = Server(scratch / "server")
        self.admin = Admin(self.server, scratch / "admin")
        self.device = Device(self.server, scratch / "device")
        self.key: str = self.server.copy("home-3")["activation_key"]
        self.server.start()
        self.admin.login().expect()

    def detections(self) -> Counter[str]:
        """Path to the number of detections the control plane has of it."""
        rows: list[dict[str, Any]] = self.admin.ctl("detection", "list", "--limit", "500").expect().json()
        return Counter(row["path"] for row in rows)

    def in_vault(self) -> set[str]:
        """Original paths of files that are wholly in quarantine."""
        return {entry["original_path"] for entry in self.device.quarantined() if entry["state"] == "done"}

    def stop(self) -> None:
        """End both."""
        self.device.kill()
        self.server.kill()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("seed", "rounds"), [(7, 4), pytest.param(11, 12, marks=pytest.mark.slow)])
def test_no_detection_is_lost_or_doubled_when_agent_and_server_are_killed(
    tmp_path: Path, seed: int, rounds: int
) -> None:
    chance = random.Random(seed)
    home = Household(tmp_path)
    infected: set[str] = set()
    clean: dict[Path, bytes] = {}
    try:
        home.device.activate(home.key).expect()
        home.device.start(home.folder)
        both: list[Device | Server] = [home.device, home.server]
        victims = chance.sample(both * (rounds // 2), rounds)
        for round_number, victim in enumerate(victims):
            for n in range(FILES_PER_ROUND):
                path, _ = drop(home.folder, f"eicar-{round_number}-{n}.com")
                infected.add(str(path))
                beside = home.folder / f"clean-{round_number}-{n}.txt"
                clean[beside] = chance.randbytes(512)
                beside.write_bytes(clean[beside])
            time.sleep(chance.uniform(0.0, 0.15))
            victim.kill()
            time.sleep(chance.uniform(0.0, 0.2))
            home.device.start(home.folder) if victim is home.device else home.server.start()
        wait_until(lambda: home.in_vault() == infected, "every infected file is in the vault", timeout_s=60.0)
        wait_until(lambda: set(home.detections()) >= infected, "every detection arrived", timeout_s=60.0)
        doubled = {path: count for path, count in home.detections().items() if count != 1}
        assert doubled == {}
        assert not [path for path in infected if Path(path).exists()]
        assert {path: path.read_bytes() for path in clean} == clean
        assert home.device.field("seat_id") in str(home.admin.ctl("seat", "list").expect().json())
    finally:
        home.stop()


@pytest.mark.timeout(120)
def test_an_activation_cut_off_by_a_dead_server_succeeds_later_with_one_seat(tmp_path: Path) -> None:
    home = Household(tmp_path)
    try:
        home.server.kill()
        refused = home.device.activate(home.key)
        assert refused.status == 4, refused.describe()
        assert "SERVER_UNREACHABLE" in refused.stderr
        home.server.start()
        first = home.device.activate(home.key).expect().json()
        again = home.device.activate(home.key).expect().json()
        assert again["seat_id"] == first["seat_id"]
        taken = [seat for seat in home.admin.ctl("seat", "list").expect().json() if seat["device_id"]]
        assert [seat["device_id"] for seat in taken] == [first["device_id"]]
    finally:
        home.stop()


@pytest.mark.timeout(180)
@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_activations_gives_each_device_one_seat(tmp_path: Path) -> None:
    """The same key pair asks again after the crash and gets the seat it had, never a second one."""
    chance = random.Random(11)
    home = Household(tmp_path)
    key_file = tmp_path / "key"
    key_file.write_text(home.key)
    devices = [Device(home.server, tmp_path / f"extra{n}") for n in range(3)]
    try:
        for device in devices:
            for _ in range(2):
                asking = device.activate_in_background(key_file)
                time.sleep(chance.uniform(0.3, 1.2))
                home.server.kill()
                asking.kill()
                home.server.start()
        held = {device.activate(home.key).expect().json()["seat_id"] for device in devices}
        assert len(held) == len(devices)
        taken = [seat for seat in home.admin.ctl("seat", "list").expect().json() if seat["device_id"]]
        assert len(taken) == len(devices)
    finally:
        home.stop()
