"""Where the time of a scan went: its slowest files, and what they spent it on. No input, no output."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from agent.domain.facts import Cost, ScanFacts

#: From here on a file is worth a line in the summary, in milliseconds.
SLOW_MS = 1_000.0
#: Lines of that kind.
SLOW_SHOWN = 5
#: Files that are kept for `--profile`.
_KEPT = 20
_US_PER_MS = 1_000


@dataclass(frozen=True, slots=True, order=True)
class SlowFile:
    """One of the slowest; ordered by time.

    Attributes:
        elapsed_ms: In its worker. Waiting for one is no fault of the file's, and not in here.
        path: Which.
        size_bytes: Of the file.
        costs: What the time was spent on.
    """

    elapsed_ms: float
    path: str
    size_bytes: int = field(compare=False)
    costs: tuple[Cost, ...] = field(compare=False)


@dataclass(slots=True)
class CostTally:
    """Adds up where the time of many files went."""

    _slowest: list[SlowFile] = field(default_factory=list)
    _spent: tuple[Cost, ...] = ()

    def add(self, path: str, facts: ScanFacts) -> None:
        """One more file that was scanned; one that does not say where its time went was not slow."""
        if not facts.costs:
            return
        self._spent = added_up((*self._spent, *facts.costs))
        elapsed_ms = sum(cost.microseconds for cost in facts.costs) / _US_PER_MS
        file = SlowFile(elapsed_ms, path, facts.size_bytes, facts.costs)
        if len(self._slowest) < _KEPT:
            heapq.heappush(self._slowest, file)
        else:
            heapq.heappushpop(self._slowest, file)

    def slowest(self, count: int, *, from_ms: float = 0.0) -> tuple[SlowFile, ...]:
        """The slowest files that took at least so long, the slowest first."""
        ranked = sorted(self._slowest, reverse=True)[:count]
        return tuple(file for file in ranked if file.elapsed_ms >= from_ms)

    def spent(self) -> tuple[Cost, ...]:
        """Time by what it was spent on, the most first."""
        return self._spent


def added_up(costs: Iterable[Cost]) -> tuple[Cost, ...]:
    """One cost for each name, the most first."""
    spent: dict[str, Cost] = {}
    for cost in costs:
        before = spent.get(cost.name, Cost(cost.name, 0, 0))
        spent[cost.name] = Cost(cost.name, before.microseconds + cost.microseconds, before.times + cost.times)
    return tuple(sorted(spent.values(), key=lambda cost: -cost.microseconds))


def slow_record(file: SlowFile) -> dict[str, object]:
    """A slow file for programs."""
    return {
        "path": file.path,
        "elapsed_ms": round(file.elapsed_ms, 3),
        "size": file.size_bytes,
        "costs": [cost_record(cost) for cost in file.costs],
    }


def cost_record(cost: Cost) -> dict[str, object]:
    """A cost for programs."""
    return {"name": cost.name, "ms": cost.microseconds / _US_PER_MS, "times": cost.times}


def slow_text(file: SlowFile) -> str:
    """A slow file for people: how slow, and why."""
    why = ": " + reasons(file.costs) if reasons(file.costs) else ""
    return f"{file.path} ({file.elapsed_ms / 1_000:.3f} s, {file.size_bytes / (1 << 20):.1f} MiB{why})"


def reasons(costs: Iterable[Cost]) -> str:
    """What time was spent on, in words; at most three things, and nothing that took no time."""
    shown = [cost for cost in costs if cost.microseconds >= _US_PER_MS][:3]
    return ", ".join(f"{_what(cost)} {cost.microseconds / 1_000_000:.3f} s" for cost in shown)


def _what(cost: Cost) -> str:
    if cost.name == "matching":
        return f"matching rules in {cost.times} contents" if cost.times > 1 else "matching rules"
    return "reading" if cost.name == "reading" else f"unpacking {cost.name}"
