"""The whole way from the kernel's event to the vault while an attacker exchanges the infected file under our hands.

Whatever happens: once the attacker rests the infected file is in the vault under whichever name it had by then, so no
race has made us take it for clean; and nothing outside the watched folder was moved, changed or deleted.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from random import Random

import pytest

from agent.domain.quarantine import CaptureState
from agent.platform.clock import SystemClock
from agent.platform.randomness import SystemRandomness
from agent.quarantine.vault import Vault, VaultSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.storage.database import open_database
from tests.fakes.eicar import EICAR
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until
from tests.integration.quarantine.attacker import NAME, UNTOUCHED_BYTES, VICTIM
from tests.scratch_mounts import needs_root, scratch_tmpfs

pytestmark = [pytest.mark.root, needs_root]

ATTACKS = ("link", "hard_link", "fifo", "device", "folder_in_place", "folder_link", "rename", "truncate_mapped")
#: As large as the infected file, and as little in need of a vault.
VICTIM_CONTENT = b"others' belongs " * 1024
LONGEST_ATTACK_S = 0.02
#: On a machine that does much else.
LONGEST_WAIT_S = 120.0


class Siege:
    """A protected folder on a mount of its own, an attacker in it, and things outside that must never be touched."""

    def __init__(self, disk: Path, protected: ProtectedFolder, attacker: "subprocess.Popen[str]") -> None:
        self.protected = protected
        self.home = protected.root / "home"
        self.outside = protected.outside
        self._prepared = disk / "prepared"
        self._attacker = attacker

    def rest(self) -> None:
        """The attacker stands still, between two attacks, when this returns."""
        self._say()
        assert self._attacker.stdout is not None
        assert self._attacker.stdout.readline() == "resting\n"

    def go_on(self) -> None:
        self._say()

    def plant(self, number: int) -> int:
        """A new infected file in a tidy folder, with an accomplice outside; a descriptor of it."""
        for path in self.protected.root.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.home.mkdir()
        (self.outside / NAME).unlink(missing_ok=True)
        content = EICAR + (b" round %08d" % number) * 400
        self._prepared.write_bytes(content + bytes(len(VICTIM_CONTENT) - len(content)))
        (self.outside / NAME).hardlink_to(self._prepared)
        descriptor = os.open(self._prepared, os.O_RDONLY)
        self._prepared.rename(self.home / NAME)
        return descriptor

    def look_outside(self) -> dict[str, tuple[int, int, int]]:
        found = {path.name: path.lstat() for path in self.outside.iterdir()}
        return {name: (status.st_ino, status.st_mode, status.st_uid) for name, status in found.items()}

    def _say(self) -> None:
        assert self._attacker.stdin is not None
        self._attacker.stdin.write("\n")
        self._attacker.stdin.flush()


@contextmanager
def siege(folder: Path, attack: str) -> Iterator[Siege]:
    folder = folder.resolve()
    with ExitStack() as stack:
        disk = stack.enter_context(scratch_tmpfs(folder / "disk", "size=256m"))
        source = FanotifySource(excluded=[], own_pids=lambda: frozenset({os.getpid()}), clock=SystemClock())
        protected = ProtectedFolder(disk, source, self_test_within_s=10.0)
        database = open_database(folder / "agent.db")
        stack.callback(database.close)
        protected.store = database
        # What the fake vault does under attack is not the question.
        protected.quarantine = Vault(  # type: ignore[assignment]  # the port is the same
            VaultSettings(folder / "vault"), database, SystemClock(), SystemRandomness()
        )
        protected.build()
        (protected.outside / VICTIM).write_bytes(VICTIM_CONTENT)
        command = [sys.executable, "-m", "tests.integration.quarantine.attacker", attack]
        command += [str(protected.root / "home"), str(protected.outside)]
        attacker = stack.enter_context(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
        stack.callback(attacker.kill)
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == "ready\n"
        yield Siege(disk, protected, attacker)


async def withstand(folder: Path, attack: str, rounds: int) -> Counter[CaptureState]:
    """Returns how many captures succeeded and how many the attacker foiled for a moment."""
    random = Random(attack)
    assert len(EICAR) < UNTOUCHED_BYTES
    with siege(folder, attack) as fight:
        fight.rest()
        async with fight.protected.running():
            for number in range(1, rounds + 1):
                descriptor = fight.plant(number)
                before = fight.look_outside()
                fight.go_on()
                await asyncio.sleep(random.uniform(0.0, LONGEST_ATTACK_S))
                fight.rest()
                try:
                    # A file that took long rests for up to a minute before it is looked at again.
                    await until(partial(is_over, fight, descriptor), timeout_s=LONGEST_WAIT_S)
                    assert fight.look_outside() == before
                    assert (fight.outside / VICTIM).read_bytes() == VICTIM_CONTENT
                finally:
                    os.close(descriptor)
        return check_books(fight, rounds)


def is_over(fight: Siege, descriptor: int) -> bool:
    """Only its accomplice outside still leads to the file, and nobody works on anything."""
    return os.fstat(descriptor).st_nlink == 1 and fight.protected.settled()


def check_books(fight: Siege, rounds: int) -> Counter[CaptureState]:
    with fight.protected.store.transaction() as tables:
        entries = tables.journal.entries()
        incidents = tables.outbox.pending(10_000)
    ends = Counter(entry.state for entry in entries)
    assert set(ends) <= {CaptureState.DONE, CaptureState.FAILED}
    assert ends[CaptureState.DONE] >= rounds
    assert {entry.incident_uuid for entry in entries} == {incident.uuid for incident in incidents}
    assert [entry.staged_path for entry in entries if entry.staged_path] == []
    return ends


@pytest.mark.timeout(600)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_race_makes_an_infected_file_clean(tmp_path: Path, attack: str) -> None:
    ends = await withstand(tmp_path, attack, rounds=25)
    assert ends[CaptureState.DONE] >= 25


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_race_of_a_thousand_makes_an_infected_file_clean(tmp_path: Path, attack: str) -> None:
    ends = await withstand(tmp_path, attack, rounds=1_000)
    # A race that is never lost is none.
    assert ends[CaptureState.FAILED] > 0
