"""Files that run, or are mapped, while they are taken."""

import filecmp
import mmap
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.domain.quarantine import CaptureState
from agent.platform.processes import ending
from agent.platform.processes.ending import ProcessEnd, stop_processes
from agent.quarantine.steps import Step
from tests.integration.quarantine.running_from import running_copy, stubborn_copy
from tests.unit.agent.quarantine.scene import Scene, identity_of, scanned

#: A program that ends what runs from a file and says what became of it.
STOP = """
import sys
from agent.platform.processes.ending import stop_processes
from tests.unit.agent.quarantine.scene import identity_of
print(*(one.end.value for one in stop_processes(identity_of(sys.argv[1]), sys.argv[1])))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what a process runs")


def stopping(root: Path) -> Scene:
    return Scene(root, stop=stop_processes)


async def test_a_running_program_is_taken_and_goes_on_where_nobody_asked_to_end_it(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    path = scene.home / "evil"
    with running_copy(path) as process:
        entry = await scene.vault.capture(scanned(path))
        assert (entry.state, entry.detail) == (CaptureState.DONE, "")
        assert process.poll() is None
    await scene.vault.restore(entry.id, None, allow=False)
    assert filecmp.cmp(path, "/bin/sleep", shallow=False)


async def test_its_process_is_ended_if_policy_says_so_and_the_incident_tells(tmp_path: Path) -> None:
    scene = stopping(tmp_path)
    path = scene.home / "evil"
    with running_copy(path) as process, running_copy(scene.root / "neighbour") as neighbour:
        entry = await scene.vault.capture(scanned(path))
        assert process.wait(timeout=30) == -signal.SIGTERM
        assert neighbour.poll() is None
    assert entry.detail == f"processes started from it: evil ({process.pid}) terminated"
    assert [row.action_detail for row in scene.incidents()] == [entry.detail]
    assert scene.history(entry.id)[0][2] == entry.detail


async def test_a_process_that_does_not_want_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "PATIENCE_S", 0.2)
    scene = stopping(tmp_path)
    path = scene.home / "evil"
    with stubborn_copy(path) as process:
        entry = await scene.vault.capture(scanned(path))
        assert process.wait(timeout=30) == -signal.SIGKILL
    assert entry.detail.endswith(f"({process.pid}) killed")


def test_many_processes_are_ended_together(tmp_path: Path) -> None:
    path = tmp_path / "evil"
    with running_copy(path) as first, ExitStack() as others:
        more = [others.enter_context(subprocess.Popen([str(path), "60"])) for _ in range(10)]
        stopped = stop_processes(identity_of(str(path)), str(path))
        assert {one.pid for one in stopped} == {first.pid, *(process.pid for process in more)}
        assert {one.end for one in stopped} == {ProcessEnd.TERMINATED}


def test_a_file_renamed_or_removed_since_is_still_known_by_its_process(tmp_path: Path) -> None:
    path = tmp_path / "evil"
    with running_copy(path) as process:
        identity = identity_of(str(path))
        path.unlink()
        (stopped,) = stop_processes(identity, str(path))
        assert (stopped.pid, stopped.end) == (process.pid, ProcessEnd.TERMINATED)
        process.wait(timeout=30)


# Tests end only what they started: whatever is looked for here is a copy that nobody else runs.


def test_programs_of_the_system_are_spared(tmp_path: Path) -> None:
    path = tmp_path / "evil"
    with running_copy(path) as process:
        (stopped,) = stop_processes(identity_of(str(path)), "/usr/bin/sleep")
        assert (stopped.pid, stopped.end) == (process.pid, ProcessEnd.SPARED)
        assert process.poll() is None


def test_who_started_us_is_spared_although_it_runs_from_the_file(tmp_path: Path) -> None:
    shell = tmp_path / "evil"
    shutil.copy2("/bin/sh", shell)
    command = [str(shell), "-c", '"$@"; exit $?', "sh", sys.executable, "-c", STOP, str(shell)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "spared\n"


def test_who_runs_from_the_same_image_as_we_do_is_spared(tmp_path: Path) -> None:
    interpreter = tmp_path / "evil"
    shutil.copy2(os.path.realpath(sys.executable), interpreter)
    home = {**os.environ, "PYTHONHOME": sys.base_prefix, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([interpreter, "-c", "input()"], stdin=subprocess.PIPE, env=home) as other:
        done = subprocess.run(
            [interpreter, "-c", STOP, str(interpreter)],
            capture_output=True,
            text=True,
            env=home,
            check=True,
            timeout=60,
        )
        assert done.stdout == "spared spared\n"
        assert other.poll() is None
        other.communicate(b"\n", timeout=30)


async def test_a_file_that_is_truncated_while_somebody_maps_it_costs_nobody_a_crash(tmp_path: Path) -> None:
    """We never map what we judge, so no SIGBUS can reach us; the file has changed and stays."""
    scene = Scene(tmp_path)
    path = scene.infected(content=os.urandom(1 << 20))

    def truncate(entry_id: str, step: Step) -> None:
        if step is Step.CAPTURED:
            os.truncate(scene.vault_dir / "staging" / entry_id, 10)

    scene.after_step = truncate
    with path.open("r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapping:
        entry = await scene.vault.capture(scanned(path))
        assert len(mapping) == 1 << 20
    assert entry.detail.startswith("changed: ")
    assert path.stat().st_size == 10
