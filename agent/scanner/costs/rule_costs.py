"""Which rules cost the most time, found out by scanning the slowest files again with parts of the pack.

No engine we use can time a single rule, so rules are timed in groups: a group that costs much is divided in two and
both halves are timed, the costliest group first, until single rules are left or the measurements are used up. What a
rule refers to is compiled with it and counts with it. What scanning costs without any rule (reading, unpacking) is
measured too, and taken off.
"""

import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.scanner.engines.port import RuleSource
from agent.scanner.routing.analysis import AnalysedNamespace, RuleText, analyse
from agent.scanner.routing.writing import write_rule

#: A group that costs less than this share of the whole is not divided further.
WORTH_DIVIDING = 0.05
#: A rule that matches nothing, for what scanning costs without rules.
NO_RULES = RuleSource("nothing", "", "rule nothing { condition: false }")


@dataclass(frozen=True, slots=True)
class RuleUnit:
    """A rule, or a whole rule file that cannot be taken apart (`rule` is empty then)."""

    namespace: str
    rule: str

    @property
    def name(self) -> str:
        """As findings name it."""
        return f"{self.namespace}.{self.rule}" if self.rule else f"{self.namespace} (whole file)"


@dataclass(frozen=True, slots=True)
class GroupCost:
    """What some rules cost together; one unit: what that rule costs."""

    units: tuple[RuleUnit, ...]
    ms: float


@dataclass(frozen=True, slots=True)
class RuleCosts:
    """What was found out.

    Attributes:
        all_ms: All rules together, on the files measured.
        rules: Single rules, the costliest first.
        groups: Groups that were not divided to the end, the costliest first.
        measurements: How many scans that took.
        complete: False: the measurements were used up before every costly group was divided.
        base_ms: Scanning without any rule, on the same files.
    """

    all_ms: float
    rules: tuple[GroupCost, ...]
    groups: tuple[GroupCost, ...]
    measurements: int
    complete: bool
    base_ms: float = 0.0


#: Milliseconds that scanning takes with these rules only; None: it could not be measured.
Measure = Callable[[Sequence[RuleSource]], Awaitable[float | None]]
#: Given the single rules found so far and the whole: whether that is all that was to be found out.
Enough = Callable[[Sequence[GroupCost], GroupCost], bool]


def never_enough(_singles: Sequence[GroupCost], _whole: GroupCost) -> bool:
    """Everything is to be found out."""
    return False


class DividedPack:
    """A pack taken apart into rules, any of which can be put together again.

    Args:
        sources: The pack.
    """

    def __init__(self, sources: Sequence[RuleSource]) -> None:
        self._origins = {source.namespace: source.origin for source in sources}
        self._namespaces = analyse(RuleText(source.namespace, source.text) for source in sources)

    def units(self) -> tuple[RuleUnit, ...]:
        """All of them, in their order."""
        return tuple(itertools.chain.from_iterable(map(_units, self._namespaces)))

    def only(self, units: Sequence[RuleUnit]) -> list[RuleSource]:
        """Rule texts with these rules, what they refer to, and nothing else."""
        wanted: dict[str, set[str]] = {}
        for unit in units:
            wanted.setdefault(unit.namespace, set()).add(unit.rule)
        return [
            RuleSource(namespace.name, self._origins[namespace.name], _text(namespace, wanted[namespace.name]))
            for namespace in self._namespaces
            if namespace.name in wanted
        ]


async def costliest_rules(
    pack: DividedPack, measure: Measure, *, at_most: int, enough: Enough = never_enough
) -> RuleCosts | None:
    """Find out.

    Args:
        pack: The rules.
        measure: Scans with some of them.
        at_most: Measurements, two for the beginning included.
        enough: Asked before each step; when it says so, nothing more is divided.

    Returns:
        None: nothing could be measured.
    """
    units = pack.units()
    base_ms, all_ms = await measure([NO_RULES]), await measure(pack.only(units))
    if base_ms is None or all_ms is None:
        return None
    whole = GroupCost(units, max(0.0, all_ms - base_ms))
    waiting: list[tuple[float, int, GroupCost]] = [(-whole.ms, 0, whole)]
    single: list[GroupCost] = []
    done: list[GroupCost] = []
    measurements = 2
    while waiting and measurements + 2 <= at_most and not enough(single, whole):
        _, _, group = heapq.heappop(waiting)
        if len(group.units) == 1:
            single.append(group)
        elif group.ms < WORTH_DIVIDING * whole.ms:
            done.append(group)
        else:
            for half in _halves(group.units):
                ms = await measure(pack.only(half))
                measurements += 1
                if ms is not None:
                    cost = GroupCost(half, max(0.0, ms - base_ms))
                    heapq.heappush(waiting, (-cost.ms, measurements, cost))
    left = [group for _, _, group in waiting]
    single += [group for group in left if len(group.units) == 1]
    undivided = [group for group in left if len(group.units) > 1]
    return RuleCosts(
        all_ms=whole.ms,
        rules=_ranked(single),
        groups=_ranked([*done, *undivided]),
        measurements=measurements,
        complete=not any(group.ms >= WORTH_DIVIDING * whole.ms for group in undivided),
        base_ms=base_ms,
    )


def _ranked(groups: Sequence[GroupCost]) -> tuple[GroupCost, ...]:
    return tuple(sorted(groups, key=lambda group: -group.ms))


def _halves(units: tuple[RuleUnit, ...]) -> tuple[tuple[RuleUnit, ...], tuple[RuleUnit, ...]]:
    middle = len(units) // 2
    return units[:middle], units[middle:]


def _units(namespace: AnalysedNamespace) -> Iterator[RuleUnit]:
    if namespace.unsplit is not None:
        yield RuleUnit(namespace.name, "")
    for analysed in namespace.rules:
        yield RuleUnit(namespace.name, analysed.rule.name)


def _text(namespace: AnalysedNamespace, wanted: set[str]) -> str:
    if namespace.unsplit is not None:
        return namespace.unsplit
    chosen = [analysed for analysed in namespace.rules if analysed.rule.name in wanted]
    names = wanted.union(*(analysed.companions for analysed in chosen))
    together = [analysed for analysed in namespace.rules if analysed.rule.name in names]
    modules = sorted(frozenset[str]().union(*(analysed.modules for analysed in together)))
    return "\n".join((*(f'import "{module}"' for module in modules), *(write_rule(a.rule) for a in together)))
