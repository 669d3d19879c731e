"""How the amount of a line comes about: the facts are stored, the amount follows from them and from nothing else.

An invoice keeps these facts beside every amount, so that a year later `invoice why` can do the sum again in front of
the customer (`explanation.py`), and so that no line can carry an amount that its facts do not give.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, Final

from controlplane.billing.money import round_half_up, split

#: Rates are in millionths: 19% is 190,000.
PARTS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ListPrice:
    """So many at the price of the catalog."""

    unit: int
    quantity: int = 1

    @property
    def amount(self) -> int:
        """Minor units."""
        return self.unit * self.quantity


@dataclass(frozen=True, slots=True)
class NetOfTax:
    """A price that contains its tax, without it: the rest after `TaxWithin`, so that both add up to the price."""

    gross: int
    rate: int

    @property
    def amount(self) -> int:
        """Minor units."""
        return self.gross - TaxWithin(self.gross, self.rate).amount


@dataclass(frozen=True, slots=True)
class TaxWithin:
    """The tax that a price contains."""

    gross: int
    rate: int

    @property
    def amount(self) -> int:
        """Minor units."""
        return round_half_up(Fraction(self.gross * self.rate, PARTS + self.rate))


@dataclass(frozen=True, slots=True)
class TaxOn:
    """Tax on top of a sum; negative on a negative one."""

    base: int
    rate: int

    @property
    def amount(self) -> int:
        """Minor units."""
        return round_half_up(Fraction(self.base * self.rate, PARTS))


@dataclass(frozen=True, slots=True)
class PercentOff:
    """A discount by rate."""

    base: int
    rate: int

    @property
    def amount(self) -> int:
        """Minor units, not positive."""
        return -round_half_up(Fraction(self.base * self.rate, PARTS))


@dataclass(frozen=True, slots=True)
class Prorated:
    """A part of an amount by time.

    Attributes:
        full: The whole amount: the list price of a charge, or what was really paid and not yet given back of a credit.
        part: How many units of time are charged or given back.
        whole: How many there are.
        unit: What is counted, in the plural: `days`, `seconds`.
        rest: The other side was rounded and this one takes what is left, so that both add up to `full`.
        credit: Given back rather than charged.
    """

    full: int
    part: int
    whole: int
    unit: str = "days"
    rest: bool = False
    credit: bool = False

    @property
    def amount(self) -> int:
        """Minor units; a credit is not positive."""
        if self.rest:
            _, share = split(self.full, self.whole - self.part, self.whole)
        else:
            share, _ = split(self.full, self.part, self.whole)
        return -share if self.credit else share


@dataclass(frozen=True, slots=True)
class Fixed:
    """An amount that was agreed; `reason` completes the sentence "… because …"."""

    amount: int
    reason: str


Calculation = ListPrice | NetOfTax | TaxWithin | TaxOn | PercentOff | Prorated | Fixed

_NAMES: Final[Mapping[str, type[Calculation]]] = {
    "list_price": ListPrice,
    "net_of_tax": NetOfTax,
    "tax_within": TaxWithin,
    "tax_on": TaxOn,
    "percent_off": PercentOff,
    "prorated": Prorated,
    "fixed": Fixed,
}


def calculation_to_json(calculation: Calculation) -> dict[str, Any]:
    """Facts and the name of the rule; whole numbers and texts only."""
    name = next(name for name, kind in _NAMES.items() if type(calculation) is kind)
    return {"rule": name, **asdict(calculation)}


def calculation_from_json(stored: Mapping[str, Any]) -> Calculation:
    """Back from what `calculation_to_json` made."""
    facts = dict(stored)
    return _NAMES[facts.pop("rule")](**facts)
