"""The and/or/not skeleton of a rule's condition.

In YARA's grammar `or`, `and`, and `not`/`defined` bind, in this order, more loosely than everything else, and anything
looser inside an operand must stand in brackets. So the skeleton can be found by splitting at bracket depth zero, and
what lies between (comparisons, string and rule references, loops) stays a `Leaf` of tokens for `implications` to judge.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    if not tokens:
        raise UnreadableConditionError("an operand is missing")
    if not nesting_left:
        raise UnreadableConditionError(f"nested deeper than {MAX_NESTING} levels")
    for word, build in (("or", Or), ("and", And)):
        operands = tuple(_split_at(tokens, word))
        if len(operands) > 1:
            return build(tuple(_parse(operand, nesting_left - 1) for operand in operands))
    if tokens[0] == "not":
        return Not(_parse(tokens[1:], nesting_left - 1))
    if tokens[0] == "defined":
        return Defined(_parse(tokens[1:], nesting_left - 1))
    if tokens[0] == "(" and _closing_of_first(tokens) == len(tokens) - 1:
        return _parse(tokens[1:-1], nesting_left - 1)
    return Leaf(tokens)


def _split_at(tokens: tuple[str, ...], word: str) -> Iterator[tuple[str, ...]]:
    start = 0
    for index, depth in _depths(tokens):
        if depth == 0 and tokens[index] == word:
            yield tokens[start:index]
            start = index + 1
    yield tokens[start:]


def _closing_of_first(tokens: tuple[str, ...]) -> int:
    return next(index for index, depth in _depths(tokens) if depth == 0)


def _depths(tokens: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield each token's index and the bracket depth after it."""
    depth = 0
    for index, token in enumerate(tokens):
        if token in OPENING:
            depth += 1
        elif token in CLOSING:
            depth -= 1
            if depth < 0:
                raise UnreadableConditionError("a bracket closes that was never opened")
        yield index, depth
    if depth:
        raise UnreadableConditionError("a bracket is never closed")
