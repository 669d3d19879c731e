"""The agent as a guest of the machine: quiet when nothing happens, alone on its folders, gone when told to go."""

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent.platform.fanotify import permitted
from tests.e2e.installation import wait_until
from tests.e2e.processes import Finished, Service, run
from tests.integration.compiled_rules import device_folder
from tests.scratch_mounts import scratch_tmpfs

#: Threads of the gRPC library wake up by themselves some times per second, whatever we do (docs/benchmarks.md).
_OF_GRPC = re.compile(r"grpc_global_tim|event_engine|lifeguard|timer_manager")
WINDOW_S = 2.0


@pytest.fixture(name="disk")
def disk_of_its_own(tmp_path: Path) -> Iterator[Path]:
    """As root the kernel tells about a whole file system, so the folder needs one nobody else writes to."""
    with ExitStack() as stack:
        disk = tmp_path / "disk"
        disk.mkdir()
        if os.geteuid() == 0 and permitted():
            stack.enter_context(scratch_tmpfs(disk))
        (disk / "root").mkdir()
        yield disk


def command(disk: Path, data: str) -> list[str]:
    if not (disk / data).exists():
        device_folder(disk / data)
    return ["run", "--data-dir", str(disk / data), "--root", str(disk / "root")]


def start(disk: Path, data: str = "data") -> Service:
    service = Service("buckler", command(disk, data))
    service.wait_for("protected roots=")
    return service


def try_to_start(disk: Path, data: str) -> Finished:
    return run("buckler", *command(disk, data))


def wake_ups(pid: int) -> int:
    """How often the agent, its workers and helpers were given a processor, the threads of gRPC left out."""
    count = 0
    for process in (pid, *descendants(pid)):
        for thread in Path(f"/proc/{process}/task").iterdir():
            status = (thread / "status").read_text()
            if not _OF_GRPC.search(status.partition("\n")[0]):
                count += sum(int(number) for number in re.findall(r"ctxt_switches:\s+(\d+)", status))
    return count


def descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield int(child)
            yield from descendants(int(child))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="only Linux counts wake-ups by thread")
def test_on_an_idle_machine_nothing_happens(disk: Path) -> None:
    service = start(disk)

    def quiet() -> bool:
        before = wake_ups(service.pid)
        time.sleep(WINDOW_S)
        return wake_ups(service.pid) - before <= 5

    try:
        assert len(list(descendants(service.pid))) >= 1
        wait_until(quiet, "the agent sleeps", timeout_s=45.0)
    finally:
        assert service.stop() == 0


def test_a_second_agent_is_refused_in_words(disk: Path) -> None:
    first = start(disk)
    try:
        same_memory = try_to_start(disk, "data").expect(5)
        assert "AGENT_RUNNING" in same_memory.stderr
        same_folder = try_to_start(disk, "other data").expect(5)
        assert f"process {first.pid}" in same_folder.stderr
        assert "ROOT_WATCHED" in same_folder.stderr
    finally:
        assert first.stop() == 0
    start(disk, "other data").kill()
    assert start(disk, "data").stop() == 0
