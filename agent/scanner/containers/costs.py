"""Measures where the time of one file goes: to reading, to the rules, or to unpacking which format."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from agent.domain.facts import Cost

_Member = TypeVar("_Member")
#: Names under which the time of the rules, and of reading and hashing, are kept; no format is called so.
MATCHING = "matching"
READING = "reading"
_NANOSECONDS_PER_MICROSECOND = 1_000


class CostLedger:
    """Times of one file with everything inside it.

    Args:
        monotonic_ns: Tells the time.
    """

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self.monotonic_ns = monotonic_ns
        self._spent_ns: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def spend(self, name: str, since_ns: int, *, times: int = 1) -> None:
        """So long was spent on something, from an instant until now."""
        self._spent_ns[name] = self._spent_ns.get(name, 0) + self.monotonic_ns() - since_ns
        self._times[name] = self._times.get(name, 0) + times

    def unpacking(self, name: str, members: Iterable[_Member]) -> Iterator[_Member]:
        """The members of a container; what it takes to list and unpack them is entered under its format's name.

        What is done with a member, its own members included, happens between two turns and is not counted.
        """
        listed = iter(members)
        while True:
            since_ns = self.monotonic_ns()
            try:
                member = next(listed, None)
            finally:
                self.spend(name, since_ns, times=0)
            if member is None:
                return
            self._times[name] += 1
            yield member

    def spent_us(self) -> int:
        """All that was spent, in microseconds."""
        return sum(self._spent_ns.values()) // _NANOSECONDS_PER_MICROSECOND

    def costs(self) -> tuple[Cost, ...]:
        """What was spent, the most first."""
        ranked = sorted(self._spent_ns.items(), key=lambda spent: -spent[1])
        return tuple(Cost(name, ns // _NANOSECONDS_PER_MICROSECOND, self._times[name]) for name, ns in ranked)
