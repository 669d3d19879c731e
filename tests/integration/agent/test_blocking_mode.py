"""Blocking mode on a private file system. Openers are strangers to the agent: orphans, never our descendants."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from agent.domain.entitlement import Access, AccessLevel, Feature
from agent.domain.files import FileEvent, SourceEvent
from agent.domain.policy import Mode
from agent.platform.clock import SystemClock
from agent.realtime.settings import BlockSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.realtime.sources.gate_process import AGENT_SILENT_S
from tests.fakes.eicar import EICAR
from tests.fakes.protected_folder import ProtectedFolder
from tests.fakes.waiting import until
from tests.scratch_mounts import needs_root, scratch_tmpfs

pytestmark = [pytest.mark.root, needs_root]

ENTITLED = Access(AccessLevel.FULL, "PAID", None, {Feature.BLOCKING_MODE.value: AccessLevel.GRACE})
ROOM = Path(__file__).parents[3]
GATE = "agent.realtime.sources.gate_process"
#: Nobody is let go because time is over while a test looks.
BLOCK = BlockSettings(budget_s=60.0)
#: Waits until its parent is gone, so that it is nobody's child when it opens the file. Says how that ended, and when it
#: began and was over, by a clock that nobody sets.
STRANGER = """(
  while kill -0 $$ 2>/dev/null; do sleep 0.01; done
  read -r began _ < /proc/uptime
  "$2" "$3" >/dev/null 2>&1; status=$?
  read -r ended _ < /proc/uptime
  echo $status $began $ended > "$1.new"; mv "$1.new" "$1"
) &"""
#: Of that clock.
TICK_S = 0.01


class Strangers:
    """Starts processes that open files and tells how that went."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def start(self, program: str, path: Path) -> Path:
        self._count += 1
        result = self._folder / f"result{self._count}"
        subprocess.run(["sh", "-c", STRANGER, "sh", str(result), program, str(path)], check=True, timeout=30)
        return result

    async def run(self, program: str, path: Path, timeout_s: float = 40.0) -> int:
        """Exit status of the program."""
        result = await asyncio.to_thread(self.start, program, path)
        await until(result.exists, timeout_s)
        return ended(result).status


class Ended(NamedTuple):
    """What a stranger says."""

    status: int
    took_s: float


def ended(result: Path) -> Ended:
    status, began, at_last = result.read_text("ascii").split()
    return Ended(int(status), float(at_last) - float(began))


def gate_process() -> psutil.Process:
    (gate,) = [child for child in psutil.Process().children() if GATE in child.cmdline()]
    return gate


def marks(path: Path) -> list[str]:
    """What the kernel knows of a file or folder for the gate: a line for each mark."""
    known = Path(f"/proc/{gate_process().pid}/fdinfo").iterdir()
    lines = [line for file in known for line in file.read_text("ascii").splitlines()]
    return [line for line in lines if line.startswith(f"fanotify ino:{path.stat().st_ino:x} ")]


async def is_remembered(clean: Path) -> None:
    """Until the kernel lets openers of a clean file through by itself."""
    await until(lambda: bool(marks(clean)))


async def is_asked_about(remembered: Path) -> None:
    """Until it does so no longer, and openers in the folder are held."""
    await until(lambda: not marks(remembered) and bool(marks(remembered.parent)))


@pytest.fixture(name="strangers")
def started_strangers(tmp_path: Path) -> Strangers:
    return Strangers(tmp_path)


@contextmanager
def blocking_stage(folder: Path, block: BlockSettings) -> Iterator[ProtectedFolder]:
    with scratch_tmpfs(folder / "disk") as disk:
        source = FanotifySource(excluded=[], own_pids=frozenset, clock=SystemClock(), block=block)
        stage = ProtectedFolder(disk, source, self_test_within_s=30.0, block=block)
        stage.access, stage.policy = ENTITLED, replace(stage.policy, mode=Mode.BLOCK)
        yield stage


@pytest.fixture(name="stage")
def patient_stage(tmp_path: Path) -> Iterator[ProtectedFolder]:
    with blocking_stage(tmp_path, BLOCK) as stage:
        yield stage


async def proven(stage: ProtectedFolder) -> None:
    await until(lambda: stage.proofs > 0)
    await until(stage.settled)


async def held_again(stage: ProtectedFolder) -> Path:
    """A clean file whose openers are held, although it was scanned."""
    path = stage.write("clean.txt", b"hello")
    await until(lambda: stage.scans_of("clean.txt") == 1)
    await is_remembered(path)
    stage.source.forget_clean()
    await is_asked_about(path)
    return path


async def test_a_clean_file_opens_and_an_infected_one_does_not(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running() as protection:
        await proven(stage)
        assert protection.state().mode is Mode.BLOCK
        clean = stage.write("clean.txt", b"hello")
        assert await strangers.run("cat", clean) == 0

        stage.quarantine.hold()
        infected = stage.write("bad.txt", EICAR)
        assert await strangers.run("cat", infected) != 0
        stage.quarantine.release()
        await until(stage.settled)

    assert stage.quarantine.taken() == {str(infected)}


async def test_an_infected_program_does_not_start(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running():
        await proven(stage)
        stage.quarantine.hold()
        program = stage.root / "program"
        shutil.copy("/bin/true", program)
        assert await strangers.run(str(program), program) == 0
        with program.open("ab") as stream:
            stream.write(EICAR)
        assert await strangers.run(str(program), program) == 126
        stage.quarantine.release()
        await until(stage.settled)


async def test_a_clean_file_is_not_scanned_again_until_it_changes(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running() as protection:
        await proven(stage)
        path = stage.write("clean.txt", b"hello")
        await until(lambda: stage.scans_of("clean.txt") >= 1)
        await until(stage.settled)
        assert await strangers.run("cat", path) == 0
        await is_remembered(path)
        before = stage.scans_of("clean.txt")
        for _ in range(3):
            assert await strangers.run("cat", path) == 0
        assert stage.scans_of("clean.txt") == before

        protection.refresh_access()
        await is_asked_about(path)
        assert await strangers.run("cat", path) == 0
        assert stage.scans_of("clean.txt") == before + 1

        stage.quarantine.hold()
        path.write_bytes(EICAR)
        assert await strangers.run("cat", path) != 0
        stage.quarantine.release()


async def test_openers_in_a_folder_made_later_are_held_too(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running():
        await proven(stage)
        folder = stage.root / "new" / "deep"
        folder.mkdir(parents=True)
        await until(lambda: bool(marks(folder)))
        stage.quarantine.hold()
        infected = stage.write("new/deep/bad.txt", EICAR)
        assert await strangers.run("cat", infected) != 0
        stage.quarantine.release()


async def test_an_opener_is_let_go_although_the_agent_stands_still(tmp_path: Path, strangers: Strangers) -> None:
    with blocking_stage(tmp_path, BlockSettings(budget_s=1.25)) as stage:
        async with stage.running():
            await proven(stage)
            path = await held_again(stage)
            result = strangers.start("cat", path)
            started = time.monotonic()
            while not result.exists() and time.monotonic() - started < 30:
                time.sleep(0.01)  # noqa: ASYNC251 -- the loop stands still: that is the point
            assert ended(result).status == 0
            assert ended(result).took_s > 1.25 - 2 * TICK_S


async def test_stopping_lets_an_opener_go(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running():
        await proven(stage)
        path = await held_again(stage)
        stage.scanner.hold()
        result = await asyncio.to_thread(strangers.start, "cat", path)
        await until(lambda: stage.scanner.running > 0)
        assert not result.exists()

    await until(result.exists)
    assert ended(result).status == 0


async def test_a_gate_that_is_killed_frees_everybody_and_comes_back(
    stage: ProtectedFolder, strangers: Strangers
) -> None:
    async with stage.running() as protection:
        await proven(stage)
        gate_process().kill()
        await until(lambda: stage.proofs > 1)
        await until(lambda: protection.state().mode is Mode.BLOCK)
        stage.quarantine.hold()
        assert await strangers.run("cat", stage.write("bad.txt", EICAR)) != 0
        stage.quarantine.release()


async def test_losing_the_entitlement_stops_holding(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running() as protection:
        await proven(stage)
        stage.access = replace(ENTITLED, level=AccessLevel.LIMITED)
        protection.refresh_access()
        assert protection.state().mode is Mode.NOTIFY
        stage.scanner.hold()
        assert await strangers.run("cat", stage.write("clean.txt", b"x")) == 0
        stage.scanner.release()


AGENT = """
import asyncio, sys
from dataclasses import replace
from pathlib import Path
from agent.domain.files import FileEvent, SourceEvent
from agent.domain.policy import Mode
from agent.platform.clock import SystemClock
from agent.realtime.settings import BlockSettings
from agent.realtime.sources.fanotify import FanotifySource
from agent.realtime.sources.gate_process import AGENT_SILENT_S
from tests.fakes.protected_folder import ProtectedFolder
from tests.integration.agent.test_blocking_mode import ENTITLED

async def live(disk):
    block = BlockSettings(budget_s=60.0)
    source = FanotifySource(excluded=[], own_pids=frozenset, clock=SystemClock(), block=block)
    stage = ProtectedFolder(Path(disk), source, self_test_within_s=30.0, block=block)
    stage.access, stage.policy = ENTITLED, replace(stage.policy, mode=Mode.BLOCK)
    async with stage.running(settled=False) as protection:
        while not (stage.proofs and stage.settled()):
            await asyncio.sleep(0.01)
        stage.scanner.hold()
        (stage.root / "file.txt").write_bytes(b"hello")
        print("held from now on", flush=True)
        await asyncio.sleep(120)

asyncio.run(live(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_openers_are_let_go_when_the_agent_is_stopped_or_killed(
    tmp_path: Path, strangers: Strangers, number: signal.Signals
) -> None:
    """Held for a minute by a scanner that does not answer; freed by the death or the silence of the agent."""
    with scratch_tmpfs(tmp_path / "disk") as disk:
        file = disk / "root" / "file.txt"
        command = [sys.executable, "-c", AGENT, str(disk)]
        agent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=ROOM)
        try:
            assert agent.stdout is not None
            while b"held from now on" not in (line := await agent.stdout.readline()):
                assert line, "it ended by itself"
            results = [await asyncio.to_thread(strangers.start, "cat", file) for _ in range(3)]
            await asyncio.sleep(0.5)
            assert not any(result.exists() for result in results)
            agent.send_signal(number)
            await until(lambda: all(result.exists() for result in results), AGENT_SILENT_S + 30)
            assert [ended(result).status for result in results] == [0, 0, 0]
            # And nobody is held any more.
            assert await strangers.run("cat", file) == 0
        finally:
            if agent.returncode is None:
                agent.kill()
            await agent.wait()


@pytest.mark.parametrize("fail_open", [True, False])
async def test_without_a_verdict_in_time_the_setting_decides(
    tmp_path: Path, strangers: Strangers, *, fail_open: bool
) -> None:
    # The agent refuses when four fifths of it are over; afterwards the gate lets everybody go, whatever the setting.
    block = BlockSettings(budget_s=1.0 if fail_open else 10.0, fail_open=fail_open)
    with blocking_stage(tmp_path, block) as stage:
        async with stage.running():
            await proven(stage)
            stage.scanner.hold()
            status = await strangers.run("cat", stage.write("file.txt", b"hello"))
            assert (status == 0) == fail_open
            stage.scanner.release()
            await until(stage.settled)


async def test_files_are_held_in_chosen_folders_only_and_programs_everywhere(
    tmp_path: Path, strangers: Strangers
) -> None:
    block = replace(BLOCK, folders=(str(tmp_path / "disk" / "root" / "chosen"),))
    with blocking_stage(tmp_path, block) as stage:
        (stage.root / "chosen" / "deep").mkdir(parents=True)
        async with stage.running():
            await proven(stage)
            stage.quarantine.hold()
            assert await strangers.run("cat", stage.write("free/bad.txt", EICAR)) == 0
            assert await strangers.run("cat", stage.write("chosen/deep/bad.txt", EICAR)) != 0
            program = stage.root / "program"
            shutil.copy("/bin/true", program)
            with program.open("ab") as stream:
                stream.write(EICAR)
            assert await strangers.run(str(program), program) == 126
            stage.quarantine.release()
            await until(stage.settled)


async def test_the_writer_of_a_new_file_waits_for_nobody(stage: ProtectedFolder, strangers: Strangers) -> None:
    async with stage.running():
        await proven(stage)
        stage.scanner.hold()
        copy = strangers.start("tee", stage.root / "new.txt")
        await until(copy.exists)
        assert ended(copy).status == 0
        stage.scanner.release()


async def test_a_refusal_is_not_lost_when_the_gate_is_behind(tmp_path: Path, strangers: Strangers) -> None:
    """The gate stands still while more is said to it than a socket holds; the refusal comes last."""
    events: list[SourceEvent] = []
    with scratch_tmpfs(tmp_path / "disk") as disk:
        file = disk / "file.txt"
        file.write_bytes(EICAR)
        block = BlockSettings(budget_s=60.0)
        source = FanotifySource(excluded=[], own_pids=frozenset, clock=SystemClock(), block=block)
        source.open([str(disk)], events.append)
        try:
            source.set_blocking(enabled=True)
            gate = gate_process()
            result = await asyncio.to_thread(strangers.start, "cat", file)
            await until(lambda: any(isinstance(event, FileEvent) and event.token for event in events))
            (opening,) = [event for event in events if isinstance(event, FileEvent) and event.token]
            gate.suspend()
            for _ in range(5000):
                source.answer(10**9, allow=True)
            source.answer(opening.token or 0, allow=False)
            gate.resume()
            await until(result.exists)
            assert ended(result).status != 0
        finally:
            source.close()
            for event in events:
                if isinstance(event, FileEvent):
                    os.close(event.descriptor)
