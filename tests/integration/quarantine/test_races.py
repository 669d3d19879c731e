"""Captures while an attacker process exchanges the file, or its folder, for something else.

Whatever happens: nothing outside the folder is moved, changed or deleted; the vault holds what was scanned and nothing
else; a file that was not taken still exists.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from agent.domain.facts import ScanFacts
from agent.domain.files import FileIdentity
from agent.domain.incident import Origin
from agent.domain.ports import CaptureRequest
from agent.domain.quarantine import CaptureFailure, CaptureState
from agent.quarantine.inert import unseal
from agent.storage.database import open_database
from tests.fakes.clock import SOME_MONDAY
from tests.integration.quarantine.attacker import NAME, VICTIM
from tests.unit.agent.quarantine.scene import FOUND, Scene

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes a device")
ATTACK_NAMES = (
    "link",
    "hard_link",
    "fifo",
    "device",
    "folder_in_place",
    "folder_link",
    "rename",
    "rewrite",
    "truncate_mapped",
)
ATTACKS = [
    pytest.param(name, marks=[pytest.mark.root, needs_root] if name == "device" else []) for name in ATTACK_NAMES
]
REPEATS = 4_000
VICTIM_CONTENT = b"others' belongs" * REPEATS
#: What an attacker may make of a capture; anything else would be a surprise.
EXPECTED = {
    CaptureFailure.CHANGED,
    CaptureFailure.VANISHED,
    CaptureFailure.SYMLINK,
    CaptureFailure.NOT_A_FILE,
}


class Arena:
    """A folder under attack, and things outside that must never be touched."""

    def __init__(self, scene: Scene, attacker: "subprocess.Popen[str]") -> None:
        self.scene = scene
        self.attacker = attacker
        self.outside = scene.root / "outside"
        self._running = True

    def pause(self) -> None:
        """The attacker stands still when this returns."""
        if self._running:
            self.attacker.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.attacker.pid, os.WSTOPPED)
            self._running = False

    def go_on(self) -> None:
        self.attacker.send_signal(signal.SIGCONT)
        self._running = True

    def prepare(self, number: int) -> tuple[int, CaptureRequest]:
        """A new infected file in a tidy folder, with an accomplice of the same inode outside."""
        self.pause()
        self._tidy()
        content = b"round %08d " % number * REPEATS
        prepared = self.scene.root / "prepared"
        prepared.write_bytes(content)
        (self.outside / NAME).unlink(missing_ok=True)
        (self.outside / NAME).hardlink_to(prepared)
        descriptor = os.open(prepared, os.O_RDONLY)
        prepared.rename(self.scene.home / NAME)
        found = os.fstat(descriptor)
        request = CaptureRequest(
            incident_uuid=UUID(int=number),
            path=str(self.scene.home / NAME),
            identity=FileIdentity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns),
            facts=ScanFacts(sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content)),
            findings=FOUND,
            origin=Origin.REAL_TIME,
            detected_at=SOME_MONDAY,
        )
        self.go_on()
        return descriptor, request

    def look_outside(self) -> dict[str, tuple[int, int]]:
        return {path.name: (path.lstat().st_ino, path.lstat().st_mode) for path in self.outside.iterdir()}

    def _tidy(self) -> None:
        for path in [self.scene.home, self.scene.root / "home-aside", *self.scene.root.glob("trash-*")]:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.scene.home.mkdir()


@contextmanager
def arena(root: Path, attack: str) -> Iterator[Arena]:
    root = root.resolve()
    database = open_database(root / "agent.db")
    scene = Scene(root, database)
    (root / "outside").mkdir()
    (root / "outside" / VICTIM).write_bytes(VICTIM_CONTENT)
    command = [
        sys.executable,
        "-m",
        "tests.integration.quarantine.attacker",
        attack,
        str(scene.home),
        f"{root}/outside",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as attacker:
        try:
            assert attacker.stdout is not None
            assert attacker.stdout.readline() == "ready\n"
            yield Arena(scene, attacker)
        finally:
            attacker.kill()
            database.close()


async def race(root: Path, attack: str, rounds: int) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    with arena(root, attack) as fight:
        for number in range(1, rounds + 1):
            descriptor, request = fight.prepare(number)
            before = fight.look_outside()
            entry = await fight.scene.vault.capture(request)
            fight.pause()
            try:
                assert fight.look_outside() == before
                assert (fight.outside / VICTIM).read_bytes() == VICTIM_CONTENT
                assert os.fstat(descriptor).st_nlink >= (1 if entry.state is CaptureState.DONE else 2), entry.detail
            finally:
                os.close(descriptor)
            outcomes[entry.state.value if entry.state is CaptureState.DONE else entry.detail.partition(":")[0]] += 1
        check_vault(fight.scene)
    return outcomes


def check_vault(scene: Scene) -> None:
    """It holds exactly the scanned bytes of every entry that is DONE."""
    key = (scene.vault_dir / "vault.key").read_bytes()
    for entry in scene.entries([CaptureState.DONE]):
        with (scene.vault_dir / f"{entry.id}.bkq").open("rb") as sealed:
            assert unseal(sealed.fileno(), None, vault_key=key, entry_id=entry.id).sha256 == entry.sha256
    left = [entry.id for entry in scene.entries([CaptureState.FAILED]) if entry.staged_path]
    assert scene.staged() == sorted(left)
    assert len(scene.incidents()) == len(scene.entries())


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attacker_who_races_us_gains_nothing(tmp_path: Path, attack: str) -> None:
    outcomes = await race(tmp_path, attack, rounds=200)
    assert set(outcomes) <= {"done"} | {failure.value for failure in EXPECTED}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attacker_who_races_us_a_thousand_times_gains_nothing(tmp_path: Path, attack: str) -> None:
    outcomes = await race(tmp_path, attack, rounds=1_000)
    assert set(outcomes) <= {"done"} | {failure.value for failure in EXPECTED}
    # A race that is never lost, or never won, is none.
    assert len(outcomes) > 1
