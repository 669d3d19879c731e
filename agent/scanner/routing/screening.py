"""Whether a file could match any rule of a pack, judged by the needles it contains.

Most files contain some strings of some rules, and hardly one all those that a rule needs. Finding thousands of needles
takes a fraction of the time of running the rules they come from, so a pack is run only on files that have the evidence
for one of its rules.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent.scanner.routing.needles import Needle
from agent.scanner.routing.needs import Need

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from agent.scanner.routing.evidence import Evidence, Threshold

# So many are run together when a file has the evidence for one of them.
RULES_IN_A_CELL = 16
#: Screens that share so much of what they look for share a table.
ALIKE = 0.8


@dataclass(frozen=True, slots=True)
class ScreenedRule:
    """What a file needs for one rule to match.

    Attributes:
        need: What the file is like.
        evidence: What it contains; None: that it is like this is all there is to know.
    """

    need: Need
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ScreenPlan:
    """A screen as it is made once and stored.

    Attributes:
        needles: What to look for.
        table: Everything `Screen` needs, of the types that JSON has; needles are indices.
    """

    needles: tuple[Needle, ...]
    table: Mapping[str, Any]


def plan_screen(rules: Iterable[ScreenedRule], place: dict[Needle, int] | None = None) -> ScreenPlan:
    """Work out what to look for, and which rules each needle is a reason to judge.

    Args:
        rules: Of one partition.
        place: Indices that needles have already; new ones are added. None: there are none.
    """
    place = {} if place is None else place
    triggers: dict[int, list[int]] = defaultdict(list)
    needs: list[list[Any]] = []
    wanted: list[Any] = []
    for number, rule in enumerate(rules):
        needs.append(_packed(rule.need))
        wanted.append(_placed(rule.evidence, place) if rule.evidence else None)
        for needle in _triggers(rule.evidence) if rule.evidence else ():
            triggers[place[needle]].append(number)
    return ScreenPlan(tuple(place), {"needs": needs, "wanted": wanted, "triggers": triggers})


def alike(plans: Sequence[ScreenPlan]) -> tuple[tuple[int, ...], ...]:
    """Group screens that look for nearly the same, so that one table of needles does for all of a group.

    Rules without a guard are in every partition, and their needles in every screen: a table for each would be made,
    kept and loaded once more for next to nothing. Screens that differ keep their own: a table with needles that mean
    nothing to a content only costs time.

    Returns:
        Indices of the plans, each once.
    """
    groups: list[list[int]] = []
    looked_for = [frozenset(plan.needles) for plan in plans]
    for number, needles in enumerate(looked_for):
        for group in groups:
            first = looked_for[group[0]]
            if len(needles & first) >= ALIKE * len(needles | first):
                group.append(number)
                break
        else:
            groups.append([number])
    return tuple(map(tuple, groups))


class Screen:
    """Judges files: pure, and some microseconds a file.

    Args:
        table: From a `ScreenPlan`, perhaps by way of JSON, whose keys are text.
    """

    def __init__(self, table: Mapping[str, Any]) -> None:
        self._needs = [_unpacked(need) for need in table["needs"]]
        self._wanted = [_Wanted.read(wanted) for wanted in table["wanted"]]
        self._triggers = {int(needle): rules for needle, rules in table["triggers"].items()}
        # The few that nothing but their heads can tell; whatever else is needed comes after.
        self._by_need = [number for number, wanted in enumerate(table["wanted"]) if wanted is None]
        self._heads = tuple({head for number in self._by_need for head in self._needs[number].heads or (b"",)})

    def candidates(self, untrusted_data: bytes, found: Sequence[int]) -> set[int]:
        """Return the numbers of the rules that a content has the evidence for.

        Args:
            untrusted_data: The content; its first bytes and its size are looked at.
            found: Indices of the needles in it.
        """
        size = len(untrusted_data)
        chosen: set[int] = set()
        if untrusted_data.startswith(self._heads):
            chosen.update(number for number in self._by_need if self._needs[number].met_by(untrusted_data, size))
        here = frozenset(found)
        judged: set[int] = set()
        for needle in found:
            for number in self._triggers.get(needle, ()):
                if number in judged:
                    continue
                judged.add(number)
                if self._wanted[number].is_met(here) and self._needs[number].met_by(untrusted_data, size):
                    chosen.add(number)
        return chosen


def _placed(part: Threshold | Needle, place: dict[Needle, int]) -> Any:
    """Evidence as nested lists: a count, then the parts. Needles get the next free index."""
    if isinstance(part, Needle):
        return place.setdefault(part, len(place))
    parts: list[Any] = []
    for inner in part.parts:
        placed = _placed(inner, place)
        # One of several alternatives, each of which is one of several: one of all of them.
        is_alternative = part.count == 1 and isinstance(placed, list) and placed[0] == 1
        parts += placed[1:] if is_alternative else [placed]
    return parts[0] if len(parts) == 1 else [part.count, *parts]


class _Wanted:
    """Evidence, ready to be judged many times.

    Args:
        count: So many are needed,
        needles: of these needles,
        parts: and these other needs.
    """

    __slots__ = ("_count", "_needles", "_parts")

    def __init__(self, count: int, needles: frozenset[int], parts: tuple[_Wanted, ...]) -> None:
        self._count = count
        self._needles = needles
        self._parts = parts

    @classmethod
    def read(cls, placed: Any) -> _Wanted:
        """From what `_placed` wrote; None is never met, because it is not judged."""
        if not isinstance(placed, list):
            return cls(1, frozenset() if placed is None else frozenset({placed}), ())
        count, *parts = placed
        # A needle may stand for several strings of a set, and then counts for each of them.
        needles = frozenset(part for part in parts if isinstance(part, int) and parts.count(part) == 1)
        others = [part for part in parts if not isinstance(part, int) or part not in needles]
        return cls(count, needles, tuple(map(cls.read, others)))

    def is_met(self, here: frozenset[int]) -> bool:
        """Whether a content with these needles has the evidence."""
        missing = self._count - len(self._needles & here)
        for part in self._parts:
            if missing <= 0:
                break
            missing -= part.is_met(here)
        return missing <= 0


def _triggers(part: Threshold | Needle) -> tuple[Needle, ...]:
    """Return needles one of which is in every file that has the evidence, the rarest ones that do.

    Of `count` parts among n, one is always among any n - count + 1 of them.
    """
    if isinstance(part, Needle):
        return (part,)
    below = sorted((_triggers(inner) for inner in part.parts), key=_rarity, reverse=True)
    return tuple(dict.fromkeys(needle for needles in below[: len(below) - part.count + 1] for needle in needles))


def weakness(rule: ScreenedRule) -> int:
    """How little it takes to be a candidate; rules with equal numbers are candidates about as often."""
    return -_rarity(_triggers(rule.evidence)) if rule.evidence else 0


def _rarity(needles: Iterable[Needle]) -> int:
    """That of the most common one."""
    return min(needle.rarity for needle in needles)


def _packed(need: Need) -> list[Any]:
    heads = None if need.heads is None else sorted(head.hex() for head in need.heads)
    return [heads, need.min_size, need.max_size]


def _unpacked(packed: Sequence[Any]) -> Need:
    heads, min_size, max_size = packed
    return Need(None if heads is None else frozenset(map(bytes.fromhex, heads)), min_size, max_size)
