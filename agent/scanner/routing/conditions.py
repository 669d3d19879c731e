"""The and/or/not skeleton of a rule's condition.

In YARA's grammar `or`, `and`, and `not`/`defined` bind, in this order, more loosely than everything else, and anything
looser inside an operand must stand in brackets. So the skeleton can be found by splitting at bracket depth zero, and
what lies between (comparisons, string and rule references, loops) stays a `Leaf` of tokens for `implications` to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPENING = frozenset("([{")
CLOSING = frozenset(")]}")
# YARA's own compiler gives up on deeper nesting long before; ours must not exhaust the interpreter's stack.
MAX_NESTING = 200


class UnreadableConditionError(ValueError):
    """The tokens do not form a condition as this module understands it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part of a condition with no logical operator at its own level."""

    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """`not X`."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class Defined:
    """`defined X`."""

    operand: Condition


@dataclass(frozen=True, slots=True)
class And:
    """`X and Y and …`."""

    operands: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """`X or Y or …`."""

    operands: tuple[Condition, ...]


Condition: TypeAlias = Leaf | Not | Defined | And | Or


def parse_condition(tokens: Sequence[str]) -> Condition:
    """Return the logical skeleton of a condition.

    Args:
        tokens: The condition's tokens, without comments.

    Raises:
        UnreadableConditionError: Brackets do not match, an operand is missing, or the nesting is extreme.
    """
    return _parse(tuple(tokens), MAX_NESTING)


def write_condition(condition: Condition) -> str:
    """Return the condition as source text that parses back to the same tree."""
    match condition:
        case Leaf(tokens):
            return " ".join(tokens)
        case Not(operand):
            return f"not ( {write_condition(operand)} )"
        case Defined(operand):
            return f"defined ( {write_condition(operand)} )"
        case And(operands):
            return " and ".join(f"( {write_condition(operand)} )" for operand in operands)
        case Or(operands):
            return " or ".join(f"( {write_condition(operand)} )" for operand in operands)


def tokens_of(condition: Condition) -> Iterator[str]:
    """Yield the tokens of all leaves of a condition, in order."""
    match condition:
        case Leaf(tokens):
            yield from tokens
        case Not(operand) | Defined(operand):
            yield from tokens_of(operand)
        case And(operands) | Or(operands):
            for operand in operands:
                yield from tokens_of(operand)


def _parse(tokens: tuple[str, ...], nesting_left: int) -> Condition:
    if not nesting_left:
        raise UnreadableConditionError(f"nested deeper than {MAX_NESTING} levels")
    places, wrapped = _logical_operators(tokens)
    for word, build in (("or", Or), ("and", And)):
        if word in places:
            return build(tuple(_parse(operand, nesting_left - 1) for operand in _split(tokens, places[word])))
    if len(tokens) > 1 and tokens[0] in ("not", "defined"):
        operand = _parse(tokens[1:], nesting_left - 1)
        return Not(operand) if tokens[0] == "not" else Defined(operand)
    if wrapped:
        return _parse(tokens[1:-1], nesting_left - 1)
    if not tokens or tokens[0] in ("not", "defined"):
        raise UnreadableConditionError("an operand is missing")
    return Leaf(tokens)


def _split(tokens: tuple[str, ...], places: list[int]) -> Iterator[tuple[str, ...]]:
    for before, place in pairwise((-1, *places, len(tokens))):
        yield tokens[before + 1 : place]


def _logical_operators(tokens: tuple[str, ...]) -> tuple[dict[str, list[int]], bool]:
    """Return where `and` and `or` stand outside all brackets, and whether one pair of brackets surrounds everything."""
    places: dict[str, list[int]] = {}
    depth = 0
    wrapped = tokens[:1] == ("(",)
    for index, token in enumerate(tokens):
        if token in OPENING:
            depth += 1
        elif token in CLOSING:
            depth -= 1
            if depth < 0:
                raise UnreadableConditionError("a bracket closes that was never opened")
            if not depth and index < len(tokens) - 1:
                wrapped = False
        elif not depth and token in ("and", "or"):
            places.setdefault(token, []).append(index)
    if depth:
        raise UnreadableConditionError("a bracket is never closed")
    return places, wrapped
