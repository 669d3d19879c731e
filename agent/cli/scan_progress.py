"""Progress of a scan on standard error: a bar on a terminal, nothing elsewhere."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from agent.scanner.scan_report import Tally, printable

#: Characters of the path that is shown; the rest of a line belongs to the numbers.
_SHOWN_PATH = 60


class Progress(Protocol):
    """Where a scan reports how far it is."""

    def advance(self, path: str, tally: Tally) -> None:
        """One more file is done."""


class NoProgress:
    """For pipes, files and services."""

    def advance(self, path: str, tally: Tally) -> None:
        """Say nothing."""


@contextmanager
def open_progress() -> Iterator[Progress]:
    """Progress that fits where standard error goes."""
    if not sys.stderr.isatty():
        yield NoProgress()
        return
    from rich.console import Console
    from rich.progress import Progress as Bar
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    bar = Bar(
        SpinnerColumn(),
        TextColumn("{task.fields[files]} files, {task.fields[mib]:.0f} MiB, {task.fields[found]} found"),
        TimeElapsedColumn(),
        TextColumn("{task.fields[path]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        # Lines for standard output go above the bar if both are the terminal, and untouched to a pipe.
        redirect_stdout=sys.stdout.isatty(),
    )
    with bar:
        task = bar.add_task("scan", total=None, files=0, mib=0.0, found=0, path="")

        class _OnTerminal:
            def advance(self, path: str, tally: Tally) -> None:
                shown = printable(path)[-_SHOWN_PATH:]
                bar.update(task, files=tally.files, mib=tally.bytes / (1 << 20), found=tally.infected, path=shown)

        yield _OnTerminal()
