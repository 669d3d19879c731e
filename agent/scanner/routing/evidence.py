"""Which strings must occur in a file before a condition can be true of it. Sound before sharp: in doubt, nothing.

Evidence only ever grows: a file with more strings has at least the evidence of one with fewer. So it may be judged by
needles (`needles`), which occur in more files than the strings they stand for. Nothing follows from a `not`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from agent.scanner.routing.conditions import And, Condition, Leaf, Or, UnreadableConditionError, parse_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from agent.scanner.routing.needles import Needle
    from agent.scanner.routing.reading import Rule


@dataclass(frozen=True, slots=True)
class Threshold:
    """So many of some parts are needed; a part is a needle or again such a need.

    Attributes:
        count: 1 to the number of parts.
        parts: Two or more, or one needle.
    """

    count: int
    parts: tuple[Threshold | Needle, ...]


Evidence: TypeAlias = Threshold | None
"""What a file must contain; None: nothing in particular."""

# Of these, a leaf may be true or defined though a string it names does not occur.
_COUNTS = re.compile(r"(?:#\w+|[+()]| )+>(?:#\w+|[+()]| )+")
_PLACE = re.compile(r"[@!](\w+)")
_NOT_STRICT = frozenset({"and", "or", "not", "defined", "for", "of", "none", "in", "at"})


def all_of(parts: Iterable[Evidence]) -> Evidence:
    """What is needed when all of some things are."""
    known = tuple(part for part in parts if part is not None)
    if len(known) <= 1:
        return known[0] if known else None
    return Threshold(len(known), known)


def some_of(count: int, parts: Sequence[Evidence]) -> Evidence:
    """What is needed when at least so many of some things are."""
    known = tuple(part for part in parts if part is not None)
    # Each part that needs nothing may be there.
    count -= len(parts) - len(known)
    if count <= 0 or not known:
        return None
    return known[0] if len(known) == 1 else Threshold(count, known)


class EvidenceReader:
    """Reads the evidence off the condition of one rule.

    Args:
        rule: Its strings count.
        needles: Of each string, in the same order; None: not known.
        at_start: Those of each string at the start of a file.
        evidence_of_rule: Of an earlier rule of the namespace; None also for a name that is no rule.
    """

    def __init__(
        self,
        rule: Rule,
        needles: Sequence[tuple[Needle, ...] | None],
        at_start: Sequence[tuple[Needle, ...] | None],
        evidence_of_rule: Callable[[str], Evidence],
    ) -> None:
        self._names = [string.name for string in rule.strings]
        self._parts: list[Evidence] = [Threshold(1, known) if known else None for known in needles]
        self._at_start: list[Evidence] = [Threshold(1, known) if known else None for known in at_start]
        self._evidence_of_rule = evidence_of_rule

    def of(self, condition: Condition, each: Evidence = None) -> Evidence:
        """Return what a file contains when the condition is true of it.

        Args:
            condition: To be judged.
            each: What `$` stands for, in the body of a loop over strings.
        """
        match condition:
            case And(operands):
                return all_of(self.of(operand, each) for operand in operands)
            case Or(operands):
                return some_of(1, [self.of(operand, each) for operand in operands])
            case Leaf(tokens):
                return self._of_leaf(tokens, each)
            case _:
                return None

    def _of_leaf(self, tokens: tuple[str, ...], each: Evidence) -> Evidence:
        if tokens[0] == "$" and (len(tokens) == 1 or tokens[1] in ("at", "in")):
            return each
        if tokens[0].startswith("$") and tokens[1:] == ("at", "0"):
            return all_of((self._named(tokens[0]), self._named(tokens[0], self._at_start)))
        if tokens[0].startswith("$") and (len(tokens) == 1 or tokens[1] in ("at", "in")):
            return self._named(tokens[0])
        if len(tokens) == 1:
            return self._evidence_of_rule(tokens[0])
        if tokens[0] == "for" and "of" in tokens[:3]:
            return self._of_loop(tokens)
        if tokens[1] == "of":
            return self._of_set(tokens)
        return self._of_number(tokens)

    def _of_set(self, tokens: tuple[str, ...]) -> Evidence:
        """Read `2 of ($a*, $b)`, `any of them in (0..100)`."""
        chosen, rest = self._set(tokens[2:])
        if chosen is None or (rest and rest[0] not in ("in", "at")):
            return None
        return some_of(_count(tokens[0], len(chosen)), chosen)

    def _of_loop(self, tokens: tuple[str, ...]) -> Evidence:
        """Read `for all of ($a*) : ( $ in (0..100) )`."""
        chosen, rest = self._set(tokens[3:])
        if tokens[2] != "of" or chosen is None or rest[:2] != (":", "(") or rest[-1] != ")":
            return None
        try:
            body = parse_condition(rest[2:-1])
        except UnreadableConditionError:
            return None
        return some_of(_count(tokens[1], len(chosen)), [self.of(body, part) for part in chosen])

    def _of_number(self, tokens: tuple[str, ...]) -> Evidence:
        """Read `#a > 2`, and that what compares a place or a length (`@a`, `!a`) is undefined without the string."""
        match tokens:
            case (name, operator, number) if name[0] == "#" and len(name) > 1 and number.isdecimal():
                enough = {">": 1, "==": 1, ">=": 1}.get(operator)
                least = int(number) + (operator == ">")
                return self._named("$" + name[1:]) if enough and least >= 1 else None
        if ">" in tokens and _COUNTS.fullmatch(" ".join(tokens)):
            # A sum of counts that is more than another one is more than nothing.
            larger = tokens[: tokens.index(">")]
            return some_of(1, [self._named("$" + token[1:]) for token in larger if token[0] == "#"])
        if not _NOT_STRICT.isdisjoint(tokens) or any("." in token for token in tokens):
            return None
        places = {f"${found[1]}" for found in map(_PLACE.fullmatch, tokens) if found}
        return all_of(self._named(name) for name in sorted(places))

    def _set(self, tokens: tuple[str, ...]) -> tuple[list[Evidence] | None, tuple[str, ...]]:
        """Return the strings of a set and what stands behind it; None for a set of something else than strings."""
        if tokens[:1] == ("them",):
            return list(self._parts), tokens[1:]
        if tokens[:1] != ("(",) or ")" not in tokens:
            return None, ()
        end = tokens.index(")")
        names = tokens[1:end:2]
        if not all(name.startswith("$") for name in names) or tokens[2:end:2] != (",",) * (len(names) - 1):
            return None, ()
        chosen: list[Evidence] = []
        for wanted in names:
            chosen += [part for name, part in zip(self._names, self._parts, strict=True) if _is_meant(name, wanted)]
        return chosen, tokens[end + 1 :]

    def _named(self, name: str, parts: Sequence[Evidence] | None = None) -> Evidence:
        return (parts or self._parts)[self._names.index(name)] if name in self._names else None


def _is_meant(name: str, wanted: str) -> bool:
    return name.startswith(wanted[:-1]) if wanted.endswith("*") else name == wanted


def _count(word: str, size: int) -> int:
    """How many of a set are needed at least; 0: perhaps none."""
    if word == "any":
        return 1
    if word == "all":
        return size
    return int(word) if word.isdecimal() else 0
