import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

from agent.domain.files import EventKind
from agent.realtime.self_test import EICAR, PLANTED_FILES, SelfTest
from agent.realtime.territory import SELF_TEST_PREFIX
from tests.fakes import eicar
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.randomness import SeededRandomness
from tests.fakes.store import MemoryStore
from tests.fakes.waiting import until


class Watcher:
    """Plays pipeline and source: what is planted is seen at once, unless it is blind."""

    def __init__(self, *, seen: bool = True, found: bool = True, kind: EventKind = EventKind.APPEARED) -> None:
        self.store = MemoryStore()
        self.test = SelfTest(store=self.store, randomness=SeededRandomness(), registry=self, within_s=0.1)
        self._seen, self._found, self._kind = seen, found, kind
        self.planted: dict[tuple[int, int], str] = {}
        self.modes: list[int] = []
        self.remembered: list[str] = []

    def plant(self, path: str, *, device: int, inode: int) -> None:
        self.planted[device, inode] = path
        self.modes.append(stat.S_IMODE(os.lstat(path).st_mode))
        self.remembered = json.loads(self._stored())
        if self._seen:
            self.test.seen(path, self._kind, found=self._found)

    def uproot(self, *, device: int, inode: int) -> None:
        del self.planted[device, inode]

    def _stored(self) -> str:
        with self.store.transaction() as tables:
            return tables.settings.get(PLANTED_FILES) or "[]"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_the_test_file_is_the_one_everybody_knows() -> None:
    assert eicar.EICAR == EICAR


async def test_a_file_that_comes_through_proves_its_root_and_is_gone(tmp_path: Path) -> None:
    watcher = Watcher()
    assert await watcher.test.prove([str(tmp_path)]) == ()
    assert names_in(tmp_path) == []
    assert watcher.planted == {}
    assert watcher.modes == [0o600]
    assert [Path(path).parent for path in watcher.remembered] == [tmp_path]
    assert Path(watcher.remembered[0]).name.startswith(SELF_TEST_PREFIX)


async def test_each_root_that_stays_silent_is_named(tmp_path: Path) -> None:
    watcher = Watcher(seen=False)
    issues = await watcher.test.prove([str(tmp_path)])
    assert [issue.code for issue in issues] == ["self_test_failed"]
    assert str(tmp_path) in issues[0].message
    assert names_in(tmp_path) == []


async def test_a_walk_that_finds_the_file_proves_nothing(tmp_path: Path) -> None:
    issues = await Watcher(kind=EventKind.RECONCILED).test.prove([str(tmp_path)])
    assert [issue.code for issue in issues] == ["self_test_failed"]


async def test_a_scanner_that_does_not_know_the_file_proves_nothing(tmp_path: Path) -> None:
    issues = await Watcher(found=False).test.prove([str(tmp_path)])
    assert "does not recognise" in issues[0].message


async def test_a_root_nothing_can_be_written_to_is_an_issue(tmp_path: Path) -> None:
    issues = await Watcher().test.prove([str(tmp_path / "missing")])
    assert [issue.code for issue in issues] == ["self_test_impossible"]


def test_what_a_crash_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    watcher = Watcher()
    left, other = tmp_path / f"{SELF_TEST_PREFIX}abc", tmp_path / "precious.txt"
    link, grown = tmp_path / f"{SELF_TEST_PREFIX}link", tmp_path / f"{SELF_TEST_PREFIX}grown"
    left.write_bytes(EICAR)
    grown.write_bytes(EICAR + b"and what somebody else has written to it")
    other.write_bytes(b"x")
    link.symlink_to(other)
    with watcher.store.transaction() as tables:
        tables.settings.put(PLANTED_FILES, json.dumps([str(left), str(other), str(link), str(grown), "/nowhere/x"]))
    watcher.test.clean_up()
    assert not left.exists()
    assert other.exists()
    assert grown.exists()
    assert link.is_symlink()


@pytest.mark.root
@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root to give a file away")
def test_somebody_elses_file_under_a_name_of_ours_stays(tmp_path: Path) -> None:
    watcher = Watcher()
    theirs = tmp_path / f"{SELF_TEST_PREFIX}abc"
    theirs.write_bytes(EICAR)
    os.chown(theirs, 65534, 65534)
    with watcher.store.transaction() as tables:
        tables.settings.put(PLANTED_FILES, json.dumps([str(theirs)]))
    watcher.test.clean_up()
    assert theirs.exists()


async def test_protection_is_proven_only_while_the_tests_come_back(tmp_path: Path) -> None:
    stage = ProtectedFolder(tmp_path, self_test_within_s=2.0)

    async with stage.running() as protection:
        await until(lambda: bool(protection.state().issues))
        assert protection.state().proven_at is None

        async def tell() -> bool:
            async with asyncio.TaskGroup() as tasks:
                proof = tasks.create_task(protection.prove())
                await until(lambda: any(stage.root.glob(f"{SELF_TEST_PREFIX}*")))
                for path in stage.root.glob(f"{SELF_TEST_PREFIX}*"):
                    stage.fake_source.wrote(path)
            return proof.result()

        assert await tell()
        assert protection.state().proven_at is not None
        assert stage.proofs == 1

        stage.scanner.blind = True
        assert not await tell()
        assert protection.state().proven_at is None
        assert [issue.code for issue in protection.state().issues] == ["self_test_failed"]

    assert stage.quarantine.captured == []
    assert stage.incidents.incidents == {}
