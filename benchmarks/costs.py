"""`python -m benchmarks.costs`: what it costs to know what scanning costs.

A day of scans of many programs and folders is written into a book, on a clock of our own; no file is opened. Beside it
the look at a process, which every event of a process brings with it, and what the book holds in memory afterwards.
Times are processor time.
"""

import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable

from agent.domain.costs import CostBook, CostWindow
from agent.domain.facts import ScanFacts
from agent.platform.processes.names import ProcessNames

_SCANS = 200_000
_LOOKS = 20_000
_DAY_NS = 24 * 3600 * 1_000_000_000
_FACTS = ScanFacts("", 4_096, elapsed_ms=1.5)
#: More names than are kept, so that giving half of them up is measured, too.
_PROGRAMS, _FOLDERS, _FORMATS = 40, 2_000, 20


def main() -> int:
    """Measure and print."""
    scans = [(_path(number), f"/usr/bin/program{number % _PROGRAMS}") for number in range(_SCANS)]
    book = CostBook(0)
    each_us = _timed(lambda: _write(book, scans)) / _SCANS * 1e6
    report_ms = _timed(lambda: book.report(CostWindow.START, _DAY_NS)) * 1e3
    names = ProcessNames()
    look_us = _timed(lambda: _look(names)) / _LOOKS * 1e6
    tracemalloc.start()
    kept = CostBook(0)
    _write(kept, ((_path(number), f"/usr/bin/program{number % _PROGRAMS}") for number in range(_SCANS)))
    print(f"a scan written down: {each_us:.1f} us; the look at its process: {look_us:.1f} us")
    print(f"a report: {report_ms:.1f} ms; held after a day: {tracemalloc.get_traced_memory()[0] / (1 << 20):.1f} MiB")
    return 0


def _path(number: int) -> str:
    folder = number % _FOLDERS
    return f"/home/user{folder % 7}/src/part{folder}/a/b/c{number}/file{number}.f{number % _FORMATS}"


def _write(book: CostBook, scans: Iterable[tuple[str, str]]) -> None:
    step_ns = _DAY_NS // _SCANS
    for number, (path, program) in enumerate(scans):
        book.add(path, _FACTS, program, number * step_ns)


def _look(names: ProcessNames) -> None:
    for _ in range(_LOOKS):
        names.note(os.getpid())


def _timed(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    sys.exit(main())
