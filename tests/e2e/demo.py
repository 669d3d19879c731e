"""`make demo`: the product's story, played on this machine with real processes.

Every sentence it prints was observed just before; the first that is not ends it with a non-zero exit status. All of
it happens in one scratch folder and on loopback; nothing is left behind.
"""

import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.installation import Admin, Device, Server, wait_until
from tests.e2e.processes import run
from tests.e2e.transcript import Transcript

SHAPES = ("plain.com", "invoice.zip", "backup.tar.gz", "nested.zip", "renamed.com")
PLAN = "home-3"
RESTORED = "plain.com"


@dataclass(slots=True)
class Story:
    """The people and machines of the story, and what they learn."""

    scratch: Path
    tell: Transcript
    server: Server = field(init=False)
    admin: Admin = field(init=False)
    device: Device = field(init=False)
    others: list[Device] = field(init=False)
    folder: Path = field(init=False)
    key: str = ""
    subscription: str = ""

    def __post_init__(self) -> None:
        """Name everything; nothing is started yet."""
        self.server = Server(self.scratch / "server", run=run)
        self.admin = Admin(self.server, self.scratch / "admin")
        self.device = Device(self.server, self.scratch / "device", is_new=True)
        self.others = [Device(self.server, self.scratch / f"device{n}", is_new=True) for n in (2, 3, 4)]
        self.folder = self.scratch / "Downloads"
        self.folder.mkdir()

    def stop(self) -> None:
        """End what is still running."""
        self.device.kill()
        self.server.kill()

    # ------------------------------------------------------------ the steps

    def control_plane(self) -> None:
        """A: a control plane from nothing."""
        said = self.server.init(PLAN)
        self.key, self.subscription = said["activation_key"], said["subscription_id"]
        self.server.start()
        self.tell.say(f"serving on {self.server.address} with its own certificate authority, database: SQLite")
        self.admin.login().expect()
        shown = self.admin.ctl("subscription", "show").expect().json()
        assert shown["seats"] == 3, shown
        assert shown["access"] == "full", shown
        self.tell.say(f"subscription {self.subscription}: plan {shown['plan_name']}, 3 seats, access full")

    def activation(self) -> None:
        """B: this device gets its seat."""
        said = self.device.activate(self.key).expect().json()
        self.tell.say(f"device {said['device_id']} holds seat {said['seat_id']}")
        expected = {"licensed": "true", "plan": said["plan"], "seat_id": said["seat_id"], "access": "full"}
        status = self.device.status()
        for name, value in expected.items():
            assert status[name] == value, f"status {name} is {status[name]!r}, not {value!r}"
            self.tell.quote(f"{name} : {status[name]}")

    def protection(self) -> None:
        """C: a folder is protected, and that is proven."""
        proven = self.device.start(self.folder)
        source = proven.group(2)
        assert source == ("fanotify" if os.geteuid() == 0 and sys.platform == "linux" else "watchdog"), source
        self.tell.say(f"watching {self.folder.name}/ with {source}; the EICAR self-test came back")
        status = self.device.buckler("status").expect(0)
        self.tell.quote("\n".join(line for line in status.stdout.splitlines() if line.startswith("healthy")))

    def detection(self) -> None:
        """D: five shapes of EICAR are taken, clean files beside them are not touched."""
        clean = {self.folder / f"clean{n}.txt": os.urandom(4096) for n in range(5)}
        for path, content in clean.items():
            path.write_bytes(content)
        before = {path: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in clean}
        for name, latency_ms in drop_and_wait(self.folder, SHAPES).items():
            self.tell.say(f"{name:<14} found and out of its place after {latency_ms:6.1f} ms")
        wait_until(lambda: self._taken() == set(SHAPES), "five files in quarantine")
        after = {path: (path.read_bytes(), path.stat().st_ino, path.stat().st_mtime_ns) for path in clean}
        assert after == before, "a clean file was touched"
        self.tell.say("5 files in quarantine; 5 clean files beside them untouched, byte for byte")

    def console(self) -> None:
        """E: the admin sees it, and one file comes back exactly as it was."""
        wait_until(lambda: len(self._detections()) == len(SHAPES), "five detections at the control plane")
        wait_until(lambda: self._fleet()["protected"] == 1, "the device is protected")
        self.tell.quote(self.admin.text("fleet", "status").expect().stdout)
        self.tell.quote(self.admin.text("detection", "list").expect().stdout)
        entry = next(e for e in self.device.quarantined() if os.path.basename(e["original_path"]) == RESTORED)  # noqa: PTH119 -- names as given
        self.device.buckler("quarantine", "restore", entry["id"]).expect()
        restored = self.folder / RESTORED
        found = restored.stat()
        assert stat.S_IMODE(found.st_mode) == entry["mode"], (oct(found.st_mode), entry)
        assert (found.st_uid, found.st_gid) == (entry["owner_uid"], entry["owner_gid"]), entry
        assert found.st_mtime_ns == entry["modified_ns"], (found.st_mtime_ns, entry)
        time.sleep(1.0)  # long enough for protection to take it again, were the exclusion not there
        assert restored.exists(), "the restored file was taken again"
        self.tell.say(f"{RESTORED} restored with its owner, mode {entry['mode']:o} and times, and left alone since")

    def expiry(self) -> None:
        """F: the subscription ends; the floor stays, the way back works."""
        # Beyond the year and its grace, and within the 400 days for which detections are kept.
        self.admin.ctl("sandbox", "advance", "--by", "390d").expect()
        wait_until(lambda: self.device.field("access") == "limited", "the device learns that access is limited")
        status = self.device.status()
        assert status["access_reason"] == "SUBSCRIPTION_EXPIRED", status
        assert status["access_until"], "no date"
        self.tell.quote(self.device.buckler("subscription").stdout)
        [latency_ms] = drop_and_wait(self.folder, ("sixth.com",)).values()
        self.tell.say(f"sixth.com      found and out of its place after {latency_ms:6.1f} ms, with access limited")
        refused = self.device.buckler("mode", "block").expect(1)
        assert "FEATURE_NOT_ENTITLED" in refused.stderr, refused.describe()
        self.tell.quote("$ buckler mode block\n" + refused.stderr)
        self.admin.ctl("subscription", "renew").expect()
        wait_until(lambda: self.device.field("access") == "full", "the device is back to full")
        wait_until(lambda: len(self._detections()) == len(SHAPES) + 1, "the sixth detection arrived, once")
        self.tell.say("renewed: access is full again, the sixth detection has arrived")

    def seats(self) -> None:
        """G: a fourth device, a full plan, and a seat given back."""
        second, third, fourth = self.others
        second.activate(self.key).expect()
        third.activate(self.key).expect()
        refused = fourth.activate(self.key).expect(1)
        assert "SEAT_LIMIT" in refused.stderr, refused.describe()
        as_text = ("activate", "--server", self.server.address, "--ca", str(self.server.ca_file))
        self.tell.quote("$ buckler activate\n" + fourth.buckler(*as_text, stdin=self.key + "\n").expect(1).stderr)
        third_id = third.field("device_id")
        assert third_id in refused.stderr, "the refusal does not name the holders"
        self.admin.ctl("seat", "release", third_id).expect()
        fourth.activate(self.key).expect()
        self.tell.say(f"seat of {third_id} released; the fourth device holds it now")

    # ------------------------------------------------------------ what it looks at

    def _taken(self) -> set[str]:
        return {Path(entry["original_path"]).name for entry in self.device.quarantined() if entry["state"] == "done"}

    def _detections(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.admin.ctl("detection", "list").expect().json()
        return found

    def _fleet(self) -> dict[str, Any]:
        status: dict[str, Any] = self.admin.ctl("fleet", "status").expect().json()
        return status


def drop_and_wait(folder: Path, names: tuple[str, ...], timeout_s: float = 60.0) -> dict[str, float]:
    """Have a second program drop files; returns how long each stayed in its place, in milliseconds.

    Raises:
        AssertionError: One of them stayed.
    """
    command = [sys.executable, "-m", "tests.e2e.dropper", str(folder), *names]
    dropper = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    gone_ns: dict[str, int] = {}
    seen: set[str] = set()
    deadline = time.monotonic() + timeout_s
    # Polled rather than watched: a second watcher would measure itself.
    while len(gone_ns) < len(names):
        for name in names:
            there = (folder / name).exists()
            if there:
                seen.add(name)
            elif name not in gone_ns and (name in seen or dropper.poll() is not None):
                gone_ns[name] = time.monotonic_ns()
        if time.monotonic() > deadline:
            raise AssertionError(f"still in place: {sorted(set(names) - set(gone_ns))}")
        time.sleep(0.0005)
    said, _ = dropper.communicate(timeout=10.0)
    written_ns = {Path(row["path"]).name: int(row["at_ns"]) for row in map(json.loads, said.splitlines())}
    return {name: max(0.0, (gone_ns[name] - written_ns[name]) / 1e6) for name in names}


def play(scratch: Path) -> None:
    """Play all of it.

    Raises:
        AssertionError: Something promised was not observed.
    """
    tell = Transcript()
    story = Story(scratch, tell)
    steps = (
        ("a", "a control plane from nothing", story.control_plane),
        ("b", "this device gets a seat", story.activation),
        ("c", "a folder is protected, and proves it", story.protection),
        ("d", "another program drops EICAR in five shapes", story.detection),
        ("e", "the admin sees it; one file comes back", story.console),
        ("f", "the subscription expires: the floor stays, renewal brings the rest back", story.expiry),
        ("g", "a fourth device on a three-device plan", story.seats),
    )
    try:
        for letter, title, observe in steps:
            with tell.step(letter, title):
                observe()
    except AssertionError:
        for service in (story.server.service, story.device.service):
            if service is not None:
                tell.quote(service.log[-6000:])
        raise
    finally:
        story.stop()
    tell.say("")
    tell.say(f"All of it observed in {tell.elapsed_s:.0f} s. To try next:")
    tell.say("  .venv/bin/buckler scan ~/Downloads          scan a folder, no activation needed")
    tell.say("  .venv/bin/buckler run --root ~/Downloads    watch it")
    tell.say("  docs/operations.md                          put the control plane to work")


def main() -> int:
    """Play in a scratch folder; 1 if something was not observed."""
    with tempfile.TemporaryDirectory(prefix="buckler-demo-") as scratch:
        try:
            play(Path(scratch))
        except AssertionError as failed:
            sys.stderr.write(f"\nDEMO_FAILED: {failed}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
