"""What a benchmark has to reach, and one line for each target that says whether it did."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """One figure and its bound.

    Attributes:
        what: Is measured.
        measured: The figure; None: it could not be measured, which is no success.
        at_most: What is still good.
        unit: Of both.
        at_least: The same from below.
    """

    what: str
    measured: float | None
    at_most: float = math.inf
    unit: str = ""
    at_least: float = -math.inf

    @property
    def reached(self) -> bool:
        """Whether it is within the bound."""
        return self.measured is not None and self.at_least <= self.measured <= self.at_most


def report(targets: Sequence[Target]) -> tuple[list[str], int]:
    """Lines to print, and the exit status: 0 when every target is reached."""
    lines = []
    for target in targets:
        measured = "not measured" if target.measured is None else f"{target.measured:.2f}{target.unit}"
        word = "reached" if target.reached else "MISSED "
        lines.append(f"{word}  {target.what}: {measured}, {_bound(target)}{target.unit}")
    return lines, 0 if all(target.reached for target in targets) else 1


def _bound(target: Target) -> str:
    return f"at most {target.at_most:.2f}" if math.isfinite(target.at_most) else f"at least {target.at_least:.2f}"
