"""Whose doing it was that a file had to be scanned, for what scanning costs."""

from agent.domain.costs import ENDED, UNKNOWN, WALK, CostBook
from agent.domain.facts import ScanFacts
from agent.domain.files import EventKind, FileEvent
from agent.domain.ports import Clock
from agent.platform.processes.names import ProcessNames
from agent.realtime.commands import Scan


class Causes:
    """Writes scans down, each with the program that caused it.

    Args:
        book: Where.
        clock: Since when.
        names: Of processes.
    """

    def __init__(self, book: CostBook, clock: Clock, names: ProcessNames) -> None:
        self._book = book
        self._clock = clock
        self._names = names

    def arrived(self, event: FileEvent) -> None:
        """An event has come: its process may end any moment, so it is looked at now."""
        if event.pid:
            self._names.note(event.pid)

    def scanned(self, command: Scan, facts: ScanFacts) -> None:
        """A scan came back."""
        if command.kind is EventKind.RECONCILED:
            cause = WALK
        else:
            cause = self._names.name(command.pid) or ENDED if command.pid else UNKNOWN
        self._book.add(command.path, facts, cause, self._clock.monotonic_ns())
