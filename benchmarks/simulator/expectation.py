"""What a scenario is expected to show: data that people can read, and the verdict over it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Relation(Enum):
    """How a value stands to its bound."""

    EXACTLY = "exactly"
    AT_MOST = "at most"
    AT_LEAST = "at least"


@dataclass(frozen=True, slots=True)
class Expected:
    """One line of an expected block.

    Attributes:
        name: Of the value, with its unit.
        relation: How it stands to the bound.
        bound: The bound.
    """

    name: str
    relation: Relation
    bound: float

    def is_met(self, value: float) -> bool:
        """Whether a value is as expected."""
        match self.relation:
            case Relation.EXACTLY:
                return value == self.bound
            case Relation.AT_MOST:
                return value <= self.bound
            case Relation.AT_LEAST:
                return value >= self.bound


def exactly(name: str, bound: float) -> Expected:
    """It is this."""
    return Expected(name, Relation.EXACTLY, bound)


def at_most(name: str, bound: float) -> Expected:
    """It is this or less."""
    return Expected(name, Relation.AT_MOST, bound)


def at_least(name: str, bound: float) -> Expected:
    """It is this or more."""
    return Expected(name, Relation.AT_LEAST, bound)


def missed(expected: Sequence[Expected], found: Mapping[str, float]) -> list[str]:
    """Names of what was not as expected; what nobody measured is among them."""
    return [each.name for each in expected if each.name not in found or not each.is_met(found[each.name])]


def lines(expected: Sequence[Expected], found: Mapping[str, float]) -> list[str]:
    """The block with its values, and below it what was measured without a bound."""
    bad = set(missed(expected, found))
    told = [
        f"{'MISSED ' if each.name in bad else 'reached'}  {each.name}: {_number(found.get(each.name))}, "
        f"{each.relation.value} {_number(each.bound)}"
        for each in expected
    ]
    bound = {each.name for each in expected}
    return told + [f"         {name}: {_number(value)}" for name, value in found.items() if name not in bound]


def _number(value: float | None) -> str:
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
