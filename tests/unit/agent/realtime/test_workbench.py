import asyncio
import inspect
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from agent.domain.facts import ScanFacts
from agent.realtime.commands import Input, Scan
from agent.realtime.neighbours import Neighbours
from agent.realtime.workbench import Workbench
from tests.fakes.clock import FakeClock
from tests.fakes.event_source import FakeEventSource
from tests.fakes.incidents import FakeIncidentLog
from tests.fakes.quarantine import FakeQuarantine
from tests.fakes.randomness import SeededRandomness
from tests.fakes.scanner import FakeScanner
from tests.fakes.store import MemoryStore


class RememberingScanner(FakeScanner):
    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Coroutine[Any, Any, ScanFacts]] = []

    def scan(self, descriptor: int, path: str) -> Coroutine[Any, Any, ScanFacts]:
        self.asked.append(super().scan(descriptor, path))
        return self.asked[-1]


def bench_on(scanner: FakeScanner, folder: Path, told: list[Input]) -> Workbench:
    neighbours = Neighbours(
        FakeEventSource(),
        scanner,
        FakeQuarantine(folder),
        FakeIncidentLog(),
        MemoryStore(),
        FakeClock(),
        SeededRandomness(),
        frozenset,
    )
    return Workbench(neighbours, told.append, lambda _scan, _facts: None)


async def test_the_scanner_is_asked_before_anything_else_has_its_turn(tmp_path: Path) -> None:
    scanner = RememberingScanner()
    bench = bench_on(scanner, tmp_path, [])
    with (tmp_path / "file").open("w+b") as file:
        async with asyncio.TaskGroup() as tasks:
            bench.open(tasks)
            bench.start(Scan(1, file.fileno(), file.name, 0))
            assert len(scanner.asked) == 1


async def test_a_scan_whose_task_never_begins_is_closed(tmp_path: Path) -> None:
    scanner = RememberingScanner()
    bench = bench_on(scanner, tmp_path, [])

    async def ask_and_fail(descriptor: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            bench.open(tasks)
            bench.start(Scan(1, descriptor, "file", 0))
            raise ValueError

    with (tmp_path / "file").open("w+b") as file, pytest.raises(ExceptionGroup):
        await ask_and_fail(file.fileno())
    assert [inspect.getcoroutinestate(scan) for scan in scanner.asked] == [inspect.CORO_CLOSED]
