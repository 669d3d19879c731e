"""The shell of the governor on scanners that do as they are told."""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.domain.facts import Incomplete, ScanFacts
from agent.domain.governor import ResourceLimits
from agent.platform.clock import SystemClock
from agent.scanner.governor import ScanGovernor
from tests.fakes.scanner import FakeScanner
from tests.fakes.waiting import until

#: Kept by nobody.
NOTHING_ALLOWED = ResourceLimits(
    cpu_percent=100.0,
    memory_mb=1.0,
    memory_at_rest_mb=1.0,
    worth_restarting_mb=0.0,
    warn_after_s=0.0,
    throttle_after_s=0.0,
    restart_after_s=0.0,
    calm_after_s=0.01,
)
PLENTY = ResourceLimits(cpu_percent=100.0, memory_mb=1e6, memory_at_rest_mb=1e6)


class CountingClock(SystemClock):
    questions = 0

    def monotonic_ns(self) -> int:
        self.questions += 1
        return super().monotonic_ns()


class FakeService(FakeScanner):
    """One worker, which is this process; it cannot be restarted, only asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.restarted: list[str] = []

    def work_under_way(self) -> dict[int, str]:
        return {os.getppid(): self.scanned[-1] if self.running else ""}

    def restart_worker(self, pid: int, reason: str) -> bool:
        assert pid == os.getppid()
        self.restarted.append(reason)
        return True


class RememberingService(FakeService):
    """Keeps what it returned."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Coroutine[Any, Any, ScanFacts]] = []

    def scan(self, descriptor: int, path: str) -> Coroutine[Any, Any, ScanFacts]:
        self.asked.append(super().scan(descriptor, path))
        return self.asked[-1]


class FakeFinder:
    """Knows the rule of every file it was told of."""

    def __init__(self) -> None:
        self.suspected: list[str] = []

    def suspect(self, path: str) -> None:
        self.suspected.append(path)

    def said_of(self, path: str) -> str:
        assert path in self.suspected
        return f"{path}: mostly rule slow"


class ServiceWithoutWorkers(FakeService):
    def work_under_way(self) -> dict[int, str]:
        return {}

    def restart_worker(self, pid: int, reason: str) -> bool:
        del pid, reason
        return False


class Bench:
    def __init__(
        self, folder: Path, limits: ResourceLimits, *, held: bool = False, service: FakeService | None = None
    ) -> None:
        self.service = service or FakeService()
        self.clock = CountingClock()
        self.finder = FakeFinder()
        self.governor = ScanGovernor(self.service, limits, self.clock, lambda: held, self.finder, every_s=0.005)
        self.file = folder / "file"
        self.file.write_bytes(b"content")

    async def scan(self) -> ScanFacts:
        descriptor = os.open(self.file, os.O_RDONLY)
        try:
            return await self.governor.scan(descriptor, str(self.file))
        finally:
            os.close(descriptor)

    def is_stage(self, stage: str) -> Callable[[], bool]:
        return lambda: self.governor.facts().stage == stage

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.ensure_future(self.governor.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_within_the_limits_files_are_scanned_side_by_side(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLENTY)
    async with bench.running():
        await asyncio.gather(*(bench.scan() for _ in range(5)))
        await until(lambda: bench.governor.facts().memory_mb_peak > 0)
    assert bench.service.most_running == 5
    assert bench.governor.facts().stage == "normal"


async def test_a_scan_that_nobody_awaits_is_closed_with_what_it_is_made_of(tmp_path: Path) -> None:
    service = RememberingService()
    with (tmp_path / "file").open("w+b") as file:
        Bench(tmp_path, PLENTY, service=service).governor.scan(file.fileno(), file.name).close()
    assert [inspect.getcoroutinestate(scan) for scan in service.asked] == [inspect.CORO_CLOSED]


async def test_throttled_files_are_scanned_one_at_a_time(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING_ALLOWED)
    async with bench.running():
        await bench.scan()
        await until(bench.is_stage("throttled"))
        await asyncio.gather(*(bench.scan() for _ in range(5)))
    assert bench.service.most_running == 1


async def test_nobody_who_is_held_waits_for_the_throttle(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING_ALLOWED, held=True)
    async with bench.running():
        await bench.scan()
        await until(bench.is_stage("throttled"))
        await asyncio.gather(*(bench.scan() for _ in range(5)))
    assert bench.service.most_running == 5


async def test_a_restart_is_ordered_once_and_names_the_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING_ALLOWED)
    bench.service.hold()
    async with bench.running():
        scan = asyncio.ensure_future(bench.scan())
        await until(lambda: bench.governor.facts().restarts == 1)
        bench.service.release()
        await scan
    assert len(bench.service.restarted) == 1
    assert f"while scanning {bench.file}" in bench.service.restarted[0]
    assert bench.governor.facts().restarts == 1
    assert bench.governor.facts().reason.endswith(f"; {bench.file}: mostly rule slow")


class FakeBackground:
    """A worker of a scheduled scan, which is the parent of this process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.restarted: list[str] = []

    def work_under_way(self) -> dict[int, str]:
        return {os.getppid(): self.path} if self.path else {}

    def restart_worker(self, pid: int, reason: str) -> bool:
        if pid not in self.work_under_way():
            return False
        self.restarted.append(reason)
        return True


async def test_a_worker_in_the_background_is_watched_while_it_works_and_replaced_with_its_file_named(
    tmp_path: Path,
) -> None:
    bench = Bench(tmp_path, NOTHING_ALLOWED, service=ServiceWithoutWorkers())
    background = FakeBackground("/far/away.iso")
    async with bench.running():
        bench.governor.watch(background)
        await until(lambda: bench.governor.facts().restarts == 1)
        background.path = ""
    assert "while scanning /far/away.iso" in background.restarted[0]


async def test_each_of_two_scans_in_the_background_is_watched(tmp_path: Path) -> None:
    bench = Bench(tmp_path, NOTHING_ALLOWED, service=ServiceWithoutWorkers())
    first, second = FakeBackground("/far/first.iso"), FakeBackground("")
    async with bench.running():
        bench.governor.watch(first)
        bench.governor.watch(second)
        await until(lambda: bench.governor.facts().restarts == 1)
        first.path = ""
    assert "while scanning /far/first.iso" in first.restarted[0]
    assert bench.finder.suspected == ["/far/first.iso"]


async def test_a_file_that_meets_its_deadline_is_suspected_and_told_though_no_limit_is_broken(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLENTY)
    overdue = ScanFacts("", 7, incomplete=(Incomplete("timeout", 60),))
    assert bench.governor.judge("/slow", overdue) is overdue
    bench.governor.judge("/deep", replace(overdue, incomplete=(Incomplete("max_depth", 16),)))
    assert bench.finder.suspected == ["/slow"]
    assert bench.governor.facts().costly_files == ("/slow: mostly rule slow",)
    assert not bench.governor.facts().reason


async def test_when_no_file_takes_long_by_itself_that_is_said_and_no_rule_is_named(tmp_path: Path) -> None:
    bench = Bench(tmp_path, replace(NOTHING_ALLOWED, worth_restarting_mb=1e9))
    async with bench.running():
        await bench.scan()
        await until(bench.is_stage("throttled"))
        assert bench.governor.facts().reason.endswith("; no file took long by itself, so no rule is named")
    assert not bench.finder.suspected


async def test_on_an_idle_machine_nothing_is_measured(tmp_path: Path) -> None:
    bench = Bench(tmp_path, PLENTY)
    async with bench.running():
        for _ in range(20):
            await asyncio.sleep(0)
        assert bench.clock.questions == 0
        await bench.scan()
        await until(lambda: bench.clock.questions > 0)
        asked = -1
        while asked != bench.clock.questions:
            asked = bench.clock.questions
            await asyncio.sleep(0.2)
    assert asked < 20
