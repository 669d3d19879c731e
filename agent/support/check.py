"""What a check-up is."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.support.checkup import CheckResult
from agent.support.surroundings import Surroundings


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        name: Stable, for `--check`.
        title: What it is about, for people.
        look: Changes nothing; may block and may raise `BucklerError` or `OSError`, which then is the evidence.
        mend: What `--fix` does, by code; returns what was done and raises `BucklerError` when it cannot be.
    """

    name: str
    title: str
    look: Callable[[Surroundings], CheckResult]
    mend: Callable[[Surroundings, CheckResult], str] | None = None
