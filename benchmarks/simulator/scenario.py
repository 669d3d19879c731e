"""What a scenario is."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.simulator.expectation import Expected
from benchmarks.simulator.stage import Options

Found = Mapping[str, float]
Play = Callable[[Options], Coroutine[Any, Any, Found]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario.

    Attributes:
        name: On the command line.
        about: One line.
        expected: For so many devices.
        play: The script; what it found, by the names of the expected block and others.
        needs_postgres: Whether it makes no sense on SQLite.
    """

    name: str
    about: str
    expected: Callable[[int], Sequence[Expected]]
    play: Play
    needs_postgres: bool = False
