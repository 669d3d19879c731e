"""Progress of a scan on standard error: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from agent.scanner.scan_report import Tally, printable

if TYPE_CHECKING:
    from agent.domain.ports import Clock
    from agent.scanner.walk.count import Amount

#: Characters of the path that is shown; the rest of a line belongs to the numbers.
_SHOWN_PATH = 50
_MIB = 1 << 20


class Progress(Protocol):
    """Where a scan reports how far it is."""

    def advance(self, path: str, tally: Tally) -> None:
        """One more file is done."""


class NoProgress:
    """For pipes, files and services."""

    def advance(self, path: str, tally: Tally) -> None:
        """Say nothing."""


@contextmanager
def open_progress(named: Sequence[str], is_excluded: Callable[[str], bool], clock: "Clock") -> Iterator[Progress]:
    """Progress that fits where standard error goes.

    Args:
        named: Files and folders that are scanned; what is in them is counted beside the scan. Empty: it cannot be.
        is_excluded: What the scan leaves out.
        clock: Measures.
    """
    if not sys.stderr.isatty():
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    from agent.scanner.walk.count import Amount, TreeCount, seconds_left

    bar = Bar(
        SpinnerColumn(),
        BarColumn(bar_width=10),
        # Of a narrow line the path gets what the numbers leave.
        TextColumn("{task.fields[counts]}", markup=False, table_column=Column(no_wrap=True)),
        TextColumn("{task.fields[path]}", markup=False, table_column=Column(no_wrap=True, ratio=1)),
        expand=True,
        console=Console(stderr=True),
        transient=True,
        # Lines for standard output go above the bar if both are the terminal, and untouched to a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )
    count = TreeCount(named, is_excluded, clock)
    begun_ns = clock.monotonic_ns()
    if named:
        count.start()

    class _OnTerminal:
        def advance(self, path: str, tally: Tally) -> None:
            done, total = Amount(tally.files, tally.bytes), count.total
            left_s = seconds_left(done, total, (clock.monotonic_ns() - begun_ns) / 1_000_000_000)
            bar.update(
                task,
                total=max(total.files, tally.files) if total else None,
                completed=tally.files,
                counts=counts_text(tally, total, left_s),
                path=printable(path)[-_SHOWN_PATH:],
            )

    with bar:
        task = bar.add_task("scan", total=None, counts="", path="")
        try:
            yield _OnTerminal()
        finally:
            if named:
                count.stop()


def counts_text(tally: Tally, total: "Amount | None", left_s: float | None) -> str:
    """The numbers of the bar: files, bytes, threats, and the time left once that can be told."""
    files = f"{tally.files:,}" + (f" of {max(total.files, tally.files):,}" if total else "")
    text = f"{files} files, {tally.bytes / _MIB:,.0f} MiB, {tally.infected} found"
    return text if left_s is None else f"{text}, {timedelta(seconds=round(left_s))} left"
