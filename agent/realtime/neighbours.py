"""The parts of the agent that real-time protection works with, each known by its port only."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.domain.ports import Clock, EventSource, IncidentLog, Quarantine, Randomness, Scanner, Store


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Whom protection asks and tells.

    Attributes:
        source: Where events come from.
        scanner: What a file contains.
        quarantine: Takes infected files.
        incidents: Findings that are only reported.
        store: Life sign and names of self-tests.
        clock: Time.
        randomness: Names and jitter.
        held_for_writing: Inode numbers of files that are open for writing now; None: cannot be known here.
    """

    source: EventSource
    scanner: Scanner
    quarantine: Quarantine
    incidents: IncidentLog
    store: Store
    clock: Clock
    randomness: Randomness
    held_for_writing: Callable[[], frozenset[int] | None]
