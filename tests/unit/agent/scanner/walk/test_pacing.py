import asyncio
from datetime import timedelta

import pytest

from agent.domain.facts import ScanFacts
from agent.scanner.walk.pacing import BURST_S, CpuBudget, Pace, PacedScanner
from tests.fakes.clock import FakeClock


class Machine:
    """Time and processor time that pass when told to."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.used_s = 0.0
        self.slept_s = 0.0

    def work(self, used_s: float, passed_s: float | None = None) -> None:
        self.used_s += used_s
        self.clock.advance(timedelta(seconds=used_s if passed_s is None else passed_s))

    async def sleep(self, pause_s: float) -> None:
        self.slept_s += pause_s
        self.clock.advance(timedelta(seconds=pause_s))

    def pace(self, percent: int) -> Pace:
        return Pace(CpuBudget(percent), lambda: self.used_s, self.clock, self.sleep)


async def test_a_long_scan_uses_its_share_and_no_more() -> None:
    machine = Machine()
    pace = machine.pace(20)
    for _ in range(100):
        machine.work(0.1)
        await pace.keep()
    total_s = machine.used_s + machine.slept_s
    assert machine.used_s / total_s == pytest.approx(0.2, abs=0.01)


async def test_one_who_waits_for_the_disk_has_rested_already() -> None:
    machine = Machine()
    pace = machine.pace(20)
    for _ in range(100):
        machine.work(0.01, passed_s=0.1)
        await pace.keep()
    assert machine.slept_s == 0


async def test_rest_is_not_saved_up_for_a_burst() -> None:
    machine = Machine()
    pace = machine.pace(50)
    machine.work(0.0, passed_s=3600)
    await pace.keep()
    machine.work(10)
    await pace.keep()
    assert machine.slept_s >= 10 - 2 * BURST_S - 0.01


async def test_a_pause_ends_when_nobody_wants_to_go_on() -> None:
    machine = Machine()
    asked = iter([True, False])
    pace = Pace(CpuBudget(1), lambda: machine.used_s, machine.clock, machine.sleep, goes_on=lambda: next(asked))
    machine.work(60)
    await pace.keep()
    assert 0 < machine.slept_s < 60


async def test_what_is_used_beside_counts_too() -> None:
    machine = Machine()
    pace = machine.pace(50)
    machine.work(0.0, passed_s=2.0)
    await pace.keep(beside_s=2.0)
    assert machine.slept_s == pytest.approx(2.0 - 2 * BURST_S, abs=0.01)


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="1 percent"):
        CpuBudget(0)


async def test_a_paced_scanner_says_what_the_scanner_says() -> None:
    machine = Machine()

    class Inner:
        async def scan(self, descriptor: int, path: str) -> ScanFacts:
            machine.work(1.0)
            return ScanFacts(path, descriptor)

    scanner = PacedScanner(Inner(), machine.pace(50))
    facts = tuple(await asyncio.gather(scanner.scan(1, "a"), scanner.scan(2, "b")))
    assert facts == (ScanFacts("a", 1), ScanFacts("b", 2))
    assert machine.slept_s > 1.0
