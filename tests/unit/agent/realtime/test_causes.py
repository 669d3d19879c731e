"""Whose doing a scan was."""

from agent.domain.costs import ENDED, UNKNOWN, WALK, CostBook, CostKind, CostWindow
from agent.domain.facts import ScanFacts
from agent.domain.files import EventKind
from agent.platform.processes.names import ProcessNames
from agent.realtime.causes import Causes
from agent.realtime.commands import Scan
from tests.fakes.clock import FakeClock


class OneProcess(ProcessNames):
    """Number 7 is a compiler."""

    def name(self, pid: int) -> str:
        return "/usr/bin/cc1" if pid == 7 else ""


def test_a_scan_counts_for_the_program_the_walk_or_nobody_known() -> None:
    clock = FakeClock()
    book = CostBook(clock.monotonic_ns())
    causes = Causes(book, clock, OneProcess())
    events = ((7, EventKind.CLOSED_AFTER_WRITE), (8, EventKind.OPENING), (0, EventKind.APPEARED))
    for ms, (pid, kind) in enumerate((*events, (0, EventKind.RECONCILED)), 1):
        causes.scanned(Scan(1, 3, "/r/a.o", 0, pid, kind), ScanFacts("", 1, elapsed_ms=float(ms)))
    lines = book.report(CostWindow.HOUR, clock.monotonic_ns()).lines[CostKind.PROCESS]
    assert [(line.name, line.microseconds) for line in lines] == [
        (WALK, 4_000),
        (UNKNOWN, 3_000),
        (ENDED, 2_000),
        ("/usr/bin/cc1", 1_000),
    ]
