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
    from collections.abc import Iterable, Iterator, Sequence

    from agent.scanner.routing.evidence import Evidence, Threshold

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
class ScreenTable:
    """Everything `Screen` needs; lists of numbers, which are read where they lie in an image.

    Evidence is a tree: a node is reached when so many of its parts are. Its parts are needles and other nodes, which
    know it as their parent; the parent of a rule's topmost node is the rule.

    Attributes:
        needs: What files are like that rules match, each once: heads in hexadecimal or None, least and most bytes.
        need_of: Of each rule, its place in `needs`.
        by_need: Rules that have no evidence: that a file is like this is all there is to know.
        thresholds: Of each node, how many of its parts have to be reached.
        parents: Of each node, another node, or -1 - the number of the rule.
        first: Of each needle, where the nodes begin in `waiting` of which it is a part; one more for the last's end.
        waiting: Nodes; more than once if the needle stands for several strings.
    """

    needs: Sequence[Sequence[Any]]
    need_of: Sequence[int]
    by_need: Sequence[int]
    thresholds: Sequence[int]
    parents: Sequence[int]
    first: Sequence[int]
    waiting: Sequence[int]


@dataclass(frozen=True, slots=True)
class ScreenPlan:
    """A screen as it is made once and stored.

    Attributes:
        needles: What to look for.
        table: For `Screen`; needles are indices.
    """

    needles: tuple[Needle, ...]
    table: ScreenTable


def plan_screen(rules: Iterable[ScreenedRule], place: dict[Needle, int] | None = None) -> ScreenPlan:
    """Work out what to look for, and what each needle is evidence of.

    Args:
        rules: Of one partition.
        place: Indices that needles have already; new ones are added. None: there are none.
    """
    place = {} if place is None else place
    trees = _Trees()
    needs: dict[Need, int] = {}
    need_of: list[int] = []
    by_need: list[int] = []
    for number, rule in enumerate(rules):
        need_of.append(needs.setdefault(rule.need, len(needs)))
        if rule.evidence is None:
            by_need.append(number)
        else:
            trees.grow(_placed(rule.evidence, place), -1 - number)
    first = [0]
    waiting: list[int] = []
    for needle in range(len(place)):
        waiting += trees.waiting.get(needle, ())
        first.append(len(waiting))
    table = ScreenTable(
        [_packed(need) for need in needs], need_of, by_need, trees.thresholds, trees.parents, first, waiting
    )
    return ScreenPlan(tuple(place), table)


class _Trees:
    """The evidence of all rules, node by node."""

    def __init__(self) -> None:
        self.thresholds: list[int] = []
        self.parents: list[int] = []
        self.waiting: dict[int, list[int]] = defaultdict(list)

    def grow(self, placed: Any, parent: int) -> None:
        """Add a need, written by `_placed`, as a part of another."""
        count, *parts = placed if isinstance(placed, list) else (1, placed)
        node = len(self.thresholds)
        self.thresholds.append(count)
        self.parents.append(parent)
        for part in parts:
            if isinstance(part, int):
                self.waiting[part].append(node)
            else:
                self.grow(part, node)


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
        table: From a `ScreenPlan`.
    """

    def __init__(self, table: ScreenTable) -> None:
        self._needs = [_unpacked(need) for need in table.needs]
        self._need_of = table.need_of
        self._thresholds = table.thresholds
        self._parents = table.parents
        self._first = table.first
        self._waiting = table.waiting
        self._needles = len(table.first) - 1
        # The few that nothing but their heads can tell; whatever else is needed comes after.
        self._by_need = tuple(table.by_need)
        self._heads = tuple({head for number in self._by_need for head in self._need(number).heads or (b"",)})

    def candidates(self, untrusted_data: bytes, found: Sequence[int]) -> set[int]:
        """Return the numbers of the rules that a content has the evidence for.

        Args:
            untrusted_data: The content; its first bytes and its size are looked at.
            found: Indices of the needles in it, each once.
        """
        size = len(untrusted_data)
        chosen = {number for number in self._reached(found) if self._need(number).met_by(untrusted_data, size)}
        if untrusted_data.startswith(self._heads):
            chosen.update(number for number in self._by_need if self._need(number).met_by(untrusted_data, size))
        return chosen

    def _reached(self, found: Sequence[int]) -> Iterator[int]:
        """From the needles upwards: what is not there costs nothing."""
        thresholds, parents = self._thresholds, self._parents
        counts: dict[int, int] = {}
        for needle in found:
            # Of screens with a common table one may not know the needles of the others.
            if needle >= self._needles:
                continue
            for part in self._waiting[self._first[needle] : self._first[needle + 1]]:
                node = part
                while node >= 0:
                    count = counts[node] = counts.get(node, 0) + 1
                    if count != thresholds[node]:
                        break
                    node = parents[node]
                else:
                    yield -1 - node

    def _need(self, number: int) -> Need:
        return self._needs[self._need_of[number]]


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


def _packed(need: Need) -> list[Any]:
    heads = None if need.heads is None else sorted(head.hex() for head in need.heads)
    return [heads, need.min_size, need.max_size]


def _unpacked(packed: Sequence[Any]) -> Need:
    heads, min_size, max_size = packed
    return Need(None if heads is None else frozenset(map(bytes.fromhex, heads)), min_size, max_size)
