"""How long what failed rests before it is tried again: a pure function of how often it failed."""

from dataclasses import dataclass
from datetime import timedelta

#: Multiplications after which any sensible rest has reached any sensible bound.
_MOST_STEPS = 20


@dataclass(frozen=True, slots=True)
class Retries:
    """A rest that grows with each failure, and an end.

    Attributes:
        first: After the first failure.
        longest: No rest is longer.
        attempts: So many failures in a row, and it is given up.
        factor: Each rest is so many times the one before.
    """

    first: timedelta
    longest: timedelta
    attempts: int
    factor: int = 2

    def after(self, failures: int) -> timedelta | None:
        """The rest after so many failures in a row, 1 or more; None: it is given up."""
        if failures >= self.attempts:
            return None
        times: int = self.factor ** min(failures - 1, _MOST_STEPS)
        # Compared as numbers: the product may be longer than any span of time.
        return self.longest if times > self.longest // self.first else self.first * times
