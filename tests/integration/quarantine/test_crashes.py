"""`kill -9` in the middle of the vault's work, then a restart.

After it every file is either untouched in its place or wholly in the vault, every detection that was written down is
reported exactly once, and nothing is left over anywhere.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from uuid import UUID

import pytest

from agent.domain.exclusions import file_subject
from agent.domain.incident import IncidentAction
from agent.domain.quarantine import CaptureState, QuarantineEntry
from agent.quarantine.inert import unseal
from agent.storage.database import open_database
from tests.integration.quarantine.nursery import Nursery, Order, open_nursery
from tests.scratch_mounts import needs_root, scratch_tmpfs

FILES_PER_ROUND = 3
STEPS_OF_A_CAPTURE = 7
STEPS_OF_A_RESTORE = 4
KILLED = -signal.SIGKILL
SHARED = f".buckler-vault-{os.geteuid()}"


@pytest.fixture(params=["the vault's mount", pytest.param("another mount", marks=[pytest.mark.root, needs_root])])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Holds `home/`. On another mount the first capture of each process writes its row before it moves anything."""
    if request.param == "the vault's mount":
        yield tmp_path
        return
    with scratch_tmpfs(tmp_path.resolve() / "home"):
        yield tmp_path


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with open_nursery() as opened:
        yield opened


class Campaign:
    """One device that is killed again and again."""

    def __init__(self, root: Path, nursery: Nursery) -> None:
        self.root = root.resolve()
        self.nursery = nursery
        self.contents: dict[str, bytes] = {}
        self.inodes: dict[str, int] = {}
        (self.root / "home").mkdir(exist_ok=True)
        self.rows_come_first = (self.root / "home").is_mount()

    def plant(self, seed: int) -> tuple[str, ...]:
        """New infected files; their content is as good as random, so that none is taken for another."""
        names = tuple(f"{len(self.contents) + n:05d}\n\udcff" for n in range(FILES_PER_ROUND))
        for name in names:
            content = Random(f"{seed}{name.encode('ascii', 'replace')!r}").randbytes(50_000)
            path = self.root / "home" / name
            path.write_bytes(content)
            self.contents[name], self.inodes[name] = content, path.stat().st_ino
        return names

    def capture(self, seed: int, *, die_at_step: int = 0, die_after_s: float = -1.0, at_once: bool = False) -> int:
        first = len(self.contents)
        names = self.plant(seed)
        order = Order(str(self.root), "capture", names, first, at_once, sending=True)
        return self.nursery.run(replace(order, die_at_step=die_at_step, die_after_s=die_after_s))

    def restore(self, entries: list[QuarantineEntry], *, die_at_step: int) -> int:
        ids = tuple(entry.id for entry in entries)
        return self.nursery.run(Order(str(self.root), "restore", ids, die_at_step=die_at_step))

    def resume(self) -> None:
        assert self.nursery.run(Order(str(self.root), "resume")) == 0

    def send(self) -> None:
        """What waits in the outbox reaches the control plane, over a line that loses every third reply."""
        assert self.nursery.run(Order(str(self.root), "send", sending=True)) == 0

    def entries(self) -> list[QuarantineEntry]:
        database = open_database(self.root / "data" / "agent.db")
        try:
            with database.transaction() as tables:
                return tables.journal.entries()
        finally:
            database.close()

    def check(self) -> Counter[CaptureState]:
        """Everything that must be true after a restart; returns how many entries are in which state."""
        entries = {Path(entry.original_path).name: entry for entry in self.entries()}
        assert len(entries) == len(self.entries()), "a file was taken twice"
        in_place = {path.name for path in (self.root / "home").iterdir()} - {SHARED}
        assert in_place <= set(self.contents), "something was left beside the files"
        for name, content in self.contents.items():
            state = entries[name].state if name in entries else None
            if name in in_place:
                assert state in {None, CaptureState.RESTORED}
                self._check_in_place(name, content, untouched=state is None)
            else:
                assert state is CaptureState.DONE
                assert self._sealed_content(entries[name]) == content
        self._check_leftovers(list(entries.values()))
        self._check_incidents(list(entries.values()))
        return Counter(entry.state for entry in entries.values())

    def check_all_arrived(self) -> None:
        """Each detection had exactly one effect at the control plane, and none is left to send."""
        self.send()
        at_server = Counter(os.fsdecode(row.read_bytes()) for row in (self.root / "server").iterdir())
        assert at_server == Counter(entry.original_path for entry in self.entries())

    def _check_in_place(self, name: str, content: bytes, *, untouched: bool) -> None:
        path = self.root / "home" / name
        assert path.read_bytes() == content
        if untouched:
            assert path.stat().st_ino == self.inodes[name]

    def _check_leftovers(self, entries: list[QuarantineEntry]) -> None:
        vault = self.root / "data" / "vault"
        held = {f"{entry.id}.bkq" for entry in entries if entry.state is CaptureState.DONE}
        assert {path.name for path in vault.glob("*.bkq*")} == held
        staging = self.root / "home" / SHARED if self.rows_come_first else vault / "staging"
        assert list(staging.glob("*")) == []
        assert all(not entry.staged_path for entry in entries)
        assert all(not entry.restore_path for entry in entries if entry.state is CaptureState.DONE)

    def _check_incidents(self, entries: list[QuarantineEntry]) -> None:
        database = open_database(self.root / "data" / "agent.db")
        with database.transaction() as tables:
            incidents = tables.outbox.pending(10_000)
            allowed = {exclusion.value for exclusion in tables.exclusions.all()}
        database.close()
        at_server = {UUID(row.name): os.fsdecode(row.read_bytes()) for row in (self.root / "server").glob("*")}
        assert {row.uuid for row in incidents} | set(at_server) == {entry.incident_uuid for entry in entries}
        assert len(set(at_server.values())) == len(at_server), "a detection had two effects"
        assert {row.action for row in incidents} <= {IncidentAction.QUARANTINED}
        restored = [entry for entry in entries if entry.state is CaptureState.RESTORED]
        assert allowed == {file_subject(entry.sha256, entry.original_path) for entry in restored}

    def _sealed_content(self, entry: QuarantineEntry) -> bytes:
        vault = self.root / "data" / "vault"
        plain = self.root / "plain"
        with (vault / f"{entry.id}.bkq").open("rb") as source, plain.open("wb") as target:
            key = (vault / "vault.key").read_bytes()
            unseal(source.fileno(), target.fileno(), vault_key=key, entry_id=entry.id)
        return plain.read_bytes()


def test_killed_after_each_step_of_each_capture(root: Path, nursery: Nursery) -> None:
    campaign = Campaign(root, nursery)
    for step in range(1, FILES_PER_ROUND * STEPS_OF_A_CAPTURE + 1):
        assert campaign.capture(step, die_at_step=step) == KILLED
        campaign.resume()
        campaign.check()
    campaign.check_all_arrived()
    # Before its row, a file goes back; nobody looks for it again here.
    assert campaign.check()[CaptureState.DONE] >= FILES_PER_ROUND * (STEPS_OF_A_CAPTURE - 2)


def test_killed_after_each_step_of_each_restore(tmp_path: Path, nursery: Nursery) -> None:
    campaign = Campaign(tmp_path, nursery)
    for step in range(1, FILES_PER_ROUND * STEPS_OF_A_RESTORE + 1):
        assert campaign.capture(step) == 0
        held = [entry for entry in campaign.entries() if entry.state is CaptureState.DONE]
        assert campaign.restore(held[:FILES_PER_ROUND], die_at_step=step) == KILLED
        campaign.resume()
        campaign.check()
    assert campaign.check()[CaptureState.RESTORED] >= FILES_PER_ROUND * STEPS_OF_A_RESTORE // 2


def steps_of_a_restart(campaign: Campaign, step: int) -> int:
    """How many steps are left after so many: without a row a file that was moved only goes back."""
    if step > 2 or campaign.rows_come_first:
        return STEPS_OF_A_CAPTURE - step
    return step - 1


def test_killed_while_resuming_and_resumed_again(root: Path, nursery: Nursery) -> None:
    campaign = Campaign(root, nursery)
    for step in range(1, STEPS_OF_A_CAPTURE):
        for later in range(1, steps_of_a_restart(campaign, step) + 1):
            assert campaign.capture(step, die_at_step=step) == KILLED
            assert campaign.nursery.run(Order(str(campaign.root), "resume", die_at_step=later)) == KILLED
            campaign.resume()
    assert campaign.check()[CaptureState.DONE] > 0


def time_of_a_capture(campaign: Campaign, seed: int) -> float:
    """Seconds that it takes on this machine when nobody kills it; the disk decides."""
    began = time.monotonic()
    assert campaign.capture(seed) == 0
    return time.monotonic() - began


def survive_random_kills(campaign: Campaign, rounds: int, seed: int) -> int:
    """Returns in how many rounds the kill came before the work was done."""
    random = Random(seed)
    longest_s = min(time_of_a_capture(campaign, seed + number) for number in range(3))
    killed = 0
    for number in range(rounds):
        delay = random.uniform(0.0, longest_s)
        killed += campaign.capture(number, die_after_s=delay, at_once=bool(number % 2)) == KILLED
        campaign.resume()
        if number % 10 == 9:
            campaign.check()
    campaign.check_all_arrived()
    assert campaign.check()[CaptureState.DONE] > 0
    return killed


def test_killed_at_random_moments(root: Path, nursery: Nursery) -> None:
    assert survive_random_kills(Campaign(root, nursery), rounds=30, seed=1) > 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_500_random_moments(root: Path, nursery: Nursery) -> None:
    assert survive_random_kills(Campaign(root, nursery), rounds=500, seed=2) > 500 // 3
